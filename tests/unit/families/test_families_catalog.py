import sys
from pathlib import Path

import pytest
from tests.support.families import LIGHT

from fairlead.errors import InvalidSpec
from fairlead.families import catalog

BASE = Path()


def test_every_name_has_its_family() -> None:
    assert [catalog.family(name, base=BASE).name for name in LIGHT] == list(LIGHT)


@pytest.mark.distributed
def test_keras_is_a_family_where_tensorflow_is_installed() -> None:
    assert catalog.family("keras", base=BASE).name == "keras"


@pytest.mark.distributed
@pytest.mark.parametrize("library", ["keras", "tensorflow", "tf2onnx"])
def test_a_library_of_several_that_is_missing_says_which_extra_to_install(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InvalidSpec, match=r"family 'keras' .* pip install 'fairlead\[keras\]'"):
        catalog.family("keras", base=BASE)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidSpec, match="did you mean 'random_forest'"):
        catalog.family("randomforest", base=BASE)


def test_a_name_like_no_other_lists_the_families() -> None:
    with pytest.raises(InvalidSpec, match=r"there are random_forest, .*package\.module:Name"):
        catalog.family("zzz", base=BASE)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_a_missing_library_says_which_extra_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catalog.installed(name)
    monkeypatch.setitem(sys.modules, name, None)  # as Python marks what cannot be imported
    with pytest.raises(InvalidSpec, match=rf"pip install 'fairlead\[{name}\]'"):
        catalog.family(name, base=BASE)
    assert not catalog.installed(name)


@pytest.mark.parametrize("name", [":Name", "package:", "a b:Name", "a:b:C", "./file.txt:Name", ":"])
def test_what_is_no_import_path_is_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match="is no import path"):
        catalog.family(name, base=BASE)


def test_only_families_in_a_file_have_a_source(tmp_path: Path) -> None:
    assert catalog.source_of("random_forest", tmp_path) is None
    assert catalog.source_of("sklearn.svm:SVR", tmp_path) is None
    (tmp_path / "mine.py").write_bytes(b"x = 1\n")
    assert catalog.source_of("./mine.py:Name", tmp_path) == b"x = 1\n"
