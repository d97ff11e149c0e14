"""Finding one's way in rendered manifests: objects, pods, containers, environments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k8s.checks.rendering import Document

_REFERENCE = re.compile(r"\$\((\w+)\)")


@dataclass(frozen=True)
class Pod:
    """What a workload makes pods of: the workload's kind and name, labels and the pod's spec."""

    kind: str
    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of them, the sidecars first."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    def container(self, name: str) -> dict[str, Any] | None:
        """The one of this name."""
        return next((one for one in self.containers if one["name"] == name), None)

    def matches(self, selector: dict[str, Any]) -> bool:
        """Whether a label selector means it."""
        if any(
            self.labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()
        ):
            return False
        return all(
            one["operator"] == "In" and self.labels.get(one["key"]) in one["values"]
            for one in selector.get("matchExpressions", ())
        )


class Manifests:
    """The documents of an overlay."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents

    def of(self, *kinds: str) -> list[Document]:
        """The objects of these kinds."""
        return [one for one in self.documents if one["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document | None:
        """The one of this kind and name."""
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    @property
    def pods(self) -> list[Pod]:
        """What there are pods of."""
        return list(self._pods())

    def _pods(self) -> Iterator[Pod]:
        for one in self.of("Deployment", "StatefulSet", "Job", "CronJob"):
            spec = one["spec"]
            template = (spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec)[
                "template"
            ]
            labels = template.get("metadata", {}).get("labels", {})
            yield Pod(one["kind"], one["metadata"]["name"], labels, template["spec"])

    def environment(self, container: dict[str, Any]) -> dict[str, str | None]:
        """What a container finds: values by name; None for one out of a Secret. References to
        others are filled in, those to a Secret's with `secret`."""
        found: dict[str, str | None] = {}
        for source in container.get("envFrom", ()):
            settings = self.named("ConfigMap", source["configMapRef"]["name"])
            found |= (settings or {}).get("data", {})
        for one in container.get("env", ()):
            value = one.get("value")
            if value is not None:
                value = _REFERENCE.sub(
                    lambda name: (found[name[1]] or "secret") if name[1] in found else name[0],
                    value,
                )
            found[one["name"]] = value
        return found
