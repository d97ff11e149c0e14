"""`python -m worker look`: tells the faces of files, for `facematch quality`, which has no store.

On standard input the path of a picture a line, as JSON; on standard output, in the same order, what
`Answer.line` makes of each, behind a line with the model and its calibration.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TextIO

from facematch.errors import FacematchError, Rejected
from facematch.requested import Answer
from worker.looking import Looker

#: Of one thread each: no more pictures are in memory.
_AHEAD = 4


def look(paths: Iterable[str], looker: Looker, threads: int) -> Iterator[Answer]:
    """What is seen in each file, in their order, with so many threads."""
    waiting = iter(paths)
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(waiting, threads * _AHEAD)):
            yield from pool.map(lambda path: _look(path, looker), some)


def answer_all(asked: TextIO, told: TextIO, looker: Looker, threads: int) -> None:
    """Answer every line."""
    paths = (str(json.loads(line)) for line in asked)
    for answer in look(paths, looker, threads):
        told.write(answer.line() + "\n")
        told.flush()


def _look(path: str, looker: Looker) -> Answer:
    try:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise Rejected("unreadable", error.strerror or "") from error
        seen = looker.look(data)
    except FacematchError as error:
        return Answer(path, code=error.code)
    return Answer(path, seen.width, seen.height, list(seen.faces))
