"""The workers of each edition: real processes in a real tree, the editions in memory."""

import io
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facematch import crews
from facematch.crews import Crews
from facematch.errors import Unavailable
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.processes import Part
from facematch.reencoding import Editions
from facematch.settings import Settings
from facematch.tree import Console, Failed, Tree

#: Says what its settings are; ends as a file tells it.
WORKER = textwrap.dedent(
    """
    import os, sys, time
    print(os.environ.get("FACEMATCH_ENCODER"), os.environ.get("FACEMATCH_DETECTOR"), flush=True)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    code = int(open(sys.argv[1]).read())
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)
    """
)


class Shaky(MemoryReencoding):
    """One that may be away."""

    away = False

    def editions(self) -> Editions:
        """See Reencoding."""
        if self.away:
            raise Unavailable("store_unavailable", "it is away")
        return super().editions()


class EnoughError(Exception):
    """What was watched for has happened."""


class Service:
    """A tree with crews, and the editions they are for."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.reencoding = Shaky(MemoryStore())
        self.reencoding.served().create("first", 0.6)
        self.folder = folder
        self._shown = io.StringIO()
        console = Console(self._shown, self._shown)
        self.tree = Tree(folder, console)
        self.crews = Crews(
            self.tree,
            console,
            self.reencoding,
            Settings(**settings),  # type: ignore[arg-type]
            2,
            self._part,
        )

    def _part(self, name: str, its_own: dict[str, str]) -> Part:
        environment = {"FACEMATCH_ENCODER": "ours", **os.environ, **its_own}
        command = [sys.executable, "-c", WORKER, str(self.folder / f"{name}.ends")]
        return Part(name, command, environment, may_end=True)

    def start(self) -> None:
        """Begin with the editions there are."""
        self.crews.begin(self.crews.editions())

    def second(self, encoder: str = "mine:New", detector: str = "cnn") -> None:
        """Make the second edition."""
        self.reencoding.begin("second", 0.6, encoder, detector)

    def switch(self) -> None:
        """Serve the second."""
        self.reencoding.built(1)
        self.reencoding.switch(1)

    def end(self, name: str, code: int) -> None:
        """Have this one end with this exit code, or by this signal."""
        told = self.folder / "told"
        told.write_text(str(code))
        told.rename(self.folder / f"{name}.ends")

    def watch(self, condition: Callable[[], object], looks: int = 0) -> None:
        """Watch until the condition holds, and so many times."""
        until, looked = time.monotonic() + 20, 0

        def look(ended: object) -> None:
            nonlocal looked
            self.crews.look(ended)  # type: ignore[arg-type]
            looked += 1
            assert time.monotonic() < until, self.lines()
            if condition() and looked > looks:
                raise EnoughError

        with pytest.raises(EnoughError):
            self.tree.watch(look, 0.02)

    def lines(self) -> list[str]:
        """What was shown."""
        return self._shown.getvalue().splitlines()

    def running(self) -> list[str]:
        """What the workers have said of themselves."""
        return sorted(line for line in self.lines() if " | " in line)

    def said(self) -> list[str]:
        """What the service has said."""
        return [line for line in self.lines() if " | " not in line]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make_one(**settings: str) -> Service:
        made.append(Service(tmp_path, **settings))
        return made[-1]

    yield make_one
    for service in made:
        service.tree.stop()


FIRST = ["worker-1 | ours None", "worker-2 | ours None"]
SECOND = ["worker-1-edition-1 | mine:New cnn", "worker-2-edition-1 | mine:New cnn"]


def test_one_edition_has_as_many_workers_as_were_asked_for(make: Callable[..., Service]) -> None:
    service = make()
    service.start()
    service.watch(lambda: service.running() == FIRST, looks=5)
    assert service.said() == []


def test_of_two_the_one_that_is_served_has_them_and_the_other_one_has_one(
    make: Callable[..., Service],
) -> None:
    service = make()
    service.second()
    service.start()
    service.watch(lambda: service.running() == sorted([*FIRST, SECOND[0]]), looks=5)
    assert service.said() == []


def test_after_a_switch_a_start_is_with_the_settings_of_what_is_served(
    make: Callable[..., Service],
) -> None:
    service = make(encoder="onnx", detector="hog")
    service.second()
    service.switch()
    service.start()
    service.watch(lambda: service.running() == sorted([FIRST[0], *SECOND]), looks=5)
    assert service.said() == [
        "facematch: mine:New is the encoder that counts, because it makes what is served; "
        "FACEMATCH_ENCODER=onnx does not",
        "facematch: cnn is the detector that counts, because it makes what is served; "
        "FACEMATCH_DETECTOR=hog does not",
    ]


@pytest.mark.parametrize("settings", [{}, {"encoder": "mine:New"}])
def test_of_settings_that_agree_or_were_not_made_nothing_is_said(
    make: Callable[..., Service], settings: dict[str, str]
) -> None:
    service = make(**settings)
    service.second(detector="")
    service.switch()
    service.reencoding.drop(1)
    service.start()
    second = [line.replace("cnn", "None") for line in SECOND]
    service.watch(lambda: service.running() == second, looks=5)
    assert service.said() == []


def test_an_edition_that_is_made_gets_its_crew_and_one_that_is_given_up_loses_it(
    make: Callable[..., Service],
) -> None:
    service = make()
    service.start()
    service.second()
    service.watch(lambda: service.running() == sorted([*FIRST, SECOND[0]]))
    service.switch()
    service.watch(lambda: service.running() == sorted(FIRST + SECOND))
    service.reencoding.drop(1)
    service.end("worker-2", 0)
    # It was about to join when its edition was given up.
    service.end("worker-1", 1)
    service.watch(lambda: len(service.said()) == 4, looks=5)
    assert service.said()[:2] == [
        "facematch starts worker-1-edition-1",
        "facematch starts worker-2-edition-1",
    ]
    assert sorted(service.said()[2:]) == [
        "facematch: worker-1 ended with exit code 1: its edition was given up",
        "facematch: worker-2 ended with exit code 0: its edition was given up",
    ]
    assert service.running() == sorted(FIRST + SECOND)


@pytest.mark.parametrize("code", [0, 3, -9])
def test_the_end_of_a_worker_of_the_edition_that_is_served_is_a_failure(
    make: Callable[..., Service], code: int
) -> None:
    service = make()
    service.second()
    service.start()
    service.watch(lambda: len(service.running()) == 3)
    service.end("worker-2", code)
    how = "(ended with exit code|was ended by SIGKILL)"
    with pytest.raises(Failed, match=f"^worker-2 {how}"):
        service.watch(lambda: False)


@pytest.mark.parametrize("code", [0, 3, -9])
def test_a_worker_of_the_other_edition_is_started_again_after_a_while(
    make: Callable[..., Service], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "AGAIN_SECONDS", 0.3)
    service = make()
    service.second()
    service.start()
    service.watch(lambda: len(service.running()) == 3)
    service.end("worker-1-edition-1", code)
    service.watch(service.said)
    (service.folder / "worker-1-edition-1.ends").unlink()
    ended = time.monotonic()
    service.watch(lambda: len(service.running()) == 4)
    assert time.monotonic() > ended + 0.2
    first, second = service.said()
    assert first.startswith("worker-1-edition-1 ")
    assert first.endswith("It is started again in 0.3 s.")
    assert second == "facematch starts worker-1-edition-1"
    # Served, it is needed.
    service.switch()
    service.watch(lambda: len(service.running()) == 5)
    service.end("worker-1-edition-1", code)
    with pytest.raises(Failed, match=r"^worker-1-edition-1 "):
        service.watch(lambda: False)


@pytest.mark.parametrize("given_up", [True, False])
def test_a_store_that_is_away_is_asked_once_it_is_back(
    make: Callable[..., Service], given_up: bool
) -> None:
    service = make()
    service.second()
    service.start()
    service.watch(lambda: len(service.running()) == 3)
    service.reencoding.away = True
    service.end("worker-1-edition-1", 0)
    service.watch(lambda: service.crews._ended, looks=5)
    assert service.said() == []
    if given_up:
        service.reencoding.cancel(1)
    service.reencoding.away = False
    expected = "its edition was given up" if given_up else "It is started again"
    service.watch(lambda: expected in "".join(service.said()))


def test_a_store_that_is_away_at_the_start_is_a_failure(make: Callable[..., Service]) -> None:
    service = make()
    service.reencoding.away = True
    with pytest.raises(Failed, match="it is away"):
        service.start()


@pytest.mark.parametrize("switched", [True, False])
def test_the_first_edition_has_its_own_encoder_once_the_service_has_that_of_another(
    make: Callable[..., Service], switched: bool
) -> None:
    service = make(encoder="mine:New")
    service.reencoding.note(0, "mine:Old", "hog")
    service.second()
    if switched:
        service.switch()
    service.start()
    service.watch(lambda: len(service.running()) == 3, looks=5)
    assert {line.partition(" | ")[2] for line in service.running()} == {
        "mine:Old hog",
        "mine:New cnn",
    }
    if switched:
        assert service.said() == []
    else:
        [said] = service.said()
        assert said.startswith("facematch: mine:Old is the encoder that counts")


def test_without_another_edition_the_settings_of_the_service_count(
    make: Callable[..., Service],
) -> None:
    service = make(encoder="dlib")
    service.reencoding.note(0, "onnx", "cnn")
    service.start()
    service.watch(lambda: service.running() == FIRST)
    assert service.said() == []
