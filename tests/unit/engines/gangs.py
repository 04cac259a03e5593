"""A gang on a cluster, for the tests of what it is made of."""

from __future__ import annotations

from lightkube.models.meta_v1 import OwnerReference

from fairlead.engines.engine import GangRequest
from fairlead.kube.place import PodPlace

GANG = GangRequest(
    key="digits-3f2a-7",
    ranks=3,
    address="10.42.0.7:40123",
    secret="hunter2",
    artifacts="s3://bucket/prefix",
    environ={"AWS_SECRET_ACCESS_KEY": "hunter3"},
    cores=0.5,
    memory=1 << 30,
)
PLACE = PodPlace(image="fairlead:1", pull_secrets=["registry"], service_account="fairlead")
OWNER = OwnerReference(apiVersion="v1", kind="Pod", name="w-1-abcde", uid="1234")
