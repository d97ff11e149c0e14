"""The audit log: what is noted, and that a change of it shows."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api_parts import Api, running_api
from click.testing import CliRunner
from flask.testing import FlaskClient
from searching_worker import ADAS, Worker

from api.app import create_app
from api.auditing import Audit
from facematch import audit
from facematch.cli import main
from facematch.faces import image_hash
from facematch.keys import Scope, new_key
from facematch.people import new_person_id
from facematch.settings import Settings

ACT = audit.Act("2026-01-01T00:00:00.000+00:00", "k", "DELETE /v1/images/<image>", "default", 204)
NAME = "a name that nobody shall read.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def client(api: Api, folder: Path) -> FlaskClient:
    log = Audit(folder, 30, "host")
    log.check()
    return create_app(replace(api.parts, audit=log), Settings()).test_client()


def written(folder: Path) -> list[audit.Act]:
    return list(audit.acts(folder))


def file_in(folder: Path) -> Path:
    (file,) = folder.glob("audit-host-*.jsonl")
    return file


def test_what_is_done_is_noted_by_ids_alone_and_what_is_read_is_not(
    api: Api, client: FlaskClient, folder: Path
) -> None:
    why = {"purpose": "a reunion", "legal_basis": "contract"}
    job = client.post("/v1/images", query_string={"name": NAME, **why}, data=b"a").json["job"]
    image = api.finish(b"a")
    client.get(f"/v1/images/{image}")
    client.get(f"/v1/images/{image}/matches")
    client.post("/v1/images", json={"url": "http://secret.example/a.jpg"})
    client.delete(f"/v1/images/{image}")
    client.delete(f"/v1/images/{'0' * 64}")
    acts = written(folder)
    assert [(act.what, act.status) for act in acts] == [
        ("POST /v1/images", 202),
        ("POST /v1/images", 202),
        ("DELETE /v1/images/<image>", 204),
        ("DELETE /v1/images/<image>", 404),
    ]
    assert (acts[0].ids, acts[0].basis) == ({"job": job, "hash": image}, why)
    assert acts[2].ids == {"image": image}
    text = file_in(folder).read_text()
    assert NAME not in text
    assert "secret.example" not in text
    assert audit.verify(folder).findings == ()


def test_what_somebody_puts_where_an_id_belongs_is_not_noted(
    client: FlaskClient, folder: Path
) -> None:
    for path in (f"/v1/images/{NAME}", f"/v1/collections/{NAME}/images/{NAME}"):
        assert client.delete(path).status_code in (400, 404)
    client.delete(f"/v1/webhooks/{NAME}")
    client.post(f"/v1/jobs/{NAME}/retry")
    acts = written(folder)
    assert [act.ids for act in acts] == [{}] * 4
    assert [act.collection for act in acts] == ["default", "", "default", "default"]
    assert "nobody" not in file_in(folder).read_text()


def test_ids_are_noted_in_the_form_in_which_they_are_made(
    client: FlaskClient, folder: Path
) -> None:
    person = new_person_id()
    assert client.patch(f"/v1/people/{person}", json={"name": NAME}).status_code == 404
    hook = client.post("/v1/webhooks", json={"url": "https://example.com/"}).json["webhook"]
    client.delete(f"/v1/webhooks/{hook}")
    assert [act.ids for act in written(folder)] == [
        {"person": person},
        {"webhook": hook},
        {"webhook": hook},
    ]


def test_of_a_batch_its_id_is_noted_however_long_the_answer_is(
    client: FlaskClient, folder: Path
) -> None:
    urls = [f"http://example.com/{number}.jpg" for number in range(50)]
    answer = client.post("/v1/images:batch", json={"urls": urls})
    assert len(answer.data) > 4096
    assert [act.ids for act in written(folder)] == [{"batch": answer.json["batch"]}]


def test_of_an_erasure_by_probe_each_image_is_noted(tmp_path: Path, folder: Path) -> None:
    worker = Worker()
    with running_api(tmp_path, worker.store, worker) as running:
        log = Audit(folder, 30, "host")
        log.check()
        client = create_app(replace(running.parts, audit=log), Settings()).test_client()
        images = {worker.submit(picture) for picture in ADAS[1:]}
        looked = client.post("/v1/images:erase", data=ADAS[0])
        confirm = {"confirm": looked.json["confirm"]}
        assert client.post("/v1/images:erase", query_string=confirm, data=ADAS[0]).json["erased"]
    acts = written(folder)
    assert acts[0].ids == {}
    assert {act.ids["image"] for act in acts[1:]} == images
    assert audit.verify(folder).findings == ()


def test_the_key_is_noted_also_of_what_was_refused(
    api: Api, client: FlaskClient, folder: Path
) -> None:
    key, text = new_key("anna", [Scope.READ, Scope.SUBMIT], ["*"], 0.0)
    api.keys.add(key)
    headers = {"X-Api-Key": text}
    assert client.post("/v1/images", data=b"a", headers=headers).status_code == 202
    assert client.delete(f"/v1/images/{image_hash(b'a')}", headers=headers).status_code == 403
    assert [(act.key, act.status) for act in written(folder)] == [(key.id, 202), (key.id, 403)]


@pytest.mark.parametrize("day", [0, 1])
def test_whatever_is_changed_shows(folder: Path, day: int) -> None:
    log = Audit(folder, 0, "host")
    log.check()
    for status in range(200, 206):
        log.append(replace(ACT, status=status))
    file = file_in(folder)
    if day:  # the chain goes on from one day to the next
        before = audit.file_of(folder, "host", datetime.now(UTC).date() - timedelta(days=1))
        file.rename(before)
        log.append(ACT)
        assert audit.verify(folder).acts == 7
        file = before
    right = file.read_bytes()
    lines = right.splitlines(keepends=True)
    assert audit.verify(folder).findings == ()
    wrong = [
        right.replace(b'"status": 202', b'"status": 404'),
        b"".join(lines[:2] + lines[3:]),
        b"".join([lines[0], lines[2], lines[1], *lines[3:]]),
        b"".join([*lines[:3], ACT.sealed("0" * 64).pack(), *lines[3:]]),
        b"".join([*lines[:3], b"nonsense\n", *lines[3:]]),
    ]
    for changed in wrong:
        assert changed != right
        file.write_bytes(changed)
        assert audit.verify(folder).findings, changed
        done = CliRunner().invoke(main, ["audit", "verify"], env={"FACEMATCH_AUDIT": str(folder)})
        assert done.exit_code == 1, done.output


def test_it_goes_on_behind_a_line_that_was_cut_short_and_another_process(folder: Path) -> None:
    first, second = Audit(folder, 0, "host"), Audit(folder, 0, "host")
    first.check()
    first.append(ACT)
    second.append(ACT)
    first.append(ACT)
    assert audit.verify(folder).findings == ()
    file = file_in(folder)
    file.write_bytes(file.read_bytes() + b'{"time": "20')
    second.append(ACT)
    found = audit.verify(folder)
    assert (found.acts, len(found.findings)) == (4, 1)


def test_what_is_old_is_destroyed_and_the_rest_is_right(folder: Path) -> None:
    log = Audit(folder, 30, "host")
    log.check()
    log.append(ACT)
    old = audit.file_of(folder, "host", datetime.now(UTC).date() - timedelta(days=31))
    file_in(folder).rename(old)
    Audit(folder, 30, "host").append(ACT)
    assert not old.exists()
    assert audit.verify(folder).findings == ()
    assert len(written(folder)) == 1
    # Also of a host that is no more, as each container is one.
    other = Audit(folder, 30, "other")
    other.append(ACT)
    (file,) = folder.glob("audit-other-*.jsonl")
    old = file.rename(audit.file_of(folder, "other", datetime.now(UTC).date() - timedelta(days=31)))
    Audit(folder, 30, "host").append(ACT)
    assert not old.exists()


def test_the_chain_holds_when_the_clock_is_set_back(folder: Path) -> None:
    log = Audit(folder, 0, "host")
    log.check()
    log.append(ACT)
    tomorrow = audit.file_of(folder, "host", datetime.now(UTC).date() + timedelta(days=1))
    file_in(folder).rename(tomorrow)
    for again in (log, Audit(folder, 0, "host"), log):
        again.append(ACT, ACT)
    assert file_in(folder) == tomorrow
    assert tomorrow.stat().st_mode & 0o077 == 0
    assert audit.verify(folder) == audit.Verified(7, audit.verify(folder).hosts, ())


@pytest.mark.parametrize(
    "line", ["[1]", "{}", '"a"', json.dumps(asdict(ACT) | {"ids": ["a"]}), "\x1b[2J"]
)
def test_what_is_no_act_is_found_and_not_shown(folder: Path, line: str) -> None:
    folder.mkdir()
    audit.file_of(folder, "host", datetime.now(UTC).date()).write_text(f"{line}\n")
    assert len(audit.verify(folder).findings) == 1
    environment = {"FACEMATCH_AUDIT": str(folder)}
    shown = CliRunner().invoke(main, ["audit", "show"], env=environment)
    assert (shown.exit_code, shown.output) == (0, "")


def test_the_command_shows_what_was_asked_for(folder: Path) -> None:
    log = Audit(folder, 0, "host")
    log.check()
    for image in ("a", "b"):
        log.append(replace(ACT, ids={"image": image}))
    environment = {"FACEMATCH_AUDIT": str(folder)}
    shown = CliRunner().invoke(main, ["audit", "show", "--id", "b", "--json"], env=environment)
    assert [json.loads(line)["ids"] for line in shown.output.splitlines()] == [{"image": "b"}]
    right = CliRunner().invoke(main, ["audit", "verify", "--json"], env=environment)
    assert (right.exit_code, json.loads(right.output)["acts"]) == (0, 2)
