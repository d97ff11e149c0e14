"""The workers of the embedded service: a crew for each edition of the collection.

Used by facematch.embedded. A reindex to another encoder makes an edition while the service runs,
and gives one up: the crew of the new one is started then, and that of the other ends by itself.
"""

from collections.abc import Callable, Sequence

from facematch.errors import Unavailable
from facematch.processes import Part, Process
from facematch.reencoding import Edition, Editions, Reencoding
from facematch.settings import PREFIX, Settings
from facematch.tree import Console, Failed, Tree, failure

#: Seconds between two looks at which editions there are.
LOOK_SECONDS = 2.0


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
        self._left_out: set[int] = set()

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
            if name in self._settings.model_fields_set and its_own not in ("", ours):
                self._console.say(
                    f"facematch: {its_own} is the {name} that counts, because the collection was "
                    f"reindexed with it; {PREFIX}{name.upper()}={ours} does not"
                )
        self._muster(there)

    def look(self, ended: Sequence[Process]) -> None:
        """Start the crew of an edition that is new. `ended`: workers that have ended since the last
        look; whether they might is asked of the store, as soon as it answers.

        Raises Failed when a worker of an edition that is still there has ended, and when one that
        was given up has not ended by itself.
        """
        self._ended += ended
        try:
            there = self._reencoding.editions()
        except Unavailable:
            return
        for process in self._ended:
            # One that meant to join just when the edition was given up ends with another code
            # than 0. No number is given to an edition again, so this is certain.
            if self._editions[process.name] in there.numbers or process.exit_code < 0:
                raise failure(process)
            self._console.say(
                f"facematch: {process.name} {process.how_it_ended()}: its edition was given up"
            )
        self._ended.clear()
        for name in self._muster(there):
            self._console.say(f"facematch starts {name}")

    def _muster(self, there: Editions) -> list[str]:
        """Start those that are missing; their names."""
        missing: list[Part] = []
        for edition, wanted in ((there.served, self._workers), (there.other, 1)):
            if edition is None or self._is_left_out(edition, there):
                continue
            suffix = f"-edition-{edition.number}" if edition.number else ""
            for number in range(1, wanted + 1):
                name = f"worker-{number}{suffix}"
                if name not in self._editions:
                    self._editions[name] = edition.number
                    missing.append(self._part(name, _its_own(edition)))
        if missing:
            self._tree.start(*missing)
        return [part.name for part in missing]

    def _is_left_out(self, edition: Edition, there: Editions) -> bool:
        """Whether workers with the service's own encoder would work for another edition, made with
        it, than for this one. Raises Failed when this one is served."""
        ours = self._settings.encoder
        others = (one for one in (there.served, there.other) if one not in (None, edition))
        if edition.encoder or all(one.encoder != ours for one in others if one):
            return False
        if edition == there.served:
            raise Failed(
                f"the edition that is served was made before the reindex with {ours}, which "
                f"{PREFIX}ENCODER must not name yet"
            )
        if edition.number not in self._left_out:
            self._left_out.add(edition.number)
            self._console.say(
                f"facematch: the edition served before gets no worker, because {PREFIX}ENCODER is "
                "no longer the one that it was made with; what is submitted is not added to it"
            )
        return True


def _its_own(edition: Edition) -> dict[str, str]:
    """The settings of the workers of an edition, where they are not those of the service."""
    settings = {"ENCODER": edition.encoder, "DETECTOR": edition.detector}
    return {f"{PREFIX}{name}": value for name, value in settings.items() if value}
