"""What is found out about a cluster, as rules over what it says."""

from __future__ import annotations

from typing import Any

from lightkube.resources.core_v1 import Pod, ResourceQuota

from fairlead.control.cluster_checks import (
    clock_check,
    image_check,
    needed,
    quota_check,
    storage_check,
    version_check,
)
from fairlead.kube.install.installation import Installation, own_postgresql

INSTALLATION = Installation(image="i:1", postgresql=own_postgresql())


def test_an_old_cluster_is_refused() -> None:
    assert version_check("v1.29.6", (1, 29), "https://c").state == "fail"
    assert version_check("v1.30.0", (1, 30), "https://c").state == "ok"


def test_a_clock_that_is_off_is_a_warning() -> None:
    assert clock_check(1.0).state == "ok"
    assert clock_check(-60.0).text.startswith("the cluster's is -60 s off")


def test_volumes_need_a_class_that_there_is() -> None:
    assert storage_check({"fast": False}, {""}).state == "fail"
    assert storage_check({"fast": True}, {""}).text == "fast (the default)"
    assert storage_check({"fast": True}, {"slow"}).text == "there is no 'slow'; there are: fast"
    assert storage_check({}, set()).state == "ok"


def quota(hard: dict[str, str], used: dict[str, str]) -> ResourceQuota:
    return ResourceQuota.from_dict(
        {"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}}
    )


def test_a_quota_must_leave_room() -> None:
    wanted = needed(INSTALLATION)
    assert quota_check([], wanted).text == "there is none"
    assert quota_check([quota({"pods": "10"}, {"pods": "1"})], wanted).state == "ok"
    short = quota_check([quota({"cpu": "500m", "pods": "3"}, {"cpu": "300m", "pods": "1"})], wanted)
    assert short.state == "warn"
    assert "requests.cpu 0.25 of 0.2 left; pods 3 of 2 left" in short.text


def tried(status: dict[str, Any]) -> Pod:
    return Pod.from_dict({"metadata": {"name": "p"}, "status": status})


def test_an_image_is_judged_by_a_pod_that_tries_it() -> None:
    ended = {"terminated": {"exitCode": 2, "message": "no such option\n"}}
    state = {"name": "doctor", "ready": False, "image": "i:1", "imageID": "", "restartCount": 0}
    failed = image_check(
        tried({"phase": "Failed", "containerStatuses": [{**state, "state": ended}]}), "i:1"
    )
    assert failed is not None
    assert failed.text == "i:1: fairlead --version ended with status 2: no such option"
    succeeded = image_check(tried({"phase": "Succeeded"}), "i:1")
    assert succeeded is not None
    assert succeeded.state == "ok"
    assert image_check(tried({"phase": "Pending"}), "i:1") is None
