"""Whether the manifests say what the code says: settings, ports, probes, sockets, queues, times."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from api.server import _GRACE_SECONDS as API_GRACE
from facematch.cli import main as command
from facematch.job import REINDEX_QUEUE, queue_of
from facematch.probe import ALIVE, READY
from facematch.settings import PREFIX, Settings
from facematch.sidecar import socket_path
from facematch.sizing import STORE_ROOM
from k8s.checks.manifests import Manifests, Pod
from k8s.checks.rendering import ROOT
from worker.sandbox import _CLOCK_TIMES, _GRACE_SECONDS
from worker.telling import CNN_TIMES

_IMAGE = re.compile(r"(?:^|/)facematch-(?P<target>[a-z-]+)(?:[:@]|$)")
_PROBES = {"startupProbe": ALIVE, "livenessProbe": ALIVE, "readinessProbe": READY}
_CACHE = "/var/cache/facematch"


def findings(manifests: Manifests, targets: list[str]) -> Iterator[str]:
    """What is wrong, a line each. `targets`: of the Dockerfile."""
    for pod in manifests.pods:
        for container in pod.containers:
            where = f"{pod}, container {container['name']}"
            found = _IMAGE.search(container["image"])
            if found is None:
                continue
            if found["target"] not in targets:
                yield f"{where}: the Dockerfile has no target {found['target']}"
            try:
                yield from (f"{where}: {wrong}" for wrong in _of_ours(manifests, pod, container))
                yield from (f"{where}: {wrong}" for wrong in _time(manifests, pod, container))
            except ValidationError as error:
                for one in error.errors():
                    yield f"{where}: {PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}"
    yield from _queues(manifests)
    yield from _searches(manifests)
    yield from _redis_memory(manifests)


def _of_ours(manifests: Manifests, pod: Pod, container: dict[str, Any]) -> Iterator[str]:
    environment = manifests.environment(container)
    for name, value in environment.items():
        if (
            name.startswith(PREFIX)
            and name.removeprefix(PREFIX).lower() not in Settings.model_fields
        ):
            yield f"there is no setting {name}"
        for unknown in re.findall(r"\$\((\w+)\)", value or ""):
            yield f"{name} refers to {unknown}, which is not set before it"
    settings = _settings(environment)
    yield from _servers(manifests, settings, environment)
    yield from _probes(container, settings, environment)
    listening = {
        value for key, value in settings.model_dump().items() if key.split("_")[-1] == "port"
    }
    for port in container.get("ports", ()):
        if port["containerPort"] not in listening:
            yield f"no setting has it listen on {port['containerPort']}"
    yield from _metrics(pod, container, settings)
    mounts = {one["mountPath"]: one["name"] for one in container.get("volumeMounts", ())}
    name = container["name"]
    if name == "api":
        if settings.port not in [port["containerPort"] for port in container.get("ports", ())]:
            yield f"it listens on {settings.port}, and has no such port"
        if not any(PurePosixPath(settings.ledger).is_relative_to(path) for path in mounts):
            yield f"there is no volume for the ledger, {settings.ledger}"
    if name in ("worker", "index", "task") and _CACHE not in mounts:
        yield f"there is no volume at {_CACHE}"
    if name in ("worker", "index") and environment.get("FACEMATCH_INDEX_URL"):
        folder = str(PurePosixPath(socket_path(settings.index_url.get_secret_value())).parent)
        sidecar = pod.container("index")
        if sidecar is None or sidecar.get("restartPolicy") != "Always":
            yield "its index is not a sidecar: an init container with restartPolicy Always"
        volumes = {one["name"]: one for one in pod.spec["volumes"]}
        if folder not in mounts:
            yield f"there is no volume for the socket, at {folder}"
        elif volumes[mounts[folder]].get("emptyDir", {}).get("medium") != "Memory":
            yield f"the volume of the socket, at {folder}, is not in memory"
        elif sidecar and mounts[folder] not in [one["name"] for one in sidecar["volumeMounts"]]:
            yield "it has another socket than its index"
    if name == "task" and container["args"][0] not in command.commands:
        yield f"there is no command {container['args'][0]}"


def _settings(environment: dict[str, str | None]) -> Settings:
    named = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value is not None
    }
    return Settings.model_validate(named)


def _servers(
    manifests: Manifests, settings: Settings, environment: dict[str, str | None]
) -> Iterator[str]:
    """A URL leads to a Service, on a port that this one has."""
    for name in ("redis_url", "broker_url"):
        if f"{PREFIX}{name.upper()}" not in environment:
            continue
        url = urlsplit(getattr(settings, name).get_secret_value())
        expected = urlsplit(Settings.model_fields[name].default.get_secret_value())
        if url.port != expected.port:
            yield f"{PREFIX}{name.upper()} leads to {url.hostname}:{url.port}"
        service = manifests.named("Service", str(url.hostname))
        if service is None:
            # The operator makes one for its object.
            if manifests.named("RabbitmqCluster", str(url.hostname)) is None:
                yield f"there is no Service {url.hostname}"
        elif url.port not in [port["port"] for port in service["spec"]["ports"]]:
            yield f"the Service {url.hostname} has no port {url.port}"


def _searches(manifests: Manifests) -> Iterator[str]:
    """The api has workers search where they listen, and gets the address of each."""
    found = {one["name"]: one for pod in manifests.pods for one in pod.containers}
    container = found["worker"]
    try:
        asking, listening = (
            _settings(manifests.environment(found[name])) for name in ("api", "worker")
        )
    except ValidationError:
        return  # said of the container
    url = urlsplit(asking.search_url)
    service = manifests.named("Service", str(url.hostname))
    if service is None:
        yield f"the api has {url.hostname} search, which is no Service"
        return
    if service["spec"].get("clusterIP") != "None":
        yield f"the Service {url.hostname} has one address, and the api needs that of each worker"
    targets = [one["targetPort"] for one in service["spec"]["ports"] if one["port"] == url.port]
    named = {one["name"]: one["containerPort"] for one in container.get("ports", ())}
    ports = [named.get(target, target) for target in targets]
    # Of a Service without an address the port is that of the pod itself.
    if ports != [listening.search_port] or url.port != listening.search_port:
        yield f"the api has port {url.port} search, and workers listen on {listening.search_port}"
    if listening.search_host == Settings.model_fields["search_host"].default:
        yield f"workers listen for searches on {listening.search_host}, where the api cannot ask"
    for policy, side in (("api", "egress"), ("search", "ingress")):
        rules = (manifests.named("NetworkPolicy", policy) or {"spec": {}})["spec"].get(side, ())
        open_ = {one.get("port") for rule in rules for one in rule.get("ports", ())}
        if listening.search_port not in open_:
            yield f"the NetworkPolicy {policy} does not let searches through"


def _probes(
    container: dict[str, Any], settings: Settings, environment: dict[str, str | None]
) -> Iterator[str]:
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    for kind, path in _PROBES.items():
        probe = container.get(kind, {})
        if "httpGet" in probe:
            asked = probe["httpGet"]
            port = ports.get(asked["port"], asked["port"])
            if port != settings.port:
                yield f"the {kind} asks port {port}, and it listens on {settings.port}"
            if asked["path"] != path:
                yield f"the {kind} asks {asked['path']}, not {path}"
        elif "exec" in probe:
            *program, url = probe["exec"]["command"]
            if program != ["python", "-m", "facematch.probe"]:
                yield f"the {kind} runs {program}"
            socket = socket_path(settings.index_url.get_secret_value())
            if url != f"unix:{socket}:{path}":
                yield f"the {kind} asks {url}, not unix:{socket}:{path}"
        elif container["name"] in ("api", "index") or (
            container["name"] == "worker"
            and kind == "readinessProbe"
            and environment.get("FACEMATCH_INDEX_URL")
        ):
            yield f"there is no {kind}"


def _metrics(pod: Pod, container: dict[str, Any], settings: Settings) -> Iterator[str]:
    """Where it tells its metrics is a port by the name that scrape.yaml looks for."""
    if container["name"] not in ("api", "worker", "index"):
        return
    named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    name, told = f"metrics-{container['name']}", settings.metrics_port
    others = [one for one in pod.containers if one is not container]
    if not re.fullmatch(_scraped(), name):
        yield f"k8s/scrape.yaml does not look for {name}"
    if told == 0 or named.get(name) != told:
        yield f"its port {name} is {named.get(name)}, and it tells metrics on {told}"
    if settings.metrics_host == Settings.model_fields["metrics_host"].default:
        yield f"it tells metrics on {settings.metrics_host}, where nobody can ask"
    if told in [port["containerPort"] for one in others for port in one.get("ports", ())]:
        yield f"another container of the pod listens on {told}"


@cache
def _scraped() -> str:
    """Which names of ports Prometheus looks for: a regular expression."""
    (job,) = yaml.safe_load((ROOT / "k8s" / "scrape.yaml").read_text())
    (kept,) = [one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"]
    return str(kept)


def _time(manifests: Manifests, pod: Pod, container: dict[str, Any]) -> Iterator[str]:
    """Who is told to end has the time to finish what it has in hand."""
    grace, needed = pod.spec.get("terminationGracePeriodSeconds", 30), 0.0
    if container["name"] == "api":
        stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        needed = API_GRACE + (float(stop[-1]) if stop else 0)
    elif container["name"] == "worker":
        settings = _settings(manifests.environment(container))
        look = _CLOCK_TIMES * settings.picture_seconds
        if settings.detector == "cnn":
            look *= CNN_TIMES
        # Once beside others and, where that takes too much memory, once alone.
        needed = settings.fetch_timeout + _GRACE_SECONDS + 2 * look
    if grace < needed:
        yield f"it has {grace} s to end, and may need {needed:.0f}"


def _redis_memory(manifests: Manifests) -> Iterator[str]:
    """Redis refuses writes before it is killed, also while it rewrites its file."""
    (told,) = [one["data"]["redis.conf"] for one in manifests.of("ConfigMap") if _of_redis(one)]
    found = re.search(r"^maxmemory (\d+)gb$", told, re.MULTILINE)
    stateful = manifests.named("StatefulSet", "redis")
    if stateful is None or found is None:
        yield "redis.conf does not say, in gb, how much memory Redis may take"
        return
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    if int(found[1]) * STORE_ROOM > float(limit.removesuffix("Gi")):
        yield f"Redis may take {found[1]} GiB, and {STORE_ROOM:g} times that; its limit is {limit}"


def _of_redis(document: dict[str, Any]) -> bool:
    return "redis.conf" in document.get("data", {})


def _queues(manifests: Manifests) -> Iterator[str]:
    """KEDA looks at the queues that workers take from."""
    unwatched = {queue_of(0), queue_of(1), queue_of(12), REINDEX_QUEUE}
    for scaled in manifests.of("ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]["name"]
        deployment = manifests.named("Deployment", target)
        if deployment is None:
            yield f"KEDA scales {target}, which is no Deployment"
        elif "replicas" in deployment["spec"]:
            yield f"{target} says how many replicas it has, and KEDA does"
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] != "rabbitmq":
                yield f"there is no KEDA trigger {trigger['type']} for our broker"
                continue
            told = trigger["metadata"]
            host = urlsplit(told.get("host", ""))
            namespace = scaled["metadata"]["namespace"]
            if (host.hostname, host.port) != (f"rabbitmq.{namespace}.svc", 15672):
                yield f"KEDA asks {told.get('host')}"
            if (told.get("protocol"), host.scheme) != ("http", "http"):
                yield "KEDA has to ask over HTTP: otherwise messages in hand do not count"
            name = told["queueName"]
            pattern = name if told.get("useRegex") == "true" else re.escape(name)
            watched = {queue for queue in unwatched if re.fullmatch(pattern, queue)}
            if not watched:
                yield f"KEDA looks at {name}, and that is no queue of ours"
            unwatched -= watched
            if told.get("mode") != "QueueLength" or not float(told.get("value", 0)) > 0:
                yield f"KEDA scales by {told.get('mode')} {told.get('value')}"
            reference = trigger.get("authenticationRef", {}).get("name", "")
            if manifests.named("TriggerAuthentication", reference) is None:
                yield f"there is no TriggerAuthentication {reference}"
    if unwatched:
        yield f"KEDA does not look at {', '.join(sorted(unwatched))}"
