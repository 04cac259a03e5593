"""The catalog: data sets that are known by name, and the table that each must be.

An entry gives names, columns, where copies are, and the fingerprint that any copy must have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fairlead.data.frame import Frame
from fairlead.records import Digest

if TYPE_CHECKING:
    from fairlead.data.frame import Cells

_CARRIED = Path(__file__).parent / "files"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set that is known by name.

    Args:
        name: As `data.source` writes it.
        about: One line on what it is, and what to know before it is used.
        task: What its default target is for.
        target: The default target.
        rows: How many it has.
        fingerprint: Of the table with the default target, nothing dropped and nothing encoded.
        columns: Names of the columns of a file without a header.
        files: Names of the file in mirror folders, the usual one first.
        shape: From the columns of the file to those of the entry.
        bundled: The frame that scikit-learn's installation carries, where it does.
        url: Where the usual file can be downloaded, and the labels beside it.
        digests: SHA-256 of downloaded files by name.
        differs: Why a well-known copy is another table.
    """

    name: str
    about: str
    task: Literal["regression", "classification"]
    target: str
    rows: int
    fingerprint: Digest
    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    shape: Callable[[Frame], Frame] = lambda frame: frame
    bundled: Callable[[], Frame] | None = None
    url: str | None = None
    digests: Mapping[str, Digest] = field(default_factory=dict)
    differs: str = ""

    @property
    def carried(self) -> Path | None:
        """The copy that the installation of Fairlead carries, where it does."""
        paths = (_CARRIED / name for name in self.files)
        return next((path for path in paths if path.is_file()), None)


def _boston(frame: Frame) -> Frame:
    """A CSV mirror writes the names in its own case."""
    folded = [name.upper() for name in frame.names]
    return frame.renamed(folded) if tuple(folded) == _BOSTON else frame


_BOSTON = (
    *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO"),
    *("B", "LSTAT", "MEDV"),
)
_CALIFORNIA = (
    *("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"),
    *("population", "households", "median_income", "median_house_value"),
)


def _california(frame: Frame) -> Frame:
    """The eight columns of fetch_california_housing, computed as scikit-learn does."""
    if not set(_CALIFORNIA) <= set(frame.names):
        return frame
    households = _floats(frame["households"])
    derived = {
        "MedInc": _floats(frame["median_income"]),
        "HouseAge": _floats(frame["housing_median_age"]),
        "AveRooms": _floats(frame["total_rooms"]) / households,
        "AveBedrms": _floats(frame["total_bedrooms"]) / households,
        "Population": _floats(frame["population"]),
        "AveOccup": _floats(frame["population"]) / households,
        "Latitude": _floats(frame["latitude"]),
        "Longitude": _floats(frame["longitude"]),
        "MedHouseVal": _floats(frame["median_house_value"]) / 100_000.0,
    }
    return _frame_of(derived)


def _floats(cells: Cells) -> Any:
    from fairlead.data.cells import CellError, numbers
    from fairlead.errors import InvalidData

    values = numbers(cells)
    if isinstance(values, CellError):
        raise InvalidData(f"data.source: row {values.row + 1}: {values.cell!r} is {values.why}")
    return values


def _frame_of(columns: Mapping[str, Any]) -> Frame:
    import pyarrow as pa

    return Frame(names=tuple(columns), cells=tuple(pa.array(column) for column in columns.values()))


def _diabetes() -> Frame:
    from sklearn.datasets import load_diabetes

    # Unscaled: the scaled values differ in their last bits from one processor to another, and
    # nobody has them at hand when asking for a prediction.
    return _bunch(load_diabetes(scaled=False))


def _digits() -> Frame:
    from sklearn.datasets import load_digits

    return _bunch(load_digits())


def _bunch(bunch: Any) -> Frame:
    columns = dict(zip(bunch.feature_names, bunch.data.T.copy(), strict=True))
    return _frame_of(columns | {"target": bunch.target})


_ALL = (
    Entry(
        name="boston",
        about="506 Boston census tracts of 1970; column B encodes the proportion of Black "
        "residents on the assumption that segregation raises prices: prefer california",
        task="regression",
        target="MEDV",
        rows=506,
        fingerprint="e2cc4e148a1a132ce5fa61a2d2662a9e08ab8ba9b7c8e76b3ca9d46a5b61608e",
        columns=_BOSTON,
        files=("boston.data", "housing.data", "boston", "boston.csv"),
        shape=_boston,
    ),
    Entry(
        name="california",
        about="20,640 Californian block groups of 1990; AveBedrms is missing in 207 rows, so the "
        "spec says data.impute",
        task="regression",
        target="MedHouseVal",
        rows=20_640,
        fingerprint="fb8acf5ad1b7f2648b2d46ae0f4ab271af6b9996584834d5d9b4a57237eb71ac",
        columns=_CALIFORNIA,
        files=("california.tgz", "housing.tgz", "cal_housing.tgz", "housing.csv"),
        shape=_california,
        differs="scikit-learn's own archive (cal_housing.tgz) is another table: the same block "
        "groups in another order, with AveBedrms missing in none; here it is missing in 207",
    ),
    Entry(
        name="diabetes",
        about="442 patients, in the units of the study: load_diabetes(scaled=False)",
        task="regression",
        target="target",
        rows=442,
        fingerprint="ccf8c1b9a9e29bed995f31eb3c6e4fbf250149f0c855d0ffbd6f65d8fa14d158",
        bundled=_diabetes,
    ),
    Entry(
        name="digits",
        about="1,797 images of 8 x 8 pixels: load_digits()",
        task="classification",
        target="target",
        rows=1_797,
        fingerprint="a47270fd9cc2f6b13f0cd9eb90dcd782c2394a225b5c77ebd4b0364613a40d91",
        bundled=_digits,
    ),
    Entry(
        name="mnist",
        about="10,000 images of 28 x 28 pixels: the test set of MNIST",
        task="classification",
        target="label",
        rows=10_000,
        fingerprint="4e8a661e8b337674e3d6d25a9c1e753887ff17bb6c5269f72ac435cf3ba46e22",
        files=("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"),
        url="https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
        digests={
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
    ),
)
ENTRIES: Mapping[str, Entry] = {entry.name: entry for entry in _ALL}


def is_file(source: str) -> bool:
    """Whether a source is a path, which not every machine may have, and no URL or catalog name."""
    return "://" not in source and source not in ENTRIES
