"""Users of Redis with the rights that docs/hardening.md gives them."""

import re
from pathlib import Path

import redis

from facematch.commands.functions import sources
from facematch.redis_connection import connect
from facematch.redis_functions import load

_DOCUMENT = Path(__file__).parents[1] / "docs" / "hardening.md"
PASSWORD = "swordfish"


def rules() -> dict[str, list[str]]:
    """The rights of each user, by name, as the document has them."""
    lines = re.findall(r"^user (\S+) on #<[^>]+> (.+)$", _DOCUMENT.read_text(), re.MULTILINE)
    return {name: rights.split() for name, rights in lines}


def url_of(port: int, user: str) -> str:
    """Where a Redis on this machine is for a user of that document, who is made, with the functions
    of this version."""
    with redis.Redis(port=port) as client:
        client.execute_command(
            "ACL", "SETUSER", user, "reset", "on", f">{PASSWORD}", *rules()[user]
        )
    with connect(f"redis://127.0.0.1:{port}/0") as client:
        load(client, sources())
    return f"redis://{user}:{PASSWORD}@127.0.0.1:{port}/0"
