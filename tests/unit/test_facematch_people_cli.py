"""`facematch people` and `Client.people`, against the real api on a store in memory."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from told_service import ToldService, told_service

from facematch.cli import main
from facematch.client import Client
from facematch.errors import FacematchError, NotFound
from facematch.faces import Box, image_hash
from facematch.memory_people import MemoryPeople
from facematch.people import Regrouped, face_id
from facematch.people_client import PersonAnswer, PersonFaceAnswer
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore

IMAGES = [image_hash(f"ann {number}".encode()) for number in range(3)]
ADA, BOB = "ad", "b0b"

Run = Callable[..., Result]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    """Three pictures; the first two are ada's, the third is bob's."""
    with told_service(tmp_path) as service, Client(service.url) as client:
        for number in range(3):
            client.submit(f"ann {number}".encode(), f"{number}.jpg", wait=10)
        people = MemoryPeople(service.api.store)
        placed = {face_id(1, 0): ADA, face_id(2, 0): ADA, face_id(3, 0): BOB}
        due = people.due(10)
        people.commit(Regrouped(due.revision, placed, due.marks))
        yield service


@pytest.fixture
def client(service: ToldService) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def run(service: ToldService) -> Run:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["--url", service.url, "people", *words])

    return run


def test_the_client_reads_people_page_by_page(client: Client) -> None:
    ada, bob = PersonAnswer(ADA, None, 2), PersonAnswer(BOB, None, 1)
    first = client.people.page(1)
    assert (first.people, first.ungrouped) == ((ada,), 0)
    assert client.people.page(1, first.next).people == (bob,)
    assert list(client.people.everybody()) == [ada, bob]
    assert list(client.people.everybody(fewest=2)) == [ada]
    page = client.people.person(ADA, 1)
    assert (page.count, page.images) == (2, (IMAGES[0],))
    face = PersonFaceAnswer(IMAGES[0], ("0.jpg",), 0, Box(1, 20, 30, 4))
    assert page.faces == (face,)
    assert [face.image for face in client.people.faces(ADA)] == IMAGES[:2]
    assert [(one.number, one.person) for one in client.people.of_image(IMAGES[2])] == [(0, bob)]


def test_the_client_corrects(client: Client) -> None:
    assert client.people.rename(ADA, "Ada").name == "Ada"
    assert client.people.merge(ADA, [BOB]) == PersonAnswer(ADA, "Ada", 3)
    with pytest.raises(NotFound) as caught:
        client.people.person(BOB)
    assert caught.value.code == "no_person"
    other = client.people.split(ADA, [(IMAGES[2], 0), (IMAGES[1], 0)])
    assert other.faces == 2
    assert [one.faces for one in client.people.exclude(other.id, [(IMAGES[2], 0)])] == [1]
    with pytest.raises(FacematchError) as refused:
        client.people.split(other.id, [(IMAGES[0], 0)])
    assert refused.value.code == "not_theirs"


def test_people_are_listed_and_shown(run: Run) -> None:
    listed = run("list", "--fewest", "1")
    assert [line.split() for line in listed.stdout.splitlines()] == [[ADA, "2"], [BOB, "1"]]
    assert run("list").stdout.split() == [ADA, "2"]
    shown = run("show", ADA).stdout
    assert f"{IMAGES[0]}:0  0.jpg" in shown
    assert run("of", IMAGES[2]).stdout.split() == ["0:", BOB, "1"]
    document = json.loads(run("list", "--json").stdout)
    assert document["people"] == [{"id": ADA, "name": None, "faces": 2}]


def test_people_are_corrected(run: Run) -> None:
    assert "Ada" in run("name", ADA, "Ada").stdout
    assert run("merge", ADA, BOB).stdout.split() == [ADA, "3", "Ada"]
    split = json.loads(run("split", ADA, f"{IMAGES[0]}:0", IMAGES[1], "--json").stdout)
    assert split["faces"] == 2
    out = json.loads(run("exclude", split["id"], IMAGES[0], "--json").stdout)
    assert [one["faces"] for one in out["people"]] == [1]


def test_what_does_not_go_is_said_on_one_line(run: Run) -> None:
    gone = run("show", "none")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert gone.stderr == "facematch: there is no such person, or not any more (no_person)\n"
    assert run("split", ADA, IMAGES[2]).exit_code == 1
    for wrong in ("short", f"{IMAGES[0]}:x", f"{IMAGES[0]}:256"):
        assert run("split", ADA, wrong).exit_code == 2


def test_without_rates_nobody_is_grouped_anew(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMATCH_REDIS_URL", redis_url)
    client = connect(redis_url)
    RedisStore(client).create("a-model", 0.6)
    client.close()
    told = CliRunner().invoke(main, ["people", "regroup"])
    assert (told.exit_code, told.stdout) == (1, "")
    assert "no_rates" in told.stderr


def test_false_pairs_are_a_number(run: Run) -> None:
    for number in ("nan", "0", "101", "many"):
        told = run("regroup", "--false-pairs", number)
        assert told.exit_code == 2, told.output
        assert "--false-pairs" in told.output
