"""`facematch collections`, and `--collection` of the other commands, against the real api."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from told_service import ToldService, told_service

from facematch.cli import main
from facematch.client import Client
from facematch.errors import Misconfigured, NotFound, Rejected
from facematch.faces import image_hash

Run = Callable[..., Result]
ANN = image_hash(b"ann 1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToldService]:
    with told_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def run(service: ToldService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words: str, answers: str = "", **environment: str) -> Result:
        environment = {"FACEMATCH_URL": service.url, **environment}
        result = CliRunner().invoke(main, words, env=environment, input=answers)
        assert "Traceback" not in result.output
        return result

    return run


def test_collections_are_made_listed_shown_and_erased(run: Run) -> None:
    made = run("collections", "create", "holiday", "--threshold", "0.5", "--max-matches", "0")
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.splitlines() == ["holiday: 0 images, 0 faces; threshold 0.5", "model told"]
    assert run("collections", "create", "holiday").exit_code == 0
    other = run("collections", "create", "holiday", "--threshold", "0.6")
    assert (other.exit_code, "(collection_exists)" in other.stderr) == (1, True)
    listed = run("--json", "collections", "list").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == ["default", "holiday"]
    assert json.loads(run("--json", "collections", "show", "holiday").stdout)["threshold"] == 0.5
    refused = run("collections", "delete", "holiday", answers="n\n")
    assert refused.exit_code == 1
    assert run("collections", "show", "holiday").exit_code == 0
    erased = run("collections", "delete", "holiday", "--yes")
    assert (erased.exit_code, erased.stdout) == (0, "holiday: erased\n")
    gone = run("collections", "show", "holiday")
    assert (gone.exit_code, "(unknown_collection)" in gone.stderr) == (1, True)


def test_what_is_no_name_is_told_before_anybody_is_asked(run: Run) -> None:
    for words in (("--collection", "A", "match", ANN), ("match", ANN, "--collection", "a~1")):
        result = run(*words, FACEMATCH_URL="http://127.0.0.1:1")
        assert (result.exit_code, "a collection's name is" in result.stderr) == (2, True)
    assert run("collections", "create", "A").exit_code == 1


def test_a_command_works_on_the_collection_that_is_named(
    run: Run, service: ToldService, tmp_path: Path
) -> None:
    run("collections", "create", "trip")
    file = tmp_path / "a.jpg"
    file.write_bytes(b"nobody 1")
    hash_ = image_hash(b"nobody 1")
    (tmp_path / "pictures").mkdir()
    with Client(service.url, collection="trip") as client:
        job = client.submit(file)
        assert client.job(job.job).hash == hash_
        assert client.image(hash_).state == "accepted"
    with Client(service.url) as client, pytest.raises(NotFound):
        client.image(hash_)
    for words in (("--collection", "trip"), ()):
        environment = {} if words else {"FACEMATCH_COLLECTION": "trip"}
        result = run(*words, "--json", "match", hash_, "--wait", "0", **environment)
        assert json.loads(result.stdout)["state"] == "accepted"
    elsewhere = run("match", hash_)
    assert (elsewhere.exit_code, "not_found" in elsewhere.output) == (1, True)
    assert run("people", "list", "--collection", "trip").exit_code == 0
    nobody = run("--collection", "nobody", "people", "list")
    assert (nobody.exit_code, "(unknown_collection)" in nobody.stderr) == (1, True)


def test_the_client_has_what_the_routes_have(service: ToldService) -> None:
    with Client(service.url, collection="does-not-matter") as client:
        for name in ("a", "b", "c"):
            client.collections.create(name, max_false_matches=0.5)
        page = client.collections.page(2)
        assert [one.name for one in page.collections] == ["a", "b"]
        assert page.next is not None
        names = [one.name for one in client.collections.all()]
        assert names == sorted(names)
        assert {"a", "b", "c", "default"} <= set(names)
        assert client.collections.get("a").max_false_matches == 0.5
        client.collections.delete("a")
        with pytest.raises(NotFound):
            client.collections.get("a")
        with pytest.raises(Rejected):
            client.collections.create("B")
        with pytest.raises(NotFound) as raised:
            client.image(ANN)
        assert raised.value.code == "unknown_collection"
    with pytest.raises(Misconfigured):
        Client(service.url, collection="A")
