"""The workers of the embedded service: a crew for each edition of the collection.

Used by facematch.embedded. A reindex to another encoder makes an edition while the service runs,
and gives one up: the crew of the new one is started then, and that of the other ends by itself.
"""

import time
from collections.abc import Callable, Sequence

from facematch.errors import Unavailable
from facematch.processes import Part, Process
from facematch.reencoding import Edition, Editions, Reencoding
from facematch.settings import PREFIX, Settings
from facematch.tree import Console, Failed, Tree, failure

#: Seconds between two looks at which editions there are.
LOOK_SECONDS = 2.0
#: Seconds until a worker that has ended is started again, where it may end.
AGAIN_SECONDS = 10.0


class Crews:
    """The workers in a tree, by edition. Use it from the main thread."""

    def __init__(
        self,
        tree: Tree,
        console: Console,
        reencoding: Reencoding,
        settings: Settings,
        workers: int,
        part: Callable[[str, dict[str, str]], Part],
    ) -> None:
        """`settings`: those of the service; `workers`: so many for the edition that is served, one
        for the other. `part`: a worker of this name, with these variables in its environment; it is
        one that may end."""
        self._tree = tree
        self._console = console
        self._reencoding = reencoding
        self._settings = settings
        self._workers = workers
        self._part = part
        self._editions: dict[str, int] = {}
        self._ended: list[Process] = []
        self._not_before: dict[int, float] = {}

    def editions(self) -> Editions:
        """Those there are. Raises Failed when the store does not tell."""
        try:
            return self._reencoding.editions()
        except Unavailable as error:
            raise Failed(f"Valkey does not tell what there is: {error}") from error

    def begin(self, there: Editions) -> None:
        """Start the crews of these editions. Raises Failed."""
        for name in ("encoder", "detector"):
            its_own, ours = getattr(there.served, name), getattr(self._settings, name)
            is_set = name in self._settings.model_fields_set
            if is_set and self._its_own_count(there.served, there) and its_own not in ("", ours):
                self._console.say(
                    f"facematch: {its_own} is the {name} that counts, because it makes what is "
                    f"served; {PREFIX}{name.upper()}={ours} does not"
                )
        self._muster(there)

    def look(self, ended: Sequence[Process]) -> None:
        """Start the crew of an edition that is new. `ended`: workers that have ended since the last
        look; whether they might is asked of the store, as soon as it answers. One of the edition
        that is not served does no harm: it is started again after a while.

        Raises Failed when a worker of the edition that is served has ended.
        """
        self._ended += ended
        try:
            there = self._reencoding.editions()
        except Unavailable:
            return
        for process in self._ended:
            number = self._editions[process.name]
            if number == there.served.number:
                raise failure(process)
            if number in there.numbers:
                del self._editions[process.name]
                self._not_before[number] = time.monotonic() + AGAIN_SECONDS
                self._console.say(f"{failure(process)} It is started again in {AGAIN_SECONDS:g} s.")
            else:
                # No number is given to an edition again, so this is certain.
                self._console.say(
                    f"facematch: {process.name} {process.how_it_ended()}: its edition was given up"
                )
        self._ended.clear()
        for name in self._muster(there):
            self._console.say(f"facematch starts {name}")

    def _muster(self, there: Editions) -> list[str]:
        """Start those that are missing; their names."""
        missing: list[Part] = []
        for edition in there.all:
            if time.monotonic() < self._not_before.get(edition.number, 0.0):
                continue
            wanted = self._workers if edition == there.served else 1
            suffix = f"-edition-{edition.number}" if edition.number else ""
            for number in range(1, wanted + 1):
                name = f"worker-{number}{suffix}"
                if name not in self._editions:
                    self._editions[name] = edition.number
                    missing.append(self._part(name, self._variables(edition, there)))
        if missing:
            self._tree.start(*missing)
        return [part.name for part in missing]

    def _variables(self, edition: Edition, there: Editions) -> dict[str, str]:
        if not self._its_own_count(edition, there):
            return {}
        settings = {"ENCODER": edition.encoder, "DETECTOR": edition.detector}
        return {f"{PREFIX}{name}": value for name, value in settings.items() if value}

    def _its_own_count(self, edition: Edition, there: Editions) -> bool:
        """Whether the settings that an edition was made with count, and not those of the service:
        not of the first one, unless the service's are those of another edition."""
        others = (one for one in there.all if one != edition)
        return edition.number > 0 or any(self._settings.encoder == one.encoder for one in others)
