"""The names of collections and of their editions. They are part of URLs, of Redis keys and of
metrics.

An *edition* is a collection as one model sees it: its images with their faces, its log and its
match sets. There is one, number 0, until a reindex to another encoder makes the next.
"""

import re

#: The collection of whoever names none.
DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_EDITION = re.compile(rf"({_NAME.pattern})(?:~([1-9][0-9]{{0,8}}))?")
_SERVED = "?"


def is_name(text: str) -> bool:
    """Whether it is the name of a collection, there or not."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name itself. Raises ValueError for what is no name of a collection."""
    if not is_name(name):
        raise ValueError(
            "a collection's name is up to 63 lower-case letters, digits, _ and -, the first of them"
            " a letter or a digit"
        )
    return name


def edition_name(collection: str, number: int) -> str:
    """The name of an edition: that of the collection for number 0. Raises ValueError."""
    return f"{check_name(collection)}~{number}" if number else check_name(collection)


def check_edition(name: str) -> str:
    """The name itself. Raises ValueError for what is no name of an edition."""
    if _EDITION.fullmatch(name) is None:
        check_name(name.partition("~")[0])
        raise ValueError("an edition's name is that of a collection, ~ and its number")
    return name


def collection_of(name: str) -> str:
    """The collection of which this is the name of an edition. Raises ValueError."""
    return check_edition(name).partition("~")[0]


def whose(name: str) -> str:
    """The collection that this name of an edition, or of the one that is served, is about. Raises
    ValueError."""
    return collection_of(name.removesuffix(_SERVED))


def served_name(collection: str) -> str:
    """What stands for the edition that is served at the time. Raises ValueError."""
    return check_name(collection) + _SERVED


def base_prefix(name: str) -> str:
    """What the Redis keys begin with that all editions of a collection share. Raises ValueError."""
    return f"fm:{{{whose(name)}}}:"


def key_prefix(name: str) -> str:
    """What the Redis keys of an edition begin with; for `served_name`, what scripts take for that.
    Raises ValueError for neither."""
    if name.endswith(_SERVED):
        return base_prefix(name) + _SERVED
    number = check_edition(name).partition("~")[2]
    return base_prefix(name) + (f"~{number}:" if number else "")
