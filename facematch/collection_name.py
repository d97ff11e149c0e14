"""The names of collections. They are part of URLs, of Redis keys and of metrics."""

import re

#: The collection of whoever names none.
DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_name(name: str) -> str:
    """The name itself. Raises ValueError for what is no name of a collection."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "a collection's name is up to 63 lower-case letters, digits, _ and -, the first of them"
            " a letter or a digit"
        )
    return name
