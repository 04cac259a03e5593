"""The objects of an installation, as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.control.cluster_installation import generated, manifests
from fairlead.errors import Invalid
from fairlead.kube.install.installation import (
    Claim,
    Installation,
    KedaWorkers,
    own_postgresql,
    own_rabbitmq,
)
from fairlead.kube.install.labels import selected
from fairlead.kube.install.objects import everything, manifest, objects, superfluous
from fairlead.kube.install.rights import OPERATOR_RIGHTS, TRAINER_RIGHTS
from fairlead.kube.install.stores import PLACEHOLDERS, Generated

IMAGE = "localhost/fairlead:1"
FULL = Installation(image=IMAGE, postgresql=own_postgresql(), rabbitmq=own_rabbitmq())
ELSEWHERE = Installation(
    image=IMAGE,
    namespace="trials",
    ledger="postgresql://me:secret-one@db.example.org:6000/ledger",
    queue="amqps://me:secret-two@mq.example.org/v",
    artifacts="s3://bucket/prefix",
)
TRAINING = replace(FULL, training=True)
ALL = [FULL, ELSEWHERE, TRAINING]
SECRETS = Generated(
    postgresql="secret-three",
    rabbitmq="secret-four",
    keda="secret-seven",
    token="secret-five",
    endpoint_token="secret-six",
    tokens_file="{}",
)
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def written(installation: Installation) -> list[dict[str, Any]]:
    return [manifest(one) for one in everything(installation, SECRETS)]


def component(selector: Mapping[str, Any]) -> str | None:
    """The part of Fairlead whose pods are selected; None where it is several."""
    found: str | None = selector.get("matchLabels", {}).get("app.kubernetes.io/component")
    return found


def of_kind(kind: str, installation: Installation = FULL) -> dict[str, dict[str, Any]]:
    found = [one for one in written(installation) if one["kind"] == kind]
    return {one["metadata"]["name"]: one for one in found}


def pods(installation: Installation) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("Deployment", "StatefulSet"):
        for name, one in of_kind(kind, installation).items():
            yield name, one["spec"]["template"]["spec"]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


class TestPods:
    @pytest.mark.parametrize("installation", ALL)
    def test_each_is_restricted(self, installation: Installation) -> None:
        for name, spec in pods(installation):
            security = spec["securityContext"]
            assert security["runAsNonRoot"] is True, name
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert spec["enableServiceLinks"] is False, name
            for container in spec["containers"]:
                assert container["securityContext"] == RESTRICTED, name

    @pytest.mark.parametrize("installation", ALL)
    def test_each_has_requests_limits_and_probes(self, installation: Installation) -> None:
        for name, spec in pods(installation):
            (container,) = spec["containers"]
            for part in ("requests", "limits"):
                assert container["resources"][part].keys() == {"cpu", "memory"}, name
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["timeoutSeconds"] > 1, name

    @pytest.mark.parametrize("installation", ALL)
    def test_the_operator_alone_has_a_token_of_its_service_account(
        self, installation: Installation
    ) -> None:
        tokens = {name: spec["automountServiceAccountToken"] for name, spec in pods(installation)}
        assert {name for name, has in tokens.items() if has} == {"fairlead-operator"}
        for account in of_kind("ServiceAccount", installation).values():
            assert account["automountServiceAccountToken"] is False

    def test_each_probe_and_each_service_names_a_port_that_there_is(self) -> None:
        ports = {port["name"] for _, spec in pods(FULL) for port in spec["containers"][0]["ports"]}
        for service in of_kind("Service").values():
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports

    def test_each_volume_is_mounted_and_each_mount_is_of_a_volume(self) -> None:
        claimed = {
            name: {each["metadata"]["name"] for each in one["spec"]["volumeClaimTemplates"]}
            for name, one in of_kind("StatefulSet").items()
        }
        for name, spec in pods(FULL):
            volumes = {volume["name"] for volume in spec["volumes"]} | claimed.get(name, set())
            assert {each["name"] for each in spec["containers"][0]["volumeMounts"]} == volumes

    def test_the_server_has_the_certificate_of_a_secret_and_is_probed_by_tls(self) -> None:
        secured = replace(FULL, tls_secret="server-tls")
        spec = dict(pods(secured))["fairlead-server"]
        (container,) = spec["containers"]
        volume = next(one for one in spec["volumes"] if one["name"] == "certificate")
        mount = next(one for one in container["volumeMounts"] if one["name"] == "certificate")
        assert volume["secret"]["secretName"] == "server-tls"
        assert f"{mount['mountPath']}/tls.key" in container["args"]
        for name, other in pods(secured):
            probed = other["containers"][0]["readinessProbe"].get("httpGet", {})
            assert (probed.get("scheme") == "HTTPS") == (name == "fairlead-server")

    def test_they_start_again_where_settings_change(self) -> None:
        def annotations(installation: Installation) -> str:
            template = of_kind("Deployment", installation)["fairlead-server"]["spec"]["template"]
            return str(template["metadata"]["annotations"])

        assert annotations(FULL) == annotations(replace(FULL))
        assert annotations(FULL) != annotations(replace(FULL, artifacts="s3://bucket"))
        assert annotations(FULL) != annotations(replace(FULL, rabbitmq=None))
        other = replace(ELSEWHERE, ledger=ELSEWHERE.ledger.replace("6000", "6001"))
        assert annotations(ELSEWHERE) != annotations(other)

    def test_artefacts_in_a_bucket_need_no_volume(self) -> None:
        assert of_kind("PersistentVolumeClaim", ELSEWHERE) == {}
        for _, spec in pods(ELSEWHERE):
            assert all("persistentVolumeClaim" not in volume for volume in spec["volumes"])
        settings = of_kind("ConfigMap", ELSEWHERE)["fairlead"]["data"]
        assert settings["FAIRLEAD_ARTIFACTS"] == "s3://bucket/prefix"


class TestRights:
    @pytest.mark.parametrize("whose", ["operator", "trainer"])
    def test_they_are_those_of_the_golden_file(self, whose: str) -> None:
        """Another right is another line of the file, for whoever reviews it."""
        golden = yaml.safe_load(Path(__file__).with_name(f"{whose}-rights.yaml").read_text())
        rules = of_kind("Role", TRAINING)[f"fairlead-{whose}"]["rules"]
        assert [
            f"{','.join(rule['verbs'])} {','.join(rule['resources'])}.{rule['apiGroups'][0]}"
            for rule in rules
        ] == golden

    def test_each_has_a_reason_and_none_is_for_everything(self) -> None:
        for right in (*OPERATOR_RIGHTS, *TRAINER_RIGHTS):
            assert right.why
            assert "*" not in (right.group, *right.resources, *right.verbs)

    def test_they_are_of_its_namespace_alone(self) -> None:
        kinds = {one["kind"] for one in written(FULL)}
        assert not {"ClusterRole", "ClusterRoleBinding"} & kinds
        (binding,) = of_kind("RoleBinding").values()
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "fairlead-operator", "namespace": "fairlead"}
        ]

    def test_no_secret_can_be_read(self) -> None:
        rights = (*OPERATOR_RIGHTS, *TRAINER_RIGHTS)
        verbs = [right.verbs for right in rights if "secrets" in right.resources]
        assert verbs
        assert not {"get", "list", "watch"}.intersection(*verbs)


class TestTraining:
    def test_nobody_may_start_pods_of_a_fit_unless_it_is_installed(self) -> None:
        assert "fairlead-trainer" not in {*of_kind("ServiceAccount"), *of_kind("Role")}
        assert "fairlead-trainer" in of_kind("ServiceAccount", TRAINING)

    def test_the_operator_is_told_by_which_account_workers_train(self) -> None:
        def arguments(installation: Installation) -> list[str]:
            spec = dict(pods(installation))["fairlead-operator"]
            found: list[str] = spec["containers"][0]["args"]
            return found

        assert "--trainer-account" not in arguments(FULL)
        assert arguments(TRAINING)[-2:] == ["--trainer-account", "fairlead-trainer"]

    def test_workers_and_ranks_call_each_other_and_workers_the_api_server(self) -> None:
        found = of_kind("NetworkPolicy", TRAINING)
        among = found["fairlead-training"]["spec"]
        (expression,) = among["podSelector"]["matchExpressions"]
        assert expression["values"] == ["worker", "rank"]
        assert among["policyTypes"] == ["Egress"]
        assert among["egress"] == [{"to": [{"podSelector": among["podSelector"]}]}]
        trainer = found["fairlead-trainer"]["spec"]
        assert trainer["egress"] == [{"ports": [{"port": 6443, "protocol": "TCP"}]}]
        assert component(trainer["podSelector"]) == "worker"

    def test_any_rank_calls_a_worker_but_no_policy_of_the_installation_lets_one_be_called(
        self,
    ) -> None:
        found = [one["spec"] for one in of_kind("NetworkPolicy", TRAINING).values()]
        called = {component(one["podSelector"]): one for one in found if one.get("ingress")}
        assert called["worker"]["ingress"] == [
            {"from": [{"podSelector": {"matchLabels": selected("rank")}}]}
        ]
        assert not {"rank", None}.intersection(called)

    def test_workers_of_keda_have_its_token_too(self) -> None:
        for training in (False, True):
            installation = replace(FULL, keda=KedaWorkers(), training=training)
            job = of_kind("ScaledJob", installation)["fairlead-workers"]["spec"]["jobTargetRef"]
            spec = job["template"]["spec"]
            assert spec["automountServiceAccountToken"] is training
            assert spec["serviceAccountName"] == ("fairlead-trainer" if training else "fairlead")


class TestSecrets:
    @pytest.mark.parametrize("installation", ALL)
    def test_no_secret_is_in_anything_but_a_secret(self, installation: Installation) -> None:
        others = [one for one in written(installation) if one["kind"] != "Secret"]
        assert not [text for text in texts(others) if "secret-" in text]

    @pytest.mark.parametrize("installation", ALL)
    def test_what_is_printed_has_placeholders_alone(self, installation: Installation) -> None:
        printed = list(manifests(installation))
        secrets = [one for one in printed if one["kind"] == "Secret"]
        assert secrets
        for one in secrets:
            assert "data" not in one
            assert set(one["stringData"].values()) == {PLACEHOLDERS.token}
        assert not [text for text in texts(printed) if "secret-" in text]

    def test_those_that_are_made_up_differ_each_time(self) -> None:
        one, other = generated(), generated()
        for name in ("postgresql", "rabbitmq", "token", "endpoint_token", "tokens_file"):
            assert len(getattr(one, name)) >= 32
            assert getattr(one, name) != getattr(other, name)
        assert one.token not in one.tokens_file


class TestNetwork:
    def test_nothing_is_let_in_or_out_but_for_the_other_policies(self) -> None:
        spec = of_kind("NetworkPolicy")["fairlead-default-deny"]["spec"]
        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_the_database_takes_connections_of_programs_alone(self) -> None:
        (rule,) = of_kind("NetworkPolicy")["fairlead-postgresql"]["spec"]["ingress"]
        (peer,) = rule["from"]
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "fairlead"}
        assert rule["ports"] == [{"port": 5432, "protocol": "TCP"}]

    def test_stores_elsewhere_are_reached_at_their_ports(self) -> None:
        found = of_kind("NetworkPolicy", ELSEWHERE)
        for name, port in (("ledger", 6000), ("queue", 5671), ("artifacts", 443)):
            (rule,) = found[f"fairlead-{name}"]["spec"]["egress"]
            assert rule == {"ports": [{"port": port, "protocol": "TCP"}]}

    def test_each_port_of_a_pod_is_let_in(self) -> None:
        let_in = {
            port["port"]
            for policy in of_kind("NetworkPolicy").values()
            for rule in policy["spec"].get("ingress", ())
            for port in rule["ports"]
        }
        listening = {
            port["containerPort"]
            for _, spec in pods(FULL)
            for port in spec["containers"][0]["ports"]
        }
        assert let_in == listening


@pytest.mark.parametrize("installation", ALL)
def test_each_object_has_the_labels_by_which_it_is_found(installation: Installation) -> None:
    for one in written(installation):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "fairlead"
        assert labels["app.kubernetes.io/component"]
        assert labels["fairlead.dev/installed"] == "true"


@pytest.mark.parametrize("installation", ALL)
def test_no_two_objects_are_the_same_and_all_are_in_the_namespace(
    installation: Installation,
) -> None:
    found = [(one["kind"], one["metadata"]["name"]) for one in written(installation)]
    assert len({*found}) == len(found)
    for one in written(installation):
        if one["kind"] not in {"Namespace", "CustomResourceDefinition"}:
            assert one["metadata"]["namespace"] == installation.namespace


def test_what_an_earlier_installation_had_more_is_superfluous() -> None:
    less, passwords = replace(FULL, rabbitmq=None), SECRETS.passwords
    names = [
        (type(one).__name__, one.metadata.name)
        for one in superfluous(objects(less, passwords), objects(FULL, passwords))
    ]
    assert sorted(names) == [
        ("NetworkPolicy", "fairlead-queue"),
        ("NetworkPolicy", "fairlead-rabbitmq"),
        ("Service", "rabbitmq"),
        ("StatefulSet", "rabbitmq"),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": "fairlead"}, "other than latest"),
        ({"image": "example.org:5000/fairlead:latest"}, "other than latest"),
        ({"namespace": "Trials"}, "lower-case letters"),
        ({"postgresql": None}, "on PostgreSQL"),
        ({"postgresql": None, "ledger": "sqlite:////srv/ledger.db"}, "on PostgreSQL"),
        ({"queue": "postgresql://db"}, "RabbitMQ"),
        ({"artifacts": "file:///srv"}, "no folder of this machine"),
        ({"claim": Claim(size="ten")}, "quantity"),
    ],
)
def test_what_cannot_be_installed_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        replace(FULL, **wrong)
    assert "\n" not in str(refused.value)


def test_a_digest_stands_for_a_tag() -> None:
    assert replace(FULL, image=f"example.org/fairlead@sha256:{'0' * 64}")


class TestKeda:
    """Workers that KEDA starts."""

    WITH = replace(FULL, keda=KedaWorkers(most=5, cpu="500m", memory="2Gi"))

    def job(self) -> dict[str, Any]:
        (scaled,) = of_kind("ScaledJob", self.WITH).values()
        return dict(scaled["spec"]["jobTargetRef"])

    def test_it_asks_for_open_tasks_by_a_role_of_its_own(self) -> None:
        (scaled,) = of_kind("ScaledJob", self.WITH).values()
        assert (scaled["apiVersion"], scaled["spec"]["maxReplicaCount"]) == ("keda.sh/v1alpha1", 5)
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["type"] == "postgresql"
        assert trigger["metadata"]["query"] == "SELECT ready + running FROM fairlead_load"
        assert trigger["metadata"]["userName"] == "fairlead_keda"
        assert "password" not in str(trigger)
        (login,) = of_kind("TriggerAuthentication", self.WITH).values()
        assert trigger["authenticationRef"] == {"name": login["metadata"]["name"]}
        assert login["spec"]["secretTargetRef"] == [
            {"parameter": "password", "name": "fairlead-keda", "key": "password"}
        ]

    def test_the_role_is_made_before_the_server_starts(self) -> None:
        (server,) = [spec for name, spec in pods(self.WITH) if name == "fairlead-server"]
        (first,) = server["initContainers"]
        assert first["args"] == ["ledger", "grants", "fairlead_keda", "--for", "scaler", "--apply"]
        password = {"secretKeyRef": {"key": "password", "name": "fairlead-keda"}}
        assert {"name": "FAIRLEAD_ROLE_PASSWORD", "valueFrom": password} in first["env"]
        assert first["securityContext"] == RESTRICTED

    def test_a_worker_is_never_taken_and_ends_by_itself(self) -> None:
        (scaled,) = of_kind("ScaledJob", self.WITH).values()
        assert scaled["spec"]["rollout"] == {"strategy": "gradual"}
        pod = self.job()["template"]
        assert pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
        (worker,) = pod["spec"]["containers"]
        assert worker["args"][:5] == ["worker", "--name", "$(POD_NAME)", "--idle-seconds", "30"]
        assert worker["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
        assert worker["securityContext"] == RESTRICTED
        assert pod["spec"]["restartPolicy"] == "Never"

    def test_the_operator_starts_no_workers_then(self) -> None:
        for installation, has in ((self.WITH, True), (FULL, False)):
            (operator,) = [spec for name, spec in pods(installation) if name == "fairlead-operator"]
            assert ("--no-workers" in operator["containers"][0]["args"]) is has

    def test_kedas_operator_alone_may_come_in_from_elsewhere(self) -> None:
        policy = of_kind("NetworkPolicy", self.WITH)["fairlead-keda"]["spec"]
        (rule,) = policy["ingress"]
        (peer,) = rule["from"]
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "keda-operator"}
        assert [port["port"] for port in rule["ports"]] == [5432]

    def test_a_ledger_elsewhere_has_no_role_made_in_it(self) -> None:
        with pytest.raises(Invalid, match="KEDA's role is made in the PostgreSQL"):
            replace(ELSEWHERE, keda=KedaWorkers())

    def test_a_quantity_that_is_none_is_refused(self) -> None:
        with pytest.raises(Invalid, match="a worker's CPU must be a quantity"):
            KedaWorkers(cpu="much")
