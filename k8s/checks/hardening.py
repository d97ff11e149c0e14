"""Whether the manifests give no more than is needed (pods, network, Secrets), and whether what they
refer to is there."""

from collections.abc import Iterator
from typing import Any

from k8s.checks.manifests import Manifests, Pod

_METADATA = "169.254.0.0/16"


def findings(manifests: Manifests) -> Iterator[str]:
    """What is wrong, a line each."""
    for pod in manifests.pods:
        yield from (f"{pod}: {wrong}" for wrong in _of_pod(pod))
        for container in pod.containers:
            where = f"{pod}, container {container['name']}"
            yield from (f"{where}: {wrong}" for wrong in _of_container(container))
    for secret in manifests.of("Secret"):
        yield f"Secret {secret['metadata']['name']}: secrets are not part of the manifests"
    yield from _network(manifests)
    yield from _references(manifests)


def _of_pod(pod: Pod) -> Iterator[str]:
    context = pod.spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "it may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "it gets a service account's token"
    if pod.spec.get("enableServiceLinks") is not False:
        # A Service named facematch would set FACEMATCH_PORT.
        yield "Services set its environment"


def _of_container(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written to"
    if context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "it has capabilities"
    for kind in ("requests", "limits"):
        if container.get("resources", {}).get(kind, {}).keys() != {"cpu", "memory"}:
            yield f"it has no {kind} of cpu and memory"
    for one in container.get("env", ()):
        name, value = one["name"], one.get("value", "")
        if value and ("PASS" in name or ("://" in value and "@" in value and "$(" not in value)):
            yield f"{name} is not a reference to a Secret"


def _network(manifests: Manifests) -> Iterator[str]:
    policies = [one["spec"] for one in manifests.of("NetworkPolicy")]
    if not any(
        one["podSelector"] == {}
        and set(one["policyTypes"]) == {"Ingress", "Egress"}
        and not one.get("ingress")
        and not one.get("egress")
        for one in policies
    ):
        yield "no NetworkPolicy forbids everything else"
    for policy in policies:
        selected = [pod for pod in manifests.pods if pod.matches(policy["podSelector"])]
        ports = {
            port["containerPort"]
            for pod in selected
            for container in pod.containers
            for port in container.get("ports", ())
        }
        for rule in policy.get("ingress", ()):
            for port in rule.get("ports", ()):
                # Pods of an operator are not among the manifests.
                if selected and port["port"] not in ports | {4369, 25672}:
                    yield f"a NetworkPolicy lets in on port {port['port']}, where nobody listens"
        for rule in policy.get("egress", ()):
            for block in (one["ipBlock"] for one in rule.get("to", ()) if "ipBlock" in one):
                if block["cidr"] == "0.0.0.0/0" and _METADATA not in block.get("except", ()):
                    yield f"a NetworkPolicy lets out to {_METADATA}, where clouds tell secrets"
    for pod in manifests.pods:
        out = [one for one in policies if one["podSelector"] and pod.matches(one["podSelector"])]
        if not out:
            yield f"{pod}: no NetworkPolicy says whom it may talk to"


def _references(manifests: Manifests) -> Iterator[str]:
    for service in manifests.of("Service"):
        name, selector = service["metadata"]["name"], {"matchLabels": service["spec"]["selector"]}
        selected = [pod for pod in manifests.pods if pod.matches(selector)]
        ports = [
            port
            for pod in selected
            for container in pod.containers
            for port in container.get("ports", ())
        ]
        for one in service["spec"]["ports"]:
            if one["targetPort"] not in {port["name"] for port in ports} | {
                port["containerPort"] for port in ports
            }:
                yield f"Service {name}: no pod has a port {one['targetPort']}"
            if selected and service["spec"].get("clusterIP") == "None":
                # Its address is the pod's, where nobody translates ports.
                real = [p["containerPort"] for p in ports if one["targetPort"] in p.values()]
                if one["port"] not in real:
                    yield f"Service {name}: the pods listen on {real}, not on {one['port']}"
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted = path["backend"]["service"]
                service_there = manifests.named("Service", wanted["name"])
                if service_there is None or wanted["port"].get("name") not in {
                    port["name"] for port in service_there["spec"]["ports"]
                }:
                    yield f"Ingress: there is no Service {wanted['name']} with that port"
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        deployment = manifests.named(target["kind"], target["name"])
        if deployment is None or "replicas" in deployment["spec"]:
            yield f"HorizontalPodAutoscaler {target['name']}: nothing to scale"
    labels = [pod.labels for pod in manifests.pods]
    labels += [
        {"app.kubernetes.io/name": one["metadata"]["name"]}
        for one in manifests.of("RabbitmqCluster")
    ]
    for budget in manifests.of("PodDisruptionBudget"):
        wanted_labels = budget["spec"]["selector"]["matchLabels"].items()
        if not any(wanted_labels <= one.items() for one in labels):
            yield f"PodDisruptionBudget {budget['metadata']['name']}: there are no such pods"
