"""Makes an empty collection what an export says: `facematch import`.

Images keep their positions, so everything that depends on them is what it was: match sets with
their order, cursors, ids of faces. Broken off, it goes on where it stopped.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facematch.archive import ArchiveReader, FacePlace, Manifest, Part, PeopleLine
from facematch.archiving import LEASE_SECONDS, Archiving, Arrival, Pinned, Ticket
from facematch.errors import Conflict, Rejected
from facematch.exporting import AllPeople
from facematch.failpoints import reached
from facematch.people import Grouping, Regrouped, Said, face_id
from facematch.progress import Update
from facematch.store import Bounds, Generation, State, Store

#: Images, and matches, that are written by one step: bounds how long the store is busy with it.
_IMAGES, _MATCHES = 50, 2000
_FACES = 1000
#: See worker/grouping.py.
_GROUPING = "people"
_TRIES = 20


@dataclass(frozen=True)
class Imported:
    """`resumed_at`: the position up to which all was there already. `refused`: images that are not
    there because they were erased here after they were submitted there."""

    images: int
    faces: int
    matches: int
    people: int
    resumed_at: int
    refused: tuple[str, ...]
    ended_before: bool = False


def import_(
    store: Store,
    people: AllPeople,
    archiving: Archiving,
    archive: ArchiveReader,
    progress: Update = lambda done, total: None,
) -> Imported:
    """Write an export to a collection, which is made unless it exists, and must be empty.

    Raises Unavailable, Rejected("bad_export"), and Conflict and NotFound as
    `facematch.archiving.Archiving` does.
    """
    manifest = archive.manifest
    pinned = pinned_of(manifest)
    generation = pinned.generation
    store.create(manifest.model, generation.threshold, manifest.calibration, generation.bounds)
    importing = _Importing(store, people, archiving, manifest, pinned)
    return importing.run(archive, progress)


def pinned_of(manifest: Manifest) -> Pinned:
    """What a manifest says of the collection. Raises Rejected("bad_export")."""
    try:
        bounds = Bounds(manifest.max_false_matches, manifest.max_matches)
    except ValueError as error:
        raise Rejected("bad_export", f"no export of facematch: {error}") from error
    generation = Generation(
        *(0, manifest.threshold, manifest.approximate_since),
        bounds=bounds,
        scored=manifest.scored,
    )
    return Pinned(
        *(manifest.model, manifest.calibration, generation),
        *(manifest.size, manifest.position, manifest.last_number),
    )


class _Importing:
    def __init__(
        self,
        store: Store,
        people: AllPeople,
        archiving: Archiving,
        manifest: Manifest,
        pinned: Pinned,
    ) -> None:
        self._store, self._people, self._archiving = store, people, archiving
        self._manifest, self._pinned = manifest, pinned
        self._ticket = Ticket(manifest.id, secrets.token_hex(8))
        #: Positions whose images are left out.
        self._absent = set(manifest.gone)
        self._position = 0
        self._images = self._faces = self._matches = 0
        self._refused: list[str] = []

    def run(self, archive: ArchiveReader, progress: Update) -> Imported:
        begun = self._archiving.begin(self._ticket, self._pinned)
        if begun.ended:
            return self._imported(0, begun.position, ended_before=True)
        # Whoever takes it in hand links what is pending; it is written again, and the same.
        there = min(begun.position, begun.unlinked - 1) if begun.unlinked else begun.position
        self._position = begun.position
        done = 0
        for part in archive.parts(behind=there):
            self._keep_grouping_off()
            self._take(part)
            done = max(done, part.arrivals[-1].record.image.position)
            progress(done, self._manifest.position)
            reached("imported_part")
        self._skip_to(self._manifest.position)
        people = self._group(archive.people())
        self._archiving.end(self._ticket, self._pinned)
        self._store.lease(_GROUPING, self._ticket.holder, 0)
        return self._imported(people, there)

    def _imported(self, people: int, there: int, ended_before: bool = False) -> Imported:
        counts = (self._images, self._faces, self._matches, people)
        return Imported(*counts, there, tuple(self._refused), ended_before)

    def _take(self, part: Part) -> None:
        """Images first, then their matches, then that they are done: at any place in between they
        are images still to be linked."""
        wanted = [
            (arrival, found)
            for arrival, found in zip(part.arrivals, part.matches, strict=True)
            if arrival.record.image.position not in self._absent
        ]
        for start in range(0, len(wanted), _IMAGES):
            self._add([arrival for arrival, _ in wanted[start : start + _IMAGES]])
        pairs: list[tuple[int, int, float]] = []
        for arrival, (others, scores) in wanted:
            position = arrival.record.image.position
            rows = zip(others.tolist(), scores.tolist(), strict=True)
            pairs += ((position, other, score) for other, score in rows)
            self._matches += len(others)
            while len(pairs) >= _MATCHES:
                self._link(pairs[:_MATCHES])
                del pairs[:_MATCHES]
        self._link(pairs)
        images = [arrival.record.image for arrival, _ in wanted]
        done = [one.hash for one in images if one.position and one.state is State.DONE]
        for start in range(0, len(done), _FACES):
            self._archiving.settle(self._ticket, done[start : start + _FACES])

    def _add(self, arrivals: Sequence[Arrival]) -> None:
        """Those whose positions follow each other by one step, and what is between by others."""
        together: list[Arrival] = []
        for arrival in arrivals:
            position = arrival.record.image.position
            if position > self._position + 1:
                self._add_together(together)
                together = []
                self._skip_to(position - 1)
            self._position = max(self._position, position)
            together.append(arrival)
        self._add_together(together)

    def _add_together(self, arrivals: Sequence[Arrival]) -> None:
        if not arrivals:
            return
        refused = self._archiving.add(self._ticket, arrivals)
        taken = [one for one in arrivals if one.record.image.hash not in refused]
        self._refused += refused
        self._absent.update({one.record.image.position for one in arrivals if one not in taken})
        self._images += len(taken)
        self._faces += sum(len(one.faces.encodings) for one in taken if one.faces)
        reached("imported_images")

    def _link(self, pairs: Sequence[tuple[int, int, float]]) -> None:
        if pairs:
            self._archiving.link(self._ticket, pairs)
        reached("imported_matches")

    def _skip_to(self, position: int) -> None:
        while self._position < position and not self._archiving.skip(self._ticket, position):
            pass
        self._position = max(self._position, position)

    # -- people

    def _keep_grouping_off(self) -> None:
        """What the export says of people comes last, and shall find nobody here."""
        for _ in range(_TRIES):
            if self._store.lease(_GROUPING, self._ticket.holder, LEASE_SECONDS):
                return
            time.sleep(0.5)

    def _group(self, lines: Iterator[PeopleLine]) -> int:
        """Place the faces, say what was said, mark what was marked; how many people."""
        manifest = self._manifest
        if manifest.limit is None or manifest.reach is None or manifest.false_pairs is None:
            return 0
        served = self._store.collection().generations[0].number
        grouping = Grouping(manifest.limit, manifest.reach, served)
        self._people.begin(grouping, manifest.false_pairs)
        placed: dict[int, str] = {}
        said: list[Said] = []
        names: dict[str, str] = {}
        marks: list[int] = []
        count = 0
        for line in lines:
            if line.person:
                count += 1
                faces = self._ids(line.faces)
                placed.update(dict.fromkeys(sorted(faces), line.person))
                if line.name and faces:
                    names[line.person] = line.name
            elif line.said is not None:
                said += self._said(line.said, line)
            marks += line.ungrouped
            if len(placed) + len(said) >= _FACES:
                self._write(placed, said)
                placed, said = {}, []
        self._write(placed, said)
        for person, name in names.items():
            self._people.rename(person, name)
        for start in range(0, len(marks), _FACES):
            self._people.mark(marks[start : start + _FACES])
        if not (manifest.regroup or self._absent):
            self._people.mark((), last=grouping)
        return count

    def _write(self, placed: dict[int, str], said: Sequence[Said]) -> None:
        self._keep_grouping_off()
        moves = list(placed.items())
        for start in range(0, max(len(moves), 1), _FACES):
            some = dict(moves[start : start + _FACES])
            for _ in range(_TRIES):
                portion = Regrouped(self._people.due(0).revision, some, {}, () if start else said)
                if self._people.commit(portion) is not None:
                    break
            else:
                raise Conflict("overtaken")
            reached("imported_people")

    def _said(self, number: int, line: PeopleLine) -> list[Said]:
        if line.together:
            faces = self._ids(line.together)
            return [Said(number, faces)] if faces else []
        apart, others = self._ids(line.apart), self._ids(line.others)
        return [Said(number, apart, others)] if apart and others else []

    def _ids(self, faces: Sequence[FacePlace]) -> frozenset[int]:
        return frozenset(face_id(*face) for face in faces if face[0] not in self._absent)
