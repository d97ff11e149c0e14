"""`facematch serve` from outside: command line, HTTP and signals, with all its real processes."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import requests
from planted import PLANTED, people, pictures_of, planted_picture
from served import ROOT, Served, matches, submit
from waiting import eventually

from facematch.embedded import redis_url_of
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect


@pytest.fixture
def serve(tmp_path):
    """Start a service; whatever happens, nothing of it is left behind, and its data is sound."""
    started = []

    @contextmanager
    def start(name="data", *options):
        log = tmp_path / f"console-{len(started)}.txt"
        served = Served(tmp_path / name, log, *(options or ("--port", "0")), encoder=PLANTED)
        started.append(served)
        try:
            yield served
        finally:
            if served.process.poll() is None:
                served.process.terminate()
                served.end()

    yield start
    for served in started:
        served.process.kill()
        served.process.communicate()
        for processes in served.parts().values():
            for process in processes:
                process.kill()
    for data in {served.data for served in started if served.ready}:
        assert_sound(data)


def assert_nothing_left(served, seconds=0):
    eventually(lambda: not served.parts(), "nothing of it runs", seconds)


def assert_sound(data):
    """`facematch fsck` finds nothing in the data folder of a stopped service."""
    done = subprocess.run(
        [sys.executable, "-m", "facematch", "--json", "fsck", "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["findings"] == []


def told(served, command):
    """What `facematch` says of the service, which is as it should be."""
    done = subprocess.run(
        [sys.executable, "-m", "facematch", "--json", command, "--data", str(served.data)],
        cwd=ROOT,
        env=os.environ | {"FACEMATCH_ENCODER": PLANTED, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_collections_know_nothing_of_each_other_and_an_erased_one_is_forgotten(serve):
    first, second = two_pictures_of_one_person()
    with serve() as served:
        at = f"{served.url()}/v1/collections"
        for name in ("trip", "home"):
            made = requests.post(at, json={"name": name, "threshold": 0.5}, timeout=60)
            assert made.status_code == 201
        asked = {"timeout": 40, "params": {"wait": 30}}
        hashes = []
        for picture in (first, second):
            done = requests.post(f"{at}/trip/images", data=picture, **asked)
            assert (done.status_code, done.json()["state"]) == (200, "done")
            hashes.append(done.json()["hash"])
        elsewhere = requests.post(f"{at}/home/images", data=first, **asked)
        assert elsewhere.json()["state"] == "done"

        def matching(name, hash_):
            found = requests.get(f"{at}/{name}/images/{hash_}/matches", **asked)
            return [match["hash"] for match in found.json()["matches"]]

        assert matching("trip", hashes[0]) == [hashes[1]]
        assert matching("trip", hashes[1]) == [hashes[0]]
        assert matching("home", hashes[0]) == []

        def people():
            return requests.get(f"{at}/trip/people", timeout=60).json()["people"]

        eventually(people, "people are grouped", 30)
        assert requests.delete(f"{at}/trip", timeout=60).status_code == 204
        gone = requests.get(f"{at}/trip/images/{hashes[0]}", timeout=60)
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_collection")

        def made_again():
            answer = requests.post(at, json={"name": "trip"}, timeout=60)
            assert answer.status_code in (201, 503)
            return answer.status_code == 201

        eventually(made_again, "the name is free", 60)
        counts = {
            one["name"]: one["images"] for one in requests.get(at, timeout=60).json()["collections"]
        }
        assert counts == {"default": 0, "home": 1, "trip": 0}
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0


def two_pictures_of_one_person():
    rng = np.random.default_rng(1)
    encodings = pictures_of(rng, people(rng, 1)[0], 2)
    return [planted_picture(encoding[None, :]) for encoding in encodings]


def test_a_second_start_finds_everything_and_each_stop_leaves_nothing_running(serve, tmp_path):
    # A folder named like a part, where the user happens to be, must not be taken for it.
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__main__.py").write_text("raise SystemExit('the wrong api')")
    first, second = two_pictures_of_one_person()
    with serve() as served:
        url = served.url()
        assert {name: len(found) for name, found in served.parts().items()} == {
            "valkey-server": 1,
            "index": 1,
            "worker": 2,
            "api": 2,  # gunicorn's parent and the process that serves
        }
        a, b = submit(url, "a.png", first), submit(url, "b.png", second)
        matches(url, a)  # waits until it is done: then the later of the two knows the other
        assert matches(url, b) == [a]
        assert matches(url, a) == [b]
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
        assert_nothing_left(served)
        assert not (served.data / "service.json").exists()
    with serve() as served:
        url = served.url()
        served.wait_for_workers()
        assert requests.get(f"{url}/match/{b}", timeout=60).json() == ["a.png"]
        status = told(served, "status")
        parts = [process["part"] for process in status["processes"]]
        assert parts == ["api", "index", "worker", "worker"]
        assert (status["collection"]["tail"]["position"], status["index"]["position"]) == (2, 2)
        (edition,) = status["vitals"]["editions"]
        assert edition["jobs"] == edition["pending"] == 0
        assert {check["level"] for check in told(served, "doctor")["checks"]} <= {"ok", "warning"}
        served.process.send_signal(signal.SIGINT)
        assert served.end() == 0
        assert_nothing_left(served)
    assert {log.name for log in (tmp_path / "data" / "logs").iterdir()} == {
        "api.log",
        "index.log",
        "valkey.log",
        "worker-1.log",
        "worker-2.log",
    }


def test_the_index_of_a_service_that_runs_is_looked_after_from_outside(serve):
    with serve() as served:
        url = served.url()
        for number, picture in enumerate(two_pictures_of_one_person()):
            matches(url, submit(url, f"{number}.png", picture))
        for command, line in (
            ("status", "sidecar, ready"),
            ("rebuild", "2 faces, at position 2, 0 behind the log"),
            ("verify", "2 faces compared with 2 of 2 images, 4 neighbours"),
        ):
            done = index_command(command, served.data)
            assert done.returncode == 0, done.stderr
            assert line in done.stdout.splitlines()
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
        done = index_command("status", served.data)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("does not run, nor does its index (index_unavailable)\n")


def index_command(command, data):
    return subprocess.run(
        [sys.executable, "-m", "facematch", "index", command, "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )


def test_a_worker_that_dies_ends_the_service_with_one_line_that_names_it(serve):
    with serve() as served:
        served.url()
        served.parts()["worker"][0].kill()
        assert served.end() == 1
        assert_nothing_left(served)
        (line,) = served.own_lines()
        assert re.search(r"(worker-[12]) was ended by SIGKILL; see .*/logs/\1\.log", line)
        assert served.console().splitlines()[-1] == line


def test_nothing_outlives_a_parent_that_is_killed_and_the_next_start_finds_everything(serve):
    first, second = two_pictures_of_one_person()
    with serve() as served:
        url = served.url()
        a = submit(url, "a.png", first)
        assert matches(url, a) == []
        served.process.kill()
        served.end()
        assert_nothing_left(served, 20)
    with serve() as served:
        url = served.url()
        b = submit(url, "b.png", second)
        assert matches(url, b) == [a]
    # Ended just after somebody had it emptied: the next one goes on with that.
    with redis_url_of(served.data) as redis_url, connect(redis_url) as client:
        RedisCollections(client).drop("default")
    with serve() as served:
        assert requests.get(f"{served.url()}/v1/images/{a}", timeout=60).status_code == 404


def test_a_port_or_a_data_folder_in_use_is_one_line_and_a_failure(serve, tmp_path):
    with serve() as served:
        port = served.url().rpartition(":")[2]
        with serve("other", "--port", port) as second:
            assert second.end() == 1
            assert second.console().count("\n") == 1
            assert f"port {port}: Address already in use" in second.console()
        with serve() as third:
            assert third.end() == 1
            assert third.console().count("\n") == 1
            assert f"(process {served.process.pid})" in third.console()
    assert not (tmp_path / "other").exists()


def test_a_stop_during_the_start_leaves_nothing_running(serve):
    with serve() as served:
        eventually(lambda: "index" in served.parts(), "the index is started", 30)
        served.process.send_signal(signal.SIGINT)
        assert served.end() == 0
        assert_nothing_left(served)


def reindex_command(data, *arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments, "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_match_sets_are_made_anew_for_another_threshold_and_back(serve):
    with serve() as served:
        url = served.url()
        a, b = (
            submit(url, f"{number}.png", picture)
            for number, picture in enumerate(two_pictures_of_one_person())
        )
        matches(url, a)
        assert matches(url, b) == [a]
        done = reindex_command(served.data, "facematch", "reindex", "--threshold", "0.01")
        assert done.returncode == 0, done.stderr
        assert "0 pairs as before, 0 gained, 1 lost, 0 with another distance" in done.stdout
        shown = requests.get(f"{url}/v1/images/{b}/matches", timeout=60).json()
        assert (shown["threshold"], shown["matches"]) == (0.01, [])
        # By the worker's command, too.
        done = reindex_command(served.data, "worker", "reindex", "rollback")
        assert done.returncode == 0, done.stderr
        assert matches(url, b) == [a]
        done = reindex_command(served.data, "facematch", "reindex", "cancel")
        assert done.returncode == 0, done.stderr
        done = reindex_command(served.data, "worker", "reindex", "cancel")
        assert (done.returncode, done.stderr) == (
            1,
            "facematch: there is no such reindex (no_reindex)\n",
        )
    done = reindex_command(served.data, "worker", "reindex", "--treshold", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = reindex_command(served.data, "facematch", "reindex", "status")
    assert done.stdout == "There is no reindex.\n"
    done = reindex_command(served.data, "facematch", "reindex")
    assert done.returncode == 1
    assert "service_unavailable" in done.stderr
