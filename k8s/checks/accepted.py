"""What checkov finds and we mean to have: for each of its checks, where, and why."""

_OURS = ("Deployment api", "Deployment worker", "CronJob fsck", "CronJob reindex")
_SERVERS = ("StatefulSet redis", "StatefulSet rabbitmq")

ACCEPTED: dict[str, tuple[tuple[str, ...], str]] = {
    "CKV_K8S_8": (
        ("Deployment worker",),
        "a worker listens nowhere, and ends by itself when it cannot go on; its sidecar is probed",
    ),
    "CKV_K8S_9": (
        ("Deployment worker",),
        "where Milvus is the index there is no socket to ask, and nobody sends a worker requests",
    ),
    "CKV_K8S_15": (
        (*_OURS, *_SERVERS),
        "a version names one image; with Always, pods could not start while the registry is down",
    ),
    "CKV_K8S_35": (
        (*_OURS, "StatefulSet rabbitmq"),
        "settings come by the environment; children that look at pictures do not inherit it",
    ),
    "CKV_K8S_43": (
        (*_OURS, *_SERVERS),
        "digests are of the images that an operator has built: kustomize edit set image",
    ),
}
