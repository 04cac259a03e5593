"""A folder of PNG images by class: rows of pixels with the class as target, or what is at fault."""

from __future__ import annotations

import csv
import io
import os
import random
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairlead.control import clients, rendering
from fairlead.data.arrays import names_of, shape_of
from fairlead.data.png_folder import Image, _kind_of, _pixels, holds_images
from fairlead.data.read import read
from fairlead.data.table import Table
from fairlead.errors import Invalid, InvalidData, InvalidSpec
from fairlead.settings import Settings
from fairlead.spec.document import Data
from fairlead.spec.load import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (5, 4)


def pixels(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(image: NDArray[Any], **says: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG", **says)
    return file.getvalue()


def written(folder: Path, shape: tuple[int, ...] = SHAPE, each: int = 3) -> dict[str, Any]:
    """Images of two classes, by their names, in order."""
    images = {}
    for at, name in enumerate(f"{one}/{n}.png" for one in ("cat", "dog") for n in range(each)):
        images[name] = pixels(at, shape)
        put(folder / name, png(images[name]))
    return images


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def take(folder: Path, memory: int | None = None, **says: Any) -> Table:
    settings = Settings(home=folder.parent / "home", data_memory=memory)
    return read(Data(source=str(folder), **says), base=folder.parent, settings=settings)


def refused(folder: Path, kind: type[Invalid] = InvalidData, **says: Any) -> str:
    with pytest.raises(kind) as error:
        take(folder, **says)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "images")
    return tmp_path / "images"


class TestATable:
    @pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3), (1, 1), (2, 1, 3)])
    def test_an_image_is_a_row_of_its_pixels_and_its_folder_the_class(
        self, tmp_path: Path, shape: tuple[int, ...]
    ) -> None:
        images = written(tmp_path / "images", shape)
        table = take(tmp_path / "images")
        assert [column.name for column in table.columns] == names_of("pixel", shape)
        assert shape_of(table.signature.numbers) == (*shape, 1)[:3]
        rows = np.stack([image.reshape(-1) for image in images.values()])
        assert table.features.numbers.dtype == np.float64
        assert np.array_equal(table.features.numbers, rows)
        assert table.target_name == "label"
        assert table.classes == ("cat", "dog")
        assert table.target.tolist() == [0, 0, 0, 1, 1, 1]

    def test_it_is_that_of_the_same_rows_in_parquet(self, tmp_path: Path) -> None:
        images = written(tmp_path / "images", (*SHAPE, 3))
        rows = np.stack([*images.values()])
        file = {
            "pixel": pa.FixedShapeTensorArray.from_numpy_ndarray(rows),
            "label": [name.split("/")[0] for name in images],
        }
        pq.write_table(pa.table(file), tmp_path / "rows.parquet")
        other = take(tmp_path / "rows.parquet", target="label")
        assert take(tmp_path / "images").fingerprint == other.fingerprint

    def test_it_is_the_same_whatever_memory_there_is(self, folder: Path) -> None:
        one = take(folder)
        parted = take(folder, memory=1)  # an image at a time
        assert parted.fingerprint == one.fingerprint
        assert parted.target.tolist() == one.target.tolist()

    def test_rows_come_in_the_order_of_names_and_a_class_may_have_one(self, tmp_path: Path) -> None:
        names = ["b/10.png", "b/2.PNG", "B/x.png", "c/only.png"]
        for name in reversed(names):
            put(tmp_path / "images" / name, png(np.full(SHAPE, names.index(name), np.uint8)))
        table = take(tmp_path / "images")
        assert table.features.numbers[:, 0].tolist() == [2, 0, 1, 3]
        assert table.classes == ("B", "b", "c")
        assert table.target.tolist() == [0, 1, 1, 2]

    def test_names_that_begin_with_a_dot_are_no_data(self, folder: Path) -> None:
        known = take(folder).fingerprint
        put(folder / ".DS_Store", b"x")
        put(folder / ".checkpoints" / "a.png", b"x")
        put(folder / "cat" / "._0.png", b"x")
        assert take(folder).fingerprint == known

    def test_a_spec_gives_the_class_another_name(self, folder: Path) -> None:
        assert take(folder, target="animal").target_name == "animal"
        said = refused(folder, InvalidSpec, target="pixel_0_0")
        assert said.startswith("data.target: 'pixel_0_0' is a column of pixels; ")
        assert refused(folder, InvalidSpec, drop=("label",)) == "data.drop: 'label' is the target"

    def test_classes_are_texts_and_numbers_where_the_spec_says_so(self, tmp_path: Path) -> None:
        for name in ("0/a.png", "0/b.png", "07/a.png", "7/a.png"):
            put(tmp_path / "images" / name, png(pixels(len(name))))
        assert take(tmp_path / "images").classes == ("0", "07", "7")
        says: dict[str, Any] = {"types": {"label": "number"}}
        assert take(tmp_path / "images", task="classification", **says).classes == (0, 7)
        assert take(tmp_path / "images", **says).target.tolist() == [0, 0, 7, 7]
        said = refused(tmp_path / "images", task="regression")
        assert "data.types ({label: number}) reads its numbers" in said

    def test_dropped_pixels_are_no_columns(self, folder: Path) -> None:
        table = take(folder, drop=("pixel_0_0", "pixel_4_3"))
        assert [column.name for column in table.columns] == names_of("pixel", SHAPE)[1:-1]
        assert np.array_equal(table.features.numbers, take(folder).features.numbers[:, 1:-1])

    def test_interlaced_files_are_read(self, folder: Path) -> None:
        """Each row of pixels is sent in the seven passes of Adam7; one pixel is in the first."""
        content = bytearray(png(np.array([[200]], np.uint8)))
        head = content[12:29]
        head[-1] = 1
        content[12:33] = head + zlib.crc32(head).to_bytes(4, "big")
        for path in folder.rglob("*.png"):
            path.write_bytes(content)
        assert take(folder).features.numbers.tolist() == [[200]] * 6


class TestRefusedByName:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (png(pixels(0, (4, 5))), "is 5 x 4, grey, and 'cat/0.png' is 4 x 5, grey; make all"),
            (png(pixels(0, (*SHAPE, 3))), "is 4 x 5, RGB, and 'cat/0.png' is 4 x 5, grey; make"),
            (png(pixels(0, (*SHAPE, 4))), "is RGB with alpha, with 8 bits a channel; images are"),
            (png(pixels(0, (*SHAPE, 2))), "is grey with alpha, with 8 bits a channel; images are"),
            (png(pixels(0).astype(np.uint16)), "is grey, with 16 bits a channel; images are read"),
            (png(pixels(0) > 99), "is grey, with 1 bits a channel; images are read"),
            (png(pixels(0), transparency=7), "has a colour that is transparent; write it as one"),
            (b"GIF89a" + bytes(40), "is no PNG image, or is cut short; write it again as PNG"),
            (b"", "is no PNG image, or is cut short"),
            (png(pixels(0))[:-20], "cannot be read as PNG: "),
            (png(pixels(0))[:40], "begins as PNG does, and its parts are damaged; write it again"),
        ],
    )
    def test_a_file_that_is_no_such_image(self, folder: Path, content: bytes, says: str) -> None:
        put(folder / "dog" / "1.png", content)
        said = refused(folder)
        assert said.startswith(f"data.source: 'dog/1.png' {says}")

    def test_all_of_16_bits_are_not_cut_to_8(self, tmp_path: Path) -> None:
        for name in ("cat/0.png", "cat/1.png", "dog/0.png"):
            put(tmp_path / "images" / name, png(pixels(0).astype(np.uint16) * 256))
        said = refused(tmp_path / "images")
        assert said.startswith("data.source: 'cat/0.png' is grey, with 16 bits a channel")
        assert "convert all of them (Pillow: image.convert('L'), or 'RGB')" in said

    def test_16_bits_of_rgb_which_pillow_would_cut(self, folder: Path) -> None:
        content = bytearray(png(pixels(0, (*SHAPE, 3))))
        content[24] = 16
        put(folder / "dog" / "1.png", bytes(content))
        assert "'dog/1.png' is RGB, with 16 bits a channel" in refused(folder)

    def test_a_palette_and_an_animation(self, folder: Path) -> None:
        file = io.BytesIO()
        PIL.Image.fromarray(pixels(0)).convert("P").save(file, "PNG")
        put(folder / "dog" / "1.png", file.getvalue())
        assert "'dog/1.png' is of a palette, with 8 bits" in refused(folder)
        others = [PIL.Image.fromarray(pixels(1))]
        put(folder / "dog" / "1.png", png(pixels(0), save_all=True, append_images=others))
        assert "'dog/1.png' is an animation; write it as one" in refused(folder)

    def test_a_header_that_would_take_all_memory_is_refused_before_decoding(
        self, folder: Path
    ) -> None:
        content = bytearray(png(pixels(0)))
        content[16:24] = b"\x00\x01\x00\x00" * 2
        put(folder / "cat" / "0.png", bytes(content))
        said = refused(folder)
        assert said.startswith("data.source: 'cat/0.png' is 65536 x 65536, grey: 4294967296 num")
        assert "at most 262144 may be: make the images smaller" in said

    def test_a_file_of_more_bytes_than_an_image_has(self, folder: Path) -> None:
        with (folder / "cat" / "0.png").open("r+b") as file:
            file.truncate((64 << 20) + 1)
        assert "'cat/0.png' has more than 67108864 bytes" in refused(folder)

    def test_what_is_damaged_is_never_taken_for_an_image(self) -> None:
        """Of files with some bytes changed or lost, one is read as it was or not at all."""
        whole = png(pixels(3, (*SHAPE, 3)))
        image, rng = Image(path=Path("1.png"), label="cat"), random.Random(0)
        cut = [whole[:length] for length in range(len(whole))]
        changed = []
        for at in [*range(len(whole)), *rng.choices(range(len(whole)), k=500)]:
            content = bytearray(whole)
            content[at] ^= rng.randrange(1, 256)
            changed.append(bytes(content))
        read_all = 0
        for content in [whole, *cut, *changed]:
            try:
                _kind_of(image, content)
                found = _pixels(image, content)
            except InvalidData:
                continue
            read_all += 1
            assert np.array_equal(found, pixels(3, (*SHAPE, 3)))
        assert read_all >= 1

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("cat/notes.txt", "holds 'notes.txt', and the folder of a class holds files that end"),
            ("cat/more/1.png", "holds 'more', and the folder of a class holds files that end with"),
            ("readme.txt", "holds 'readme.txt' beside folders of images; an image belongs into"),
            ("1.png", "holds '1.png' beside folders of images; an image belongs into the folder"),
            (
                " cat/1.png",
                "the folder ' cat' begins or ends with a blank, and it is to be a class",
            ),
        ],
    )
    def test_what_is_no_image_of_a_class(self, folder: Path, name: str, says: str) -> None:
        put(folder / name, png(pixels(0)))
        assert says in refused(folder)

    def test_a_folder_that_is_no_utf8(self, folder: Path) -> None:
        if sys.platform != "linux":
            pytest.skip("names of files are text there")
        put(Path(os.fsdecode(os.fsencode(folder) + b"/\xff")) / "1.png", png(pixels(0)))
        assert "the name of the folder '\\udcff' is not UTF-8" in refused(folder)

    def test_a_class_without_an_image(self, folder: Path) -> None:
        (folder / "eel").mkdir()
        assert "eel' holds no PNG image; remove the folder" in refused(folder)

    def test_no_class_and_one_class(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        said = refused(tmp_path / "images", format="png")
        assert "holds no folder of PNG images; put those of a class into a folder of" in said
        for n in range(3):
            put(tmp_path / "images" / "cat" / f"{n}.png", png(pixels(n)))
        said = refused(tmp_path / "images")
        assert said.startswith("data.target: column 'label' is 'cat' in every row: there is noth")

    def test_images_of_another_format(self, folder: Path) -> None:
        for path in [*folder.rglob("*.png")]:
            path.rename(path.with_suffix(".jpg"))
        said = refused(folder)
        assert (
            "cat' holds '0.jpg', and the folder of a class holds files that end with .png" in said
        )
        assert said.endswith("; write other images as PNG")

    def test_what_is_gone_or_no_file_once_it_is_read(self, folder: Path) -> None:
        (folder / "dog" / "1.png").unlink()
        (folder / "dog" / "1.png").symlink_to(folder / "gone.png")
        assert refused(folder) == (
            "data.source: 'dog/1.png' cannot be read: No such file or directory"
        )
        with pytest.raises(InvalidData, match=r"gone' cannot be read: No such file or directory$"):
            holds_images(folder / "gone")

    def test_folders_of_classes_a_level_below(self, folder: Path) -> None:
        said = refused(folder.rename(folder.parent / "train").parent)
        assert "train' itself if it has the classes" in said

    def test_one_file_and_an_archive(self, folder: Path) -> None:
        said = refused(folder / "cat" / "0.png", InvalidSpec)
        assert said.startswith("data.source: '0.png' is one file, and images are read from a fold")
        with zipfile.ZipFile(folder.parent / "images.zip", "w") as archive:
            for path in folder.rglob("*.png"):
                archive.write(path, path.relative_to(folder))
        said = refused(folder.parent / "images.zip")
        assert said.endswith("; images are read from a folder: unpack it and name that")

    def test_keys_of_a_file(self, folder: Path) -> None:
        assert "leave it out" in refused(folder, InvalidSpec, digest="sha256:" + "0" * 64)
        said = refused(folder, InvalidSpec, format="idx")
        assert "of a folder, Parquet files are read, or PNG images by class" in said
        assert "which does not end with .parquet" not in refused(folder, format="parquet")

    def test_a_folder_of_parquet_files_is_that_with_a_picture_beside_them(
        self, folder: Path
    ) -> None:
        pq.write_table(pa.table({"x": [1.0]}), folder / "a.parquet")
        assert "holds the folder 'cat', and files are read from one" in refused(folder)

    def test_without_pillow_the_extra_is_named(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        said = refused(folder, InvalidSpec)
        assert said.endswith("library that is not installed: pip install 'fairlead[images]'")


def test_nothing_of_pillow_is_imported_for_other_data() -> None:
    program = "import sys, fairlead.data.read; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_study_of_images_predicts_rows_without_images(tmp_path: Path) -> None:
    """Dark and bright ones are told apart, once the folder is gone."""
    for at in range(40):
        low, name = (0, "dark") if at % 2 else (128, "light")
        image = low + pixels(at) // 2
        put(tmp_path / "images" / name / f"{at}.png", png(image))
    (tmp_path / "spec.yaml").write_text(
        "name: shades\ndata: {source: images}\n"
        "search: {method: grid, folds: 2, over: [{family: linear, params: {C: [1]}}]}\n"
    )
    fairlead = runner(tmp_path)
    plan = fairlead("plan", "spec.yaml")
    assert "label" in plan
    fairlead("run", "spec.yaml")
    for path in (tmp_path / "images").rglob("*.png"):
        path.unlink()
    rows = np.stack([pixels(100) // 2, 128 + pixels(101) // 2])
    images = {"pixel": pa.FixedShapeTensorArray.from_numpy_ndarray(rows)}
    pq.write_table(pa.table(images), tmp_path / "new.parquet")
    asked = ("predict", "shades", "new.parquet", "--version", "1")
    said = csv.DictReader(io.StringIO(fairlead(*asked)))
    assert [row["prediction"] for row in said] == ["dark", "light"]


def test_a_folder_is_not_sent_to_a_cluster_or_a_server(folder: Path) -> None:
    spec = folder.parent / "spec.yaml"
    spec.write_text("name: pets\ndata: {source: images}\nsearch: {over: [{family: linear}]}\n")
    with pytest.raises(InvalidData, match="is a folder, which an object of a cluster does not"):
        rendering.packed(load(spec))
    with pytest.raises(InvalidSpec, match=r"^data\.source: 'images' is neither in the catalog"):
        clients.refuse_source("images", {"images/cat/0.png": "0" * 64})


def runner(folder: Path) -> Callable[..., str]:
    def run(*args: str) -> str:
        environ = {
            **os.environ,
            "FAIRLEAD_HOME": str(folder / "home"),
            "FAIRLEAD_MLFLOW_URI": "none",
        }
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", *args],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
