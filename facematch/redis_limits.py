"""The scripts with which `limits` counts, as ours are: so that they can be functions, too.

`limits` sends its own, which a Redis that takes no scripts refuses; and who puts functions there
need not have it installed. A test compares these with those of the version that is.
"""

from importlib.resources import files

from facematch.redis_functions import Source

_FOLDER = files("facematch") / "limit_scripts"


def _source(name: str) -> Source:
    return Source(name, (_FOLDER / f"{name}.lua").read_text())


#: What there is in the windows; and room taken in them.
LOOK, TAKE = _source("sliding_window"), _source("acquire_sliding_window")
