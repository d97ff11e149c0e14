"""Run by the Python of the tools' own environment: documents against the schemas of all versions of
Kubernetes from the one that is named on, and of KEDA. JSON in, a finding on each line out."""

import functools
import json
import sys
from typing import Any

import kubernetes_validate as kubernetes
from cloudcoil.models.keda import v1alpha1 as keda
from kubernetes_validate import utils
from pydantic import ValidationError


def of_kubernetes(document: dict[str, Any], version: str) -> str:
    """What is wrong with an object of this version; "" for nothing."""
    try:
        kubernetes.validate(document, version, strict=True)
    except kubernetes.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes.SchemaNotFoundError:
        return "no schema knows it"
    return ""


def of_keda(document: dict[str, Any]) -> str:
    """The same of one of KEDA's."""
    model = getattr(keda, document["kind"], None)
    if model is None:
        return "KEDA does not know it"
    try:
        model.model_validate_json(json.dumps(document), strict=True, extra="forbid")
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return ""


def main() -> None:
    """Read {"oldest": …, "unchecked": [API groups], "documents": {overlay: [...]}} and judge."""
    told = json.load(sys.stdin)
    oldest = tuple(map(int, told["oldest"].split(".")))
    versions = [utils.major_minor(one) for one in utils.all_versions()]
    versions = [one for one in versions if tuple(map(int, one.split("."))) >= oldest]
    sys.stderr.write(f"{versions[0]} to {versions[-1]}\n")
    # The same few files again and again.
    utils.schema_contents = functools.cache(utils.schema_contents)
    seen: set[str] = set()
    for overlay, documents in told["documents"].items():
        for document in documents:
            if (text := json.dumps(document, sort_keys=True)) in seen:
                continue
            seen.add(text)
            group = document["apiVersion"].partition("/")[0]
            where = f"{overlay}: {document['kind']} {document['metadata']['name']}"
            if group in told["unchecked"]:
                continue
            if group == "keda.sh":
                found = {"KEDA": of_keda(document)}
            else:
                found = {one: of_kubernetes(document, one) for one in versions}
            for version, wrong in found.items():
                if wrong:
                    sys.stdout.write(f"{where} ({version}): {wrong}\n")


if __name__ == "__main__":
    main()
