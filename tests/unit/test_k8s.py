"""The manifests: they are right, and a mistake in one of them is found."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unprivileged import rules

from k8s.checks.__main__ import own_findings
from k8s.checks.accepted import ACCEPTED
from k8s.checks.manifests import Manifests
from k8s.checks.rendering import ToolMissingError, documents, overlays, render
from k8s.checks.tools import schema_findings

Documents = list[dict[str, Any]]
Mistake = Callable[[Documents], object]


@pytest.fixture(scope="module")
def rendered() -> dict[str, Documents]:
    try:
        return {overlay: documents(render(overlay)) for overlay in overlays()}
    except ToolMissingError as error:
        pytest.skip(f"there is no {error}")


def test_users_of_redis_may_what_the_document_says() -> None:
    made = (Path(__file__).parents[2] / "k8s/make-secrets").read_text()
    users = re.findall(r"^ +user (\S+) reset on #\S+ \S+ (.+)$", made, re.MULTILINE)
    found = {name: rights.split() for name, rights in users}
    assert {"facematch", "functions", "backup"} < found.keys()
    assert all(rules().get(name, its) == its for name, its in found.items())


def one(found: Documents, kind: str, name: str) -> Any:
    made = Manifests(found).named(kind, name)
    assert made is not None
    return made


def pod(found: Documents, kind: str, name: str) -> Any:
    return one(found, kind, name)["spec"]["template"]["spec"]


def main(found: Documents, name: str = "api") -> Any:
    return pod(found, "Deployment", name)["containers"][0]


def sidecar(found: Documents) -> Any:
    return pod(found, "Deployment", "worker")["initContainers"][0]


def trigger(found: Documents) -> Any:
    return one(found, "ScaledObject", "worker")["spec"]["triggers"][0]


def test_every_overlay_is_without_a_finding(rendered: dict[str, Documents]) -> None:
    assert set(rendered) == {"local", "milvus", "production"}
    for overlay, found in rendered.items():
        assert own_findings(Manifests(found)) == [], overlay


def to_settings(name: str, value: str) -> Mistake:
    def plant(found: Documents) -> None:
        for document in Manifests(found).of("ConfigMap"):
            if document["metadata"]["name"].startswith("settings-"):
                document["data"][name] = value

    return plant


def probe_url(found: Documents, probe: str, url: str) -> None:
    sidecar(found)[probe]["exec"]["command"][-1] = url


SOCKET = "unix:/run/facematch/index.sock"
MISTAKES: dict[str, tuple[Mistake, str]] = {
    "a probe path of the api": (
        lambda d: main(d)["readinessProbe"]["httpGet"].update(path="/healthz"),
        "the readinessProbe asks /healthz, not /readyz",
    ),
    "a probe path of the index": (
        lambda d: probe_url(d, "livenessProbe", f"{SOCKET}:/readyz"),
        "the livenessProbe asks",
    ),
    "a probe that is missing": (
        lambda d: sidecar(d).pop("readinessProbe"),
        "there is no readinessProbe",
    ),
    "the container's port": (
        lambda d: main(d)["ports"][0].update(containerPort=8080),
        "no setting has it listen on 8080",
    ),
    "the setting of the port": (to_settings("FACEMATCH_PORT", "8080"), "it listens on 8080"),
    "the Service's port": (
        lambda d: one(d, "Service", "api")["spec"]["ports"][0].update(targetPort="web"),
        "Service api: no pod has a port web",
    ),
    "a port of Redis": (
        lambda d: one(d, "Service", "redis")["spec"]["ports"][0].update(port=6380),
        "the Service redis has no port 6379",
    ),
    "a port in a NetworkPolicy": (
        lambda d: one(d, "NetworkPolicy", "redis")["spec"]["ingress"][0]["ports"][0].update(
            port=6380
        ),
        "lets in on port 6380",
    ),
    "a port for metrics": (
        lambda d: sidecar(d)["ports"][0].update(containerPort=9464),
        "its port metrics-index is 9464, and it tells metrics on 9465",
    ),
    "metrics on the port of another": (
        lambda d: (
            sidecar(d)["env"][-1].update(value="9466"),
            sidecar(d)["ports"][0].update(containerPort=9466),
        ),
        "another container of the pod listens on 9466",
    ),
    "metrics that nobody can ask for": (
        to_settings("FACEMATCH_METRICS_HOST", "127.0.0.1"),
        "where nobody can ask",
    ),
    "the name of a port for metrics": (
        lambda d: main(d)["ports"][1].update(name="metrics"),
        "its port metrics-api is None",
    ),
    "the name of a Service": (
        lambda d: one(d, "Service", "redis")["metadata"].update(name="store"),
        "there is no Service redis",
    ),
    "an env name": (
        lambda d: main(d, "worker")["env"][-1].update(name="FACEMATCH_BROKER"),
        "there is no setting FACEMATCH_BROKER",
    ),
    "an env name in the settings": (
        to_settings("FACEMATCH_THRESHHOLD", "0.5"),
        "there is no setting FACEMATCH_THRESHHOLD",
    ),
    "an env value": (to_settings("FACEMATCH_LOGS", "yaml"), "FACEMATCH_LOGS"),
    "a reference to what is not set": (
        lambda d: main(d)["env"].pop(0),
        "refers to REDIS_PASSWORD",
    ),
    "a password that is written out": (
        lambda d: main(d)["env"][1].update(value="redis://facematch:secret@redis:6379/0"),
        "is not a reference to a Secret",
    ),
    "the socket of the probes": (
        lambda d: probe_url(d, "startupProbe", "unix:/run/index.sock:/healthz"),
        "the startupProbe asks unix:/run/index.sock",
    ),
    "the socket of the settings": (
        to_settings("FACEMATCH_INDEX_URL", "unix:/run/other/index.sock"),
        "there is no volume for the socket, at /run/other",
    ),
    "the socket's volume": (
        lambda d: sidecar(d)["volumeMounts"][0].update(name="tmp"),
        "it has another socket than its index",
    ),
    "a socket on disk": (
        lambda d: pod(d, "Deployment", "worker")["volumes"][0]["emptyDir"].pop("medium"),
        "is not in memory",
    ),
    "a sidecar that is none": (
        lambda d: sidecar(d).pop("restartPolicy"),
        "its index is not a sidecar",
    ),
    "a folder that is not there": (
        lambda d: main(d)["volumeMounts"][0].update(mountPath="/data"),
        "there is no volume for the ledger",
    ),
    "an image": (
        lambda d: main(d).update(image="localhost/facematch-web:1"),
        "the Dockerfile has no target web",
    ),
    "a command": (
        lambda d: one(d, "CronJob", "fsck")["spec"]["jobTemplate"]["spec"]["template"]["spec"][
            "containers"
        ][0].update(args=["check"]),
        "there is no command check",
    ),
    "too little time to end, for a worker": (
        lambda d: pod(d, "Deployment", "worker").update(terminationGracePeriodSeconds=30),
        "it has 30 s to end, and may need 112",
    ),
    "too little time to end, for the api": (
        lambda d: pod(d, "Deployment", "api").update(terminationGracePeriodSeconds=20),
        "it has 20 s to end, and may need 25",
    ),
    "a KEDA trigger's kind": (
        lambda d: trigger(d).update(type="kafka"),
        "there is no KEDA trigger kafka",
    ),
    "a KEDA trigger's queue": (
        lambda d: trigger(d)["metadata"].update(queueName="jobs"),
        "KEDA looks at jobs, and that is no queue of ours",
    ),
    "a queue that KEDA leaves out": (
        lambda d: trigger(d)["metadata"].update(queueName="facematch.jobs"),
        "KEDA does not look at facematch.jobs~1, facematch.jobs~12",
    ),
    "a KEDA trigger's protocol": (
        lambda d: trigger(d)["metadata"].update(protocol="amqp"),
        "KEDA has to ask over HTTP",
    ),
    "a KEDA trigger's credentials": (
        lambda d: trigger(d)["authenticationRef"].update(name="other"),
        "there is no TriggerAuthentication other",
    ),
    "what KEDA scales": (
        lambda d: one(d, "ScaledObject", "worker")["spec"]["scaleTargetRef"].update(name="jobs"),
        "KEDA scales jobs, which is no Deployment",
    ),
    "a number of workers beside KEDA's": (
        lambda d: one(d, "Deployment", "worker")["spec"].update(replicas=3),
        "worker says how many replicas it has, and KEDA does",
    ),
    "where workers search": (
        to_settings("FACEMATCH_SEARCH_URL", "http://workers:5001"),
        "the api has workers search, which is no Service",
    ),
    "the port that workers search on": (
        to_settings("FACEMATCH_SEARCH_PORT", "5002"),
        "the api has port 5001 search, and workers listen on 5002",
    ),
    "a worker that the api cannot have search": (
        to_settings("FACEMATCH_SEARCH_HOST", "127.0.0.1"),
        "workers listen for searches on 127.0.0.1, where the api cannot ask",
    ),
    "one address for all workers": (
        lambda d: one(d, "Service", "worker")["spec"].pop("clusterIP"),
        "the api needs that of each worker",
    ),
    "a way to search that is closed": (
        lambda d: d.remove(one(d, "NetworkPolicy", "search")),
        "the NetworkPolicy search does not let searches through",
    ),
    "a Redis that would be killed for its memory": (
        lambda d: pod(d, "StatefulSet", "redis")["containers"][0]["resources"]["limits"].update(
            memory="3Gi"
        ),
        "Redis may take 2 GiB, and 2 times that; its limit is 3Gi",
    ),
    "a root that can be written to": (
        lambda d: main(d)["securityContext"].update(readOnlyRootFilesystem=False),
        "its root can be written to",
    ),
    "a service account's token": (
        lambda d: pod(d, "StatefulSet", "redis").update(automountServiceAccountToken=True),
        "it gets a service account's token",
    ),
    "the way to the metadata of a cloud": (
        lambda d: one(d, "NetworkPolicy", "worker")["spec"]["egress"][2]["to"][0]["ipBlock"][
            "except"
        ].remove("169.254.0.0/16"),
        "lets out to 169.254.0.0/16",
    ),
    "no rule that forbids the rest": (
        lambda d: d.remove(one(d, "NetworkPolicy", "nothing")),
        "no NetworkPolicy forbids everything else",
    ),
    "a Secret": (
        lambda d: d.append({"kind": "Secret", "metadata": {"name": "keys"}}),
        "secrets are not part of the manifests",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_found(rendered: dict[str, Documents], what: str) -> None:
    plant, said = MISTAKES[what]
    found = copy.deepcopy(rendered["local"])
    plant(found)
    findings = own_findings(Manifests(found))
    assert [one for one in findings if said in one], findings


#: What the schemas find: no version of Kubernetes, or KEDA, would take it.
SCHEMA_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "the type of replicas": (
        lambda d: one(d, "StatefulSet", "redis")["spec"].update(replicas="1"),
        "StatefulSet redis (1.29): spec.replicas: '1' is not of type 'integer'",
    ),
    "the type of KEDA's replicas": (
        lambda d: one(d, "ScaledObject", "worker")["spec"].update(maxReplicaCount="10"),
        "ScaledObject worker (KEDA): spec.maxReplicaCount",
    ),
    "a KEDA trigger's value": (
        lambda d: trigger(d)["metadata"].update(value=200),
        "ScaledObject worker (KEDA): spec.triggers.0.metadata.value",
    ),
    "a KEDA trigger without a type": (
        lambda d: one(d, "ScaledObject", "worker")["spec"]["triggers"][0].pop("type"),
        "ScaledObject worker (KEDA): spec.triggers.0.type",
    ),
    "a field that KEDA does not have": (
        lambda d: one(d, "ScaledObject", "worker")["spec"].update(minReplicas=1),
        "ScaledObject worker (KEDA): spec.minReplicas",
    ),
    "a field that a probe does not have": (
        lambda d: main(d)["readinessProbe"]["httpGet"].update(url="/readyz"),
        "Deployment api (1.37): spec.template.spec.containers.0.readinessProbe.httpGet",
    ),
    "a kind that nobody knows": (
        lambda d: one(d, "PodDisruptionBudget", "api").update(apiVersion="policy/v1beta9"),
        "PodDisruptionBudget api (1.33): no schema knows it",
    ),
}


def test_the_schemas_find_what_is_not_of_their_form(rendered: dict[str, Documents]) -> None:
    planted = {}
    for what, (plant, _) in SCHEMA_MISTAKES.items():
        planted[what] = copy.deepcopy(rendered["local"])
        plant(planted[what])
    try:
        findings, versions = schema_findings(planted | rendered)
    except ToolMissingError as error:
        pytest.skip(f"there is no {error}: make k8s-check gets it")
    assert versions.startswith("1.29 to 1.3")
    for what, (_, said) in SCHEMA_MISTAKES.items():
        own = [one for one in findings if one.startswith(f"{what}: ")]
        assert [one for one in own if said in one], (what, own)
    assert not [one for one in findings if one.partition(":")[0] in rendered]


def test_what_is_accepted_of_checkov_is_explained() -> None:
    assert all(places and len(why) > 40 for places, why in ACCEPTED.values())
