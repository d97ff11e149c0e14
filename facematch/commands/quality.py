"""`facematch quality`: a worker's encoder looks at pictures of known people; pairs are counted."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facematch.calibration import NAMES, calibration
from facematch.embedded import environment
from facematch.errors import Misconfigured, Rejected
from facematch.faces import DIMENSIONS, Encodings
from facematch.ingest.source import entries
from facematch.labelled import Advice, Labelled, Setting, advise, by_false_matches, by_threshold
from facematch.labelled import judge as count_pairs
from facematch.progress import Update
from facematch.requested import Answer

#: Where nobody says how large the collection is.
SIZES = (1_000, 100_000, 10_000_000)
_THRESHOLDS = (0.6, 0.55, 0.5, 0.45, 0.4)
_FALSE_MATCHES = (100.0, 10.0, 1.0, 0.1)


@dataclass(frozen=True)
class Request:
    """What is asked for. `most`: false matches of a face that are accepted."""

    folder: Path
    sizes: Sequence[int]
    threshold: float
    most: float


@dataclass(frozen=True, eq=False)
class People:
    """The faces of known people: `encodings` (n, 128), and of each the number of its person, (n,).
    `failed`: how many pictures there were without, by code; "" for those without a face."""

    encodings: Encodings
    people: NDArray[np.int64]
    names: Sequence[str]
    calibration: str
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, eq=False)
class Told:
    """What the command says."""

    shown: People
    labelled: Labelled
    sizes: Sequence[int]
    thresholds: Sequence[Setting]
    false_matches: Sequence[Setting]
    advice: Sequence[Advice]


def run(request: Request, shown: Update) -> Told:
    """Look at all pictures, and judge. Raises Rejected("unreadable"), Rejected("bad_request") for
    a folder in which nothing can be compared, and Misconfigured without an encoder."""
    return judged(look(request.folder, shown), request)


def judged(people: People, request: Request) -> Told:
    """What these faces say. Raises Rejected("bad_request") where nothing can be compared."""
    same = np.bincount(people.people).max(initial=0) > 1
    if len(np.unique(people.people)) < 2 or not same:
        raise Rejected(
            "bad_request",
            f"in {request.folder} there must be a folder for each person, of two people at least,"
            f" and of one of them two pictures with a face: faces of {len(people.people)} pictures"
            " were found",
        )
    own = calibration(people.calibration)
    labelled = count_pairs(people.encodings, people.people, own, request.threshold)
    return Told(
        people,
        labelled,
        request.sizes,
        [by_threshold(labelled, threshold, 1) for threshold in _THRESHOLDS],
        [by_false_matches(labelled, m, size) for size in request.sizes for m in _FALSE_MATCHES],
        [advise(labelled, size, request.most) for size in request.sizes],
    )


def look(folder: Path, shown: Update) -> People:
    """The face nearest to the middle of each picture below the folders of a folder."""
    if not folder.is_dir():
        raise Rejected("unreadable", f"{folder} is no folder")
    files = sorted(
        (entry.name.split("/")[0], str(entry.path.absolute()))
        for entry in entries(folder)
        if entry.path is not None and "/" in entry.name
    )
    names = sorted({person for person, _ in files})
    numbers = {name: number for number, name in enumerate(names)}
    encodings, people, failed = [], [], Counter[str]()
    with _worker([path for _, path in files]) as answers:
        first = next(answers, "")
        for done, ((person, _), line) in enumerate(zip(files, answers, strict=False), 1):
            try:
                answer = Answer.of(line)
            except (ValueError, KeyError, TypeError) as error:
                raise Misconfigured(f"the worker says what is no answer: {line!r:.200}") from error
            face = answer.central()
            if face is None:
                failed[answer.code] += 1
            else:
                encodings.append(face.encoding)
                people.append(numbers[person])
            shown(done, len(files))
    rated_by = str(json.loads(first)["calibration"])
    if rated_by not in NAMES:
        raise Misconfigured("the encoder has no calibration, so there are no false match rates")
    found = np.array(encodings, dtype=np.float32).reshape(-1, DIMENSIONS)
    return People(found, np.array(people, dtype=np.int64), names, rated_by, failed)


@contextmanager
def _worker(paths: Sequence[str]) -> Iterator[Iterator[str]]:
    """What one says of these files, line by line. Raises Misconfigured when it fails."""
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as complaints:
        asked.writelines(json.dumps(path) + "\n" for path in paths)
        asked.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker", "look"],
            env=environment(),
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        with process:
            try:
                yield iter(process.stdout or ())
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            complaints.seek(0)
            said = complaints.read().strip().splitlines() or [""]
            raise Misconfigured(f"no worker can look at pictures here: {said[-1]}")
