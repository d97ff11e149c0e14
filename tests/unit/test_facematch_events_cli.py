"""`facematch events` and `facematch webhooks`, and what of the client is behind them, against the
real api on a store in memory."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scripted_service import Reply, Request, problem, scripted
from told_service import ToldService, told_service

from facematch.cli import main
from facematch.client import Client
from facematch.commands.webhooks import lines
from facematch.errors import NotFound, Rejected, Unavailable
from facematch.faces import image_hash
from facematch.webhooks_client import WebhookAnswer

ANN, ANN_AGAIN = image_hash(b"ann 1"), image_hash(b"ann 2")
COMMAND = [sys.executable, "-c", "from facematch.cli import main; main(prog_name='facematch')"]

Run = Callable[..., Result]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    with told_service(tmp_path) as service:
        yield service


@pytest.fixture
def run(service: ToldService) -> Run:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["--url", service.url, *words])

    return run


def happen(service: ToldService, begin: str) -> str:
    """Two pictures that match, one that is none, and one that is erased; `begin` and the id behind
    which they are told."""
    with Client(service.url) as client:
        events = client.events(begin)
        place = begin or next(events).id
        client.submit(b"ann 1", wait=10)
        client.submit(b"ann 2", wait=10)
        client.submit(b"broken 3", wait=10)
        client.delete(ANN)
        return place


def test_what_happens_is_a_document_a_line_where_it_is_no_terminal(
    service: ToldService, run: Run
) -> None:
    place = happen(service, "")
    done = run("events", "--after", place, "--limit", "4")
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    # Of the match nothing is told any more, because the older image was erased.
    assert [event["type"] for event in told] == ["done", "done", "failed", "erased"]
    assert [event.get("hash") for event in told[:2]] == [ANN, ANN_AGAIN]
    assert (told[2]["code"], told[3]["hash"]) == ("not_an_image", ANN)
    assert told[0].keys() == {"id", "type", "time", "hash", "job"}
    only = run("events", "--after", place, "--limit", "2", "--type", "erased", "--type", "failed")
    assert [json.loads(line) for line in only.stdout.splitlines()] == told[2:]
    assert json.loads(run("events", "--limit", "1").stdout)["type"] == "ready"
    gone = run("events", "--limit", "1", "--after", "77-0")
    assert json.loads(gone.stdout)["type"] == "reset"
    wrong = run("events", "--after", "x")
    assert (wrong.exit_code, "(bad_cursor)" in wrong.stderr) == (1, True)


def test_a_second_run_goes_on_behind_the_last_event_that_was_shown(
    service: ToldService, run: Run, tmp_path: Path
) -> None:
    noted = tmp_path / "place"
    resume = ["--resume", str(noted)]
    [ready] = run("events", *resume, "--limit", "1").stdout.splitlines()
    assert noted.read_text() == json.loads(ready)["id"] + "\n"
    happen(service, json.loads(ready)["id"])
    seen = []
    for _ in range(4):
        [line] = run("events", *resume, "--limit", "1").stdout.splitlines()
        seen.append(json.loads(line)["type"])
    assert seen == ["done", "done", "failed", "erased"]
    assert [path.name for path in tmp_path.glob("place*")] == ["place"]
    refused = run("events", "--resume", str(tmp_path / "nowhere" / "place"), "--limit", "1")
    assert (refused.exit_code, "cannot be written" in refused.stderr) == (1, True)


def test_on_a_terminal_there_is_a_line_for_people_and_ctrl_c_ends_it(service: ToldService) -> None:
    with Client(service.url) as client:
        place = next(client.events()).id
        client.submit(b"ann 1", "anna.jpg", wait=10)
        client.submit(b"ann 2", wait=10)
    here, there = pty.openpty()
    words = ["--url", service.url, "events", "--after", place]
    with subprocess.Popen([*COMMAND, *words], stdout=there, stderr=subprocess.PIPE) as process:
        os.close(there)
        text = b""
        while text.count(b"\n") < 3:
            text += os.read(here, 65_536)
        process.send_signal(2)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(here)
    shown = text.decode().splitlines()
    assert ANN in shown[0]
    assert "\x1b[32mdone    \x1b[0m" in shown[0]
    [matched] = [line for line in shown if "matched" in line]
    assert f"{ANN}  also on {ANN_AGAIN}, distance 0.2500" in matched


def test_events_end_with_1_when_the_service_stays_away(
    service: ToldService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.events_client._PAUSE", 0.01)
    service.stop()
    done = run("events")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "(service_unavailable)" in done.stderr


def test_webhooks_are_made_shown_tried_again_and_deleted(service: ToldService, run: Run) -> None:
    assert "webhooks add URL makes one" in run("webhooks", "list").stdout
    made = run("webhooks", "add", "https://example.com/hook")
    assert made.exit_code == 0, made.output
    [secret] = made.stdout.splitlines()
    assert secret.startswith("whsec_")
    assert secret not in made.stderr
    told = json.loads(run("webhooks", "add", "https://example.com/other", "--json").stdout)
    assert told.keys() == {"webhook", "url", "secret"}
    listed = run("webhooks", "list").stdout.splitlines()
    assert len(listed) == 2
    one = listed[0].split()[0]
    assert listed[0].startswith(f"{one}  https://example.com/hook: made ")
    document = json.loads(run("webhooks", "list", "--json").stdout)
    assert [each["webhook"] for each in document["webhooks"]] == [one, told["webhook"]]
    assert "secret" not in document["webhooks"][0]
    assert run("webhooks", "show", one).stdout.startswith(one)
    assert json.loads(run("webhooks", "redeliver", one, "--json").stdout)["dead"] is False
    assert run("webhooks", "redeliver", one, "--after", "x").exit_code == 1
    assert run("webhooks", "delete", one).stdout == f"{one}: deleted\n"
    gone = run("webhooks", "delete", one)
    assert (gone.exit_code, "(not_found)" in gone.stderr) == (1, True)
    assert "(bad_url)" in run("webhooks", "add", "ftp://example.com").stderr


def test_the_client_has_webhooks(service: ToldService) -> None:
    with Client(service.url) as client:
        made = client.webhooks.add("https://example.com/hook")
        [one] = client.webhooks.all()
        assert (one.webhook, one.url, one.dead) == (made.webhook, made.url, False)
        assert client.webhooks.get(made.webhook) == one
        assert client.webhooks.redeliver(made.webhook, one.after).after == one.after
        client.webhooks.delete(made.webhook)
        with pytest.raises(NotFound):
            client.webhooks.get(made.webhook)
        with pytest.raises(Rejected):
            client.webhooks.add("no url")


def test_a_webhook_is_not_asked_for_twice() -> None:
    asked: list[Request] = []

    def script(request: Request) -> Reply:
        asked.append(request)
        return problem(503, "store_unavailable")

    with scripted(script) as service, Client(service.url) as client:
        with pytest.raises(Unavailable):
            client.webhooks.add("https://example.com/hook")
        assert len(asked) == 1


def test_a_webhook_says_how_it_does() -> None:
    made = WebhookAnswer("id", "https://x/", 0.0, "5-0", None, 0, None, None, False)
    told = WebhookAnswer("id", "https://x/", 0.0, "5-0", 60.0, 0, None, None, False)
    failing = WebhookAnswer("id", "https://x/", 0.0, "5-0", None, 2, 60.0, "http_status", False)
    dead = WebhookAnswer("id", "https://x/", 0.0, "5-0", None, 30, 60.0, "unreachable", True)
    shown = list(lines([made, told, failing, dead]))
    assert shown[0].endswith("nothing to tell it yet")
    assert "told all up to 5-0, last 1970-01-0" in shown[1]
    assert "2 deliveries not taken since 1970-01-0" in shown[2]
    assert ": dead: 30 deliveries not taken" in shown[3]
    assert shown[3].endswith("because of unreachable")
