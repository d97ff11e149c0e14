"""Match sets are kept small by every Redis that comes with facematch."""

import re
from pathlib import Path

import yaml

from facematch import valkey
from facematch.redis_connection import connect
from facematch.redis_sizes import LISTPACK, LISTPACK_ENTRIES, listpack_entries
from facematch.sizing import SHORT_SET

ROOT = Path(__file__).parents[2]


def test_all_configurations_say_the_same() -> None:
    embedded = valkey.command(Path("/"), Path("/socket"))
    assert embedded[embedded.index(f"--{LISTPACK}") + 1] == str(LISTPACK_ENTRIES)
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["redis"]["command"]
    assert composed[composed.index(f"--{LISTPACK}") + 1] == str(LISTPACK_ENTRIES)
    assert SHORT_SET == LISTPACK_ENTRIES
    conf = (ROOT / "k8s" / "base" / "redis.conf").read_text()
    assert re.findall(f"^{LISTPACK} (.*)$", conf, re.MULTILINE) == [str(LISTPACK_ENTRIES)]


def test_a_server_says_how_it_keeps_them(redis_url: str) -> None:
    with connect(redis_url) as client:
        client.config_set(LISTPACK, 77)
        assert listpack_entries(client) == 77
