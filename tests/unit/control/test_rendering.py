"""A spec as a Study: the document as it is, and the files that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.control.rendering import MOST, ClusterRequest, study_object
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.operator.study_object import StudyObject
from fairlead.spec.load import load

SPEC = """
name: prices
data: {{source: {source}, target: y}}
search:
  method: grid
  over:
    - family: {family}
      params: {{alpha: [0.1, null]}}
"""


def rendered(
    folder: Path, *, source: str = "rows.csv", family: str = "linear", **asked: Any
) -> Mapping[str, Any]:
    (folder / "spec.yaml").write_text(SPEC.format(source=source, family=family))
    return study_object(load(folder / "spec.yaml"), ClusterRequest(**asked))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "specs" / "code").mkdir(parents=True)
    (tmp_path / "specs" / "rows.csv").write_text("x,y\n1,2\n")
    (tmp_path / "rows.csv").write_text("x,y\n3,4\n")
    (tmp_path / "specs" / "code" / "mine.py").write_text("class Mine: ...\n")
    return tmp_path / "specs"


def test_the_document_is_kept_as_it_is(folder: Path) -> None:
    made = rendered(folder, source="boston")
    assert (made["apiVersion"], made["kind"]) == ("fairlead.dev/v1alpha1", "Study")
    assert made["metadata"] == {"name": "prices"}
    assert made["spec"] == {
        "data": {"source": "boston", "target": "y"},
        "search": {
            "method": "grid",
            "over": [{"family": "linear", "params": {"alpha": [0.1, None]}}],
        },
    }


FLOATS = """
name: prices
data: {source: boston}
search:
  method: random
  trials: 4
  over:
    - family: forest
      params:
        a/b~c: {low: 0.0, high: 1.0}
        whole: {low: 0, high: 1}
        max_features: [1, 1.0, 0.5, true, null, "1.0"]
        alpha: 2.0
    - family: linear
      params: {alpha: [1e3, -0.0, 1e22]}
"""


def as_an_api_server_has_it(part: Any) -> Any:
    """Numbers as it writes them: of whole ones those below 1e21 without a point."""
    if isinstance(part, float) and part.is_integer() and abs(part) < 1e21:
        return int(part)
    if isinstance(part, Mapping):
        return {key: as_an_api_server_has_it(each) for key, each in part.items()}
    return [as_an_api_server_has_it(each) for each in part] if isinstance(part, list) else part


def test_a_number_with_a_point_has_it_again_where_the_study_is_read(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(FLOATS)
    loaded = load(tmp_path / "spec.yaml")
    made: Any = as_an_api_server_has_it(study_object(loaded, ClusterRequest()))
    assert json.dumps(made["spec"]["search"]) != json.dumps(loaded.tree.plain()["search"])
    metadata = {**made["metadata"], "namespace": "ml", "uid": "u"}
    study = StudyObject.read({**made, "metadata": metadata})
    given = loaded.tree.plain()
    assert repr(study.document["search"]) == repr(given["search"]).replace("-0.0", "0.0")


def test_a_range_that_gets_points_is_another_spec_to_an_api_server(tmp_path: Path) -> None:
    """Only a change of the spec is counted in its generation, and so looked at."""
    specs = []
    for high in ("1", "1.0"):
        (tmp_path / "spec.yaml").write_text(FLOATS.replace("high: 1}", f"high: {high}}}"))
        made = study_object(load(tmp_path / "spec.yaml"), ClusterRequest())
        specs.append(as_an_api_server_has_it(made["spec"]))
    assert specs[0] != specs[1]


def test_places_that_are_not_there_any_more_are_passed_over() -> None:
    metadata = {"name": "x", "namespace": "ml", "uid": "u"}
    spec = {"a": 1, "c": "text", "d": [True, 1]}
    floats = ["/a/b", "/c", "/d/0"]
    study = StudyObject.read({"metadata": metadata, "spec": {**spec, "floats": floats}})
    assert repr(study.document) == repr({"name": "x", **spec})


def test_files_that_it_names_are_inside(folder: Path) -> None:
    spec = rendered(folder, source="./rows.csv", family="./code/mine.py:Mine")["spec"]
    assert spec["files"] == {"rows.csv": "x,y\n1,2\n", "code/mine.py": "class Mine: ...\n"}
    assert spec["data"]["source"] == "rows.csv"
    assert spec["search"]["over"][0]["family"] == "./code/mine.py:Mine"


def test_the_file_of_a_function_that_builds_networks_is_inside(folder: Path) -> None:
    for family in ("keras:./code/mine.py:build", "keras\n      model: ./code/mine.py:build"):
        spec = rendered(folder, source="boston", family=family)["spec"]
        assert spec["files"] == {"code/mine.py": "class Mine: ...\n"}
        (space,) = spec["search"]["over"]
        assert space["family"] == "keras:./code/mine.py:build"
        assert "model" not in space


def test_a_function_that_is_installed_stays_where_the_spec_has_it(folder: Path) -> None:
    spec = rendered(folder, source="boston", family="keras\n      model: a.b:build")["spec"]
    (space,) = spec["search"]["over"]
    assert (space["family"], space["model"]) == ("keras", "a.b:build")
    assert "files" not in spec


def test_a_file_outside_of_the_folder_gets_a_name_inside(folder: Path) -> None:
    for source in ("../rows.csv", str(folder.parent / "rows.csv")):
        spec = rendered(folder, source=source)["spec"]
        assert spec["files"] == {"rows.csv": "x,y\n3,4\n"}
        assert spec["data"]["source"] == "rows.csv"


def test_what_the_cluster_is_to_give_stands_beside_it(folder: Path) -> None:
    spec = rendered(folder, source="boston", workers=8, cpu="500m", memory="1Gi", deploy=True)[
        "spec"
    ]
    assert spec["workers"] == {"max": 8}
    assert spec["resources"] == {"cpu": "500m", "memory": "1Gi"}
    assert spec["deploy"] is True


def test_a_name_that_no_object_may_have_stays_in_the_document(folder: Path) -> None:
    text = SPEC.format(source="boston", family="linear").replace("name: prices", "name: prices-")
    (folder / "spec.yaml").write_text(text)
    made = study_object(load(folder / "spec.yaml"), ClusterRequest())
    assert (made["metadata"]["name"], made["spec"]["name"]) == ("prices", "prices-")


def test_data_that_is_too_large_is_refused_with_the_way_on(folder: Path) -> None:
    (folder / "rows.csv").write_text("x" * (MOST + 1))
    with pytest.raises(InvalidData, match="put it at an https:// address") as refused:
        rendered(folder)
    assert str(refused.value).startswith(f"{folder / 'spec.yaml'}:3:")
    assert "\n" not in str(refused.value)


def test_data_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "rows.csv").write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(InvalidData, match="no text in UTF-8"):
        rendered(folder)


def test_a_file_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(InvalidSpec, match="cannot be read: No such file"):
        rendered(folder, source="gone.csv")


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    (folder / "mine.py").write_text("")
    (folder.parent / "mine.py").write_text("")
    text = SPEC.format(source="boston", family="./mine.py:A")
    text += "    - {family: ../mine.py:B, params: {alpha: [1]}}\n"
    (folder / "spec.yaml").write_text(text)
    with pytest.raises(InvalidSpec, match="would both be"):
        study_object(load(folder / "spec.yaml"), ClusterRequest())
