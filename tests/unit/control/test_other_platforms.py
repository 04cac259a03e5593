"""A spec's search as an Experiment of Katib, and a version as a service of KServe or Knative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.control.katib_experiment import experiment
from fairlead.control.rendering import ClusterRequest
from fairlead.control.serving_platforms import PlatformRequest, inference_service, knative_service
from fairlead.errors import Invalid, InvalidSpec
from fairlead.spec.load import load
from fairlead.study.single_trial import chosen

BOSTON = Path("examples/boston.yaml")
IMAGE = "registry.example.com/fairlead:1"
GOLDEN = Path(__file__).with_name("rendered")
SPEC = """
name: prices
data: {source: boston, target: MEDV}
search:
  method: random
  metric: mse
  trials: 7
  over:
    - family: random_forest
      params: {max_depth: [null, 10], n_estimators: 50}
"""


def golden(name: str) -> list[Any]:
    return list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text()))


def request(**given: Any) -> PlatformRequest:
    return PlatformRequest(**{"version": 3, "image": IMAGE, "most": 5, **given})


class TestKatib:
    def made(self, folder: Path, *sets: str, **asked: Any) -> Any:
        (folder / "spec.yaml").write_text(SPEC)
        return experiment(load(folder / "spec.yaml", sets=sets), ClusterRequest(**asked), IMAGE)

    def space(self, folder: Path, values: str) -> Any:
        _, made = self.made(folder, f"search.over[0].params.max_depth={values}")
        (parameter,) = made["spec"]["parameters"]
        return parameter["parameterType"], parameter["feasibleSpace"]

    def test_the_documents_are_those_of_the_golden_file(self) -> None:
        assert list(experiment(load(BOSTON), ClusterRequest(workers=4), IMAGE)) == golden("katib")

    def test_each_value_comes_back_as_what_it_is_in_the_spec(self) -> None:
        """Katib has texts; the command gives them their types again."""
        _, made = golden("katib")
        params = load(BOSTON).spec.search.over[0].params
        assert params is not None
        for parameter in made["spec"]["parameters"]:
            name = parameter["name"]
            texts = parameter["feasibleSpace"]["list"]
            values = [chosen({name: params[name]}, {name: text})[name] for text in texts]
            assert tuple(values) == params[name]

    @pytest.mark.parametrize(
        ("values", "kind", "space"),
        [
            ("{low: 3, high: 12}", "int", {"min": "3", "max": "12"}),
            ("{low: 0.5, high: 1.0}", "double", {"min": "0.5", "max": "1.0"}),
            (
                "{low: 1.0e-05, high: 1.0, log: true}",
                "double",
                {"min": "1e-05", "max": "1.0", "distribution": "logUniform"},
            ),
            ("{low: 3, high: 8, step: 2}", "categorical", {"list": ["3", "5", "7"]}),
            ("{low: 0.1, high: 0.3, step: 0.1}", "categorical", {"list": ["0.1", "0.2", "0.3"]}),
            ("[null, true, 1.0, sqrt]", "categorical", {"list": ["null", "true", "1.0", "sqrt"]}),
        ],
    )
    def test_what_a_parameter_may_be(
        self, tmp_path: Path, values: str, kind: str, space: Any
    ) -> None:
        assert self.space(tmp_path, values) == (kind, space)

    def test_what_the_spec_asks_of_the_search(self, tmp_path: Path) -> None:
        sets = ("search.metric=r2", "search.until=0.9", "search.seed=5", "search.method=tpe")
        _, made = self.made(tmp_path, *sets, workers=20)
        spec = made["spec"]
        assert spec["objective"] == {
            "type": "maximize",
            "goal": 0.9,
            "objectiveMetricName": "r2",
        }
        assert spec["algorithm"]["algorithmName"] == "tpe"
        assert spec["algorithm"]["algorithmSettings"] == [{"name": "random_state", "value": "5"}]
        assert (spec["maxTrialCount"], spec["parallelTrialCount"]) == (7, 7)

    def test_limits_of_a_task_are_those_of_a_trial(self, tmp_path: Path) -> None:
        _, made = self.made(tmp_path, "search.task_time=90s", "search.task_memory=2GB")
        job = made["spec"]["trialTemplate"]["trialSpec"]["spec"]
        assert job["activeDeadlineSeconds"] == 90
        (container,) = job["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"memory": "2000000000"}

    def test_files_are_beside_the_document(self, tmp_path: Path) -> None:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "mine.py").write_text("class Mine: ...\n")
        config_map, made = self.made(tmp_path, "search.over[0].family=./code/mine.py:Mine")
        assert config_map["data"]["file-0"] == "class Mine: ...\n"
        pod = made["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
        (volume,) = [one for one in pod["volumes"] if one["name"] == "study"]
        assert {"key": "file-0", "path": "code/mine.py"} in volume["configMap"]["items"]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ("search.metric=", "search.metric: it has to be written"),
            ("search.time=10m", "search.time: Katib has no limit"),
            ("search.prune=median", "search.prune: Katib stops trials"),
            ("search.over[0].params=", "own ranges are not known"),
            ("search.over[0].params.max_depth=10", "each has one value"),
            ("search.over[0].params.criterion=[a, $(reboot)]", "a shell, which does not read"),
            ('search.over[0].params.max_depth=["10", 10]', "10 would stand for two values"),
            ("name=3-prices", "the first a letter"),
            (
                "search.over=[{family: linear, params: {a: [1, 2]}}, {family: random_forest}]",
                "parameters that depend on another",
            ),
        ],
    )
    def test_what_katib_cannot_say_is_refused_with_its_place(
        self, tmp_path: Path, change: str, why: str
    ) -> None:
        with pytest.raises(InvalidSpec) as refused:
            self.made(tmp_path, change)
        assert why in str(refused.value)
        assert "\n" not in str(refused.value)


class TestServing:
    def test_the_documents_are_those_of_the_golden_files(self) -> None:
        loaded = load(BOSTON)
        assert [inference_service(loaded, request(percent=10))] == golden("kserve")
        beside = "boston-prices-v2-0a1b2c3d"
        asked = request(percent=10, beside=beside, least=0)
        assert [knative_service(loaded, asked)] == golden("knative")

    def test_the_first_step_of_the_spec_is_the_share(self) -> None:
        loaded = load(BOSTON, sets=["serve.canary=[20, 100]"])
        predictor = inference_service(loaded, request())["spec"]["predictor"]
        assert predictor["canaryTrafficPercent"] == 20
        traffic = knative_service(loaded, request(beside="other"))["spec"]["traffic"]
        assert [one["percent"] for one in traffic] == [20, 80]

    def test_all_traffic_is_no_canary(self) -> None:
        predictor = inference_service(load(BOSTON), request(percent=100))["spec"]["predictor"]
        assert "canaryTrafficPercent" not in predictor
        service = knative_service(load(BOSTON), request(percent=100))
        assert [one["percent"] for one in service["spec"]["traffic"]] == [100]

    def test_what_is_served_otherwise_is_another_revision(self) -> None:
        def revision(**given: Any) -> str:
            made = knative_service(load(BOSTON), request(**given))
            return str(made["spec"]["template"]["metadata"]["name"])

        assert revision() == revision(percent=50, beside="other")
        names = {revision(), revision(version=4), revision(most=7), revision(memory="1Gi")}
        assert len(names) == 4
        assert all(name.startswith("boston-prices-v") and len(name) < 63 for name in names)

    def test_a_share_beside_no_other_revision_is_refused(self) -> None:
        with pytest.raises(Invalid, match="--canary 10: name the revision that has the rest"):
            knative_service(load(BOSTON), request(percent=10))

    def test_replicas_that_cannot_be_are_refused(self) -> None:
        with pytest.raises(Invalid, match="--max 1 is less than --min 3"):
            knative_service(load(BOSTON), request(least=3, most=1))

    def test_a_name_that_no_service_may_have_is_refused(self) -> None:
        with pytest.raises(InvalidSpec, match="the first a letter"):
            inference_service(load(BOSTON, sets=["name=3-prices"]), request())
