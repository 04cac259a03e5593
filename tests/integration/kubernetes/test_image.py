"""The image of Fairlead does its work as the pod that it is run as: no root, a read-only disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from textwrap import dedent

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod
from tests.support import cluster as clusters
from tests.support.waiting import wait_until

from fairlead.kube import pods
from fairlead.kube.client import Cluster
from fairlead.version import VERSION

_NUMBERS = count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.namespace() as name, Cluster(namespace=name) as connected:
        yield connected


def said(cluster: Cluster, script: str, *, succeeds: bool = True) -> str:
    """What a pod that runs this shell script prints."""
    place = clusters.place(cluster.namespace, image=clusters.image()).pods
    container = pods.container(
        place,
        name="script",
        arguments=["-c", f"export FAIRLEAD_MLFLOW_URI=none; {script}"],
        requests={},
        limits={},
    )
    container.command = ["sh"]
    name = f"script-{next(_NUMBERS)}"
    spec = pods.pod(place, container, grace=0, restarts="Never")
    cluster.create(Pod(metadata=ObjectMeta(name=name), spec=spec))
    wait_until(lambda: _phase(cluster, name) in {"Succeeded", "Failed"}, seconds=300, every=0.5)
    log = cluster.log(name, lines=500)
    assert (_phase(cluster, name) == "Succeeded") is succeeds, log
    return log


def _phase(cluster: Cluster, name: str) -> str | None:
    status = cluster.get(Pod, name).status
    return status.phase if status else None


def test_its_user_is_not_root_and_can_write_to_home_and_tmp_alone(cluster: Cluster) -> None:
    script = """
        id -u
        for folder in "$HOME" /tmp; do touch "$folder/probe" && echo "$folder"; done
        for folder in / /opt/fairlead /var/lib /etc; do touch "$folder/probe" && exit 1; done
        fairlead --version
    """
    log = said(cluster, f"exec 2>/dev/null; {script}").split("\n")
    assert log[:3] == ["10001", "/var/lib/fairlead", "/tmp"]
    assert VERSION in log[3]


def test_nothing_is_compiled_again_and_nothing_can_be_installed(cluster: Cluster) -> None:
    script = """
        exec 2>/dev/null
        python -v -c 'import fairlead.cli.main, sklearn.ensemble, sqlalchemy' 2> /tmp/imports
        grep -c matches /tmp/imports
        grep "code object from '[^']*[.]py'" /tmp/imports
        python -m pip --version || command -v pip || echo no pip
    """
    matching, *others = said(cluster, script).split()
    assert int(matching) > 100
    assert others == ["no", "pip"]


def test_its_list_of_packages_has_fairlead_and_what_it_trains_with(cluster: Cluster) -> None:
    list_them = """
        import json, pathlib, sysconfig
        list = pathlib.Path(sysconfig.get_path("data"), "share/fairlead/sbom.cdx.json")
        print(*(one["name"] for one in json.loads(list.read_text())["components"]))
    """
    listed = said(cluster, f"python -c '{dedent(list_them)}'").split()
    assert {"scikit-learn", "numpy"} <= set(listed)


def test_doctor_finds_that_a_run_can_start(cluster: Cluster) -> None:
    assert json.loads(said(cluster, "fairlead doctor --json"))["ok"]


def test_a_run_ends_with_a_version(cluster: Cluster) -> None:
    small = "--set search.method=random --set search.trials=2 --workers 1"
    script = f"""
        fairlead new /tmp/demo --example boston && fairlead run /tmp/demo/boston.yaml {small} \\
            --set 'search.over=[{{family: extra_trees}}]' 2>&1 && fairlead models --json
    """
    log = said(cluster, script)
    assert '"boston-prices"' in log
