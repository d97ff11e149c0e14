"""What match sets say of people, as a service gives them: for `benchmarks.quality`.

All pictures of the reference go into a service whose collection keeps no more than one false match
of a face; every match set is read back. Then other policies are applied to it by a reindex. A match
is right when both pictures are in one person's folder; a picture with several faces matches for the
others, too, which counts as wrong.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.pictures import Reference
from benchmarks.report import Measure, Report, Table
from benchmarks.services import embedded
from benchmarks.sources import Picture, folder_pictures
from benchmarks.submitting import Submitting
from facematch import fsck
from facematch.client import Client
from facematch.faces import image_hash
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore

_SHORT = 300
_CONCURRENCY = 16


@dataclass(frozen=True)
class _Policy:
    threshold: float
    max_false_matches: float | None

    def __str__(self) -> str:
        bound = self.max_false_matches
        return f"threshold {self.threshold:g}" if bound is None else f"max_false_matches {bound:g}"

    @property
    def arguments(self) -> list[str]:
        """Those of `facematch reindex`."""
        bound = "none" if self.max_false_matches is None else repr(self.max_false_matches)
        return ["--threshold", repr(self.threshold), "--max-false-matches", bound]


_FIRST, *_OTHERS = (_Policy(0.6, 1.0), _Policy(0.6, None), _Policy(0.5, None))


def measure_served(report: Report, reference: Reference, short: bool) -> None:
    """Add it to the report; `short`: of some pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder_pictures(reference.folder / "lfw", _SHORT if short else None, folder)
        people = {image_hash(one.read()): one.name.split("/")[0] for one in pictures}
        settings = {
            "threshold": repr(_FIRST.threshold),
            "max_false_matches": repr(_FIRST.max_false_matches),
        }
        rows = []
        with (
            embedded(folder, 1, lambda line: None, **settings) as service,
            Client(service.url) as client,
            closing(connect(service.redis_url)) as redis,
        ):
            work = _submit(client, pictures)
            report.require("no picture fails", not work.failed, f"{len(work.ended):,} pictures")
            for policy in (_FIRST, *_OTHERS):
                if policy is not _FIRST:
                    _reindex(folder / "data", policy)
                rows.append(_judged(report, str(policy), client, people))
                found = fsck.run(RedisStore(redis))
                detail = f"{len(found.findings)} findings, {found.unfinished} unfinished"
                right = not found.findings and not found.unfinished
                report.require(f"{policy}: fsck finds nothing", right, detail)
    head = ("match sets as served", "matches", "precision", "recall", "false expected", "false")
    report.tables.append(Table(head, rows))


def _submit(client: Client, pictures: Sequence[Picture]) -> Submitting:
    work = Submitting(client, _CONCURRENCY)
    with tqdm(total=len(pictures), desc="pictures", disable=None) as bar:

        def tick() -> None:
            bar.update(len(work.ended) - bar.n)

        work.run(pictures, tick)
    return work


def _reindex(data: Path, policy: _Policy) -> None:
    for arguments in ([*policy.arguments, "--most-change", "1", "--no-fsck"], ["drop"]):
        command = [sys.executable, "-m", "facematch", "reindex", *arguments, "--data", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)


def _judged(
    report: Report, policy: str, client: Client, people: Mapping[str, str]
) -> tuple[str, ...]:
    matches = right = 0
    expected = 0.0
    for image, person in tqdm(people.items(), policy, disable=None):
        expected += client.matches(image, limit=1).expected_false_matches or 0.0
        for match in client.all_matches(image):
            matches += 1
            right += people[match.hash] == person
    wanted = sum(size * (size - 1) for size in Counter(people.values()).values())
    precision, recall = right / max(1, matches), right / max(1, wanted)
    report.details += [
        Measure(f"served, {policy}: precision", precision, "", more_is_better=True),
        Measure(f"served, {policy}: recall", recall, "", more_is_better=True),
    ]
    told = [f"{value / len(people):,.3g} an image" for value in (expected, matches - right)]
    return (policy, f"{matches:,}", f"{precision:.4f}", f"{recall:.4f}", *told)
