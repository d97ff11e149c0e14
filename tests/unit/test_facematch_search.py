"""`facematch search`, `Client.search` and `Client.faces`, against the real api behind real HTTP."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from searching_worker import ADAS, BOBS, BOTH, Worker
from told_service import ToldService, told_service

from facematch.cli import main
from facematch.client import Client
from facematch.errors import FacematchError, NotFound, Rejected, Unavailable
from facematch.faces import Box
from facematch.store import State

Run = Callable[..., Result]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr("api.problems.RETRY_AFTER", "0")
    return Worker()


@pytest.fixture
def service(tmp_path: Path, worker: Worker) -> Iterator[ToldService]:
    with told_service(tmp_path, store=worker.store, searcher=worker) as service:
        yield service


@pytest.fixture
def client(service: ToldService) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def run(service: ToldService) -> Run:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["--url", service.url, *words])

    return run


def test_the_client_searches_with_bytes_a_file_and_a_url(
    client: Client, worker: Worker, tmp_path: Path
) -> None:
    hashes = [worker.submit(picture) for picture in (*ADAS[1:], BOBS[0])]
    file = tmp_path / "both.png"
    file.write_bytes(BOTH)
    found = client.search(BOTH)
    assert client.search(file) == client.search(str(file)) == found
    ada, bob = found.faces
    assert {match.hash for match in ada.matches} == set(hashes[:3])
    [match] = bob.matches
    assert match.faces[0].face == f"{hashes[3]}:0"
    assert match.faces[0].box == Box(0, 1, 1, 0)
    assert (found.complete_through, found.exact, found.truncated) == (4, True, False)
    [first] = client.search(BOTH, face=0, limit=1, max_distance=0.5, max_false_matches=1.0).faces
    assert (first.matches, first.more) == (ada.matches[:1], True)
    [by_url] = client.search_url("http://x/ada.png").faces
    assert {match.hash for match in by_url.matches} == set(hashes[:3])


def test_the_client_reads_the_faces_behind_matches(
    client: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.faces_client._PAGE", 2)
    both = worker.submit(BOTH)
    adas = [worker.submit(picture) for picture in ADAS]
    page = client.faces.matches(f"{both}:0", limit=3)
    assert (page.state, page.hash, page.number, page.box) == (State.DONE, both, 0, Box(0, 1, 1, 0))
    assert page.matches is not None
    everything = list(client.faces.all_matches(f"{both}:0"))
    assert everything[:3] == list(page.matches)
    assert {match.hash for match in everything} == set(adas)
    rest = client.faces.matches(f"{both}:0", cursor=page.next)
    assert list(rest.matches or ()) == everything[3:]
    pairs = client.faces.pairs(both, max_distance=0.5)
    assert pairs.matches is not None
    assert [match.hash for match in pairs.matches] == [
        match.hash for match in client.matches(both, max_distance=0.5).matches or ()
    ]
    for match in pairs.matches:
        [pair] = match.pairs
        assert (pair.face.face, pair.other.face) == (f"{both}:0", f"{match.hash}:0")
        assert pair.distance == match.distance


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Rejected("not_an_image"), Rejected),
        (NotFound("no_face"), NotFound),
        (Unavailable("search_busy"), Unavailable),
    ],
)
def test_what_goes_wrong_is_told_by_its_kind(
    client: Client, worker: Worker, error: FacematchError, kind: type[FacematchError]
) -> None:
    worker.error = error
    with pytest.raises(kind) as caught:
        client.search(ADAS[0])
    assert caught.value.code == error.code


def test_who_is_busy_is_asked_again(client: Client, worker: Worker) -> None:
    answered = worker.search
    worker.error = Unavailable("search_busy")

    def busy_once(probe):
        try:
            return answered(probe)
        finally:
            worker.error = None

    worker.search = busy_once  # type: ignore[method-assign]
    with Client(client.url, timeout=10.0) as patient:
        assert patient.search(ADAS[0]).faces[0].matches == ()
    assert len(worker.probes) == 2


def test_the_command_shows_faces_and_matches(run: Run, worker: Worker, tmp_path: Path) -> None:
    hashes = [worker.submit(picture, f"{n}.png") for n, picture in enumerate(ADAS[1:])]
    file = tmp_path / "both.png"
    file.write_bytes(BOTH)
    done = run("search", str(file), "--limit", "2")
    assert done.exit_code == 0
    head, ada, *rest = done.output.splitlines()
    assert head == f"{file}: 2 faces"
    assert ada.startswith("  face 0: the most certain 2 matches, ")
    assert ada.endswith(" false ones to be expected in all")
    shown, other, more, bob = rest
    assert (more, bob) == ("    …", "  face 1: no match")
    distance, *_, face, name = shown.split()
    assert 0 < float(distance) < 0.4
    image, number = face.split(":")
    assert (image in hashes, number) == (True, "0")
    assert name == f"{hashes.index(image)}.png"
    assert other != shown


def test_the_command_tells_scripts_all_and_goes_on_behind_a_failure(
    run: Run, worker: Worker, tmp_path: Path
) -> None:
    worker.submit(ADAS[1])
    (tmp_path / "poem.txt").write_bytes(b"a poem")
    (tmp_path / "ada.png").write_bytes(ADAS[0])
    names = [str(tmp_path / name) for name in ("poem.txt", "none.png", "ada.png")]
    done = run("--json", "search", *names, "http://x/ada.png")
    assert done.exit_code == 1
    poem, missing, ada, by_url = map(json.loads, done.stdout.splitlines())
    assert (poem["code"], poem["faces"], missing["code"]) == ("not_an_image", None, "unreadable")
    assert (ada["asked"], ada["code"]) == (names[2], None)
    assert ada["faces"] == by_url["faces"]
    assert ada["faces"][0]["matches"][0]["faces"][0]["number"] == 0
    plain = run("search", names[0])
    assert plain.output == (
        f"{names[0]}: failed: the bytes are no picture of a supported format (not_an_image)\n"
    )


def test_a_service_that_cannot_is_one_line(run: Run, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "ada.png").write_bytes(ADAS[0])
    worker.error = Unavailable("search_unavailable")
    done = run("search", str(tmp_path / "ada.png"))
    assert done.exit_code == 1
    assert "search_unavailable" in done.output
    assert run("search").exit_code == 2


def erased(worker: Worker, image: str) -> bool:
    return worker.store.image(image).state is State.ERASED


def test_the_command_erases_what_matches_once_somebody_has_said_yes(
    service: ToldService, worker: Worker, tmp_path: Path
) -> None:
    first, second, bob = (worker.submit(picture) for picture in (*ADAS[1:3], BOBS[0]))
    (tmp_path / "ada.png").write_bytes(ADAS[0])
    words = ["--url", service.url, "search", str(tmp_path / "ada.png"), "--erase"]
    no = CliRunner().invoke(main, words, input="n\n")
    assert no.exit_code == 1
    assert first in no.output
    assert second in no.output
    assert not erased(worker, first)
    # Nothing goes where one of them cannot be had.
    for wrong in ("http://x/ada.png", str(tmp_path / "none.png")):
        assert CliRunner().invoke(main, [*words, wrong, "--yes"]).exit_code != 0
    assert not erased(worker, first)
    yes = CliRunner().invoke(main, words, input="y\n")
    assert (yes.exit_code, "2 images erased" in yes.output) == (0, True)
    assert [erased(worker, image) for image in (first, second, bob)] == [True, True, False]


def test_the_client_sends_what_is_confirmed_once(
    client: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [worker.submit(picture) for picture in ADAS[1:3]]
    confirm = client.faces.erase_by_probe(ADAS[0]).confirm
    real = worker.store.unlink
    tries: list[int] = []

    def once_away(position: int) -> bool:
        tries.append(position)
        if len(tries) == 2:
            raise Unavailable("store_unavailable")
        return real(position)

    monkeypatch.setattr(worker.store, "unlink", once_away)
    # Sent again by itself, it would be refused: others match by then than were confirmed.
    with pytest.raises(Unavailable):
        client.faces.erase_by_probe(ADAS[0], confirm)
    left = client.faces.erase_by_probe(ADAS[0])
    assert client.faces.erase_by_probe(ADAS[0], left.confirm).erased
    assert all(erased(worker, image) for image in images)
