"""A catalog file beside the spec is the one that is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fairlead.data.catalog import ENTRIES
from fairlead.data.read import read
from fairlead.errors import InvalidData
from fairlead.settings import Settings
from fairlead.spec.document import Data


def test_the_copy_in_the_specs_data_folder_goes_before_the_one_that_is_carried(
    tmp_path: Path,
) -> None:
    carried = ENTRIES["boston"].carried
    assert carried is not None
    copy = tmp_path / "data" / carried.name
    copy.parent.mkdir()
    shutil.copyfile(carried, copy)
    settings = Settings(home=tmp_path / "home")
    table = read(Data(source="boston"), base=tmp_path, settings=settings)
    assert table.fingerprint == ENTRIES["boston"].fingerprint
    copy.write_text(copy.read_text().replace("24.00", "25.00", 1))
    with pytest.raises(InvalidData, match="not the catalog's table"):
        read(Data(source="boston"), base=tmp_path, settings=settings)
