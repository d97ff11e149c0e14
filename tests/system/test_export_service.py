"""A collection moved from one real service to another, by the command line."""

import json
import os
import subprocess
import sys

import numpy as np
from planted import PLANTED, people, pictures_of, planted_picture
from served import ROOT, Served
from waiting import eventually

from facematch.client import Client

RNG = np.random.default_rng(11)
PICTURES = [
    planted_picture(encoding[None])
    for person in people(RNG, 3)
    for encoding in pictures_of(RNG, person, 5)
]


def command(*words):
    """The answer of the command line, and what it says beside it."""
    done = subprocess.run(
        [sys.executable, "-m", "facematch", "--json", *words],
        cwd=ROOT,
        env=os.environ | {"FACEMATCH_ENCODER": PLANTED, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def told(client):
    """All matches of all pictures, byte for byte, and people, once all are grouped."""
    eventually(lambda: client.people.page().ungrouped == 0, "all are grouped", 60)
    faces = {person.id: [*client.people.faces(person.id)] for person in client.people.everybody()}
    pages = [
        client._rest.ask("GET", f"/v1/images/{image}/matches").content
        for image in sorted({face.image for its in faces.values() for face in its})
    ]
    return pages, [*client.people.everybody()], faces


def test_a_collection_moves_to_a_service_that_runs(tmp_path):
    settings = {"encoder": PLANTED}
    there = Served(tmp_path / "there", tmp_path / "there.txt", "--port", "0", **settings)
    here = Served(tmp_path / "here", tmp_path / "here.txt", "--port", "0", **settings)
    file = tmp_path / "faces.zip"
    try:
        with Client(there.url()) as client:
            for picture in PICTURES[:12]:
                assert client.submit(picture, "a.png", wait=30).state == "done"
            erased = client.submit(PICTURES[3], wait=30).hash
            client.delete(erased)
            eventually(lambda: client.people.page().ungrouped == 0, "all are grouped", 60)
            first, other, *_ = client.people.everybody()
            client.people.rename(first.id, "Ada")
            client.people.merge(first.id, [other.id])
            before = told(client)
            exported = command("export", str(file), "--data", str(there.data))
        assert exported["images"] == exported["faces"] == 11
        assert exported["matches"] > 10
        with Client(here.url()) as client:
            imported = command("import", str(file), "--data", str(here.data))
            assert {name: imported[name] for name in ("images", "matches", "refused")} == {
                "images": 11,
                "matches": exported["matches"],
                "refused": [],
            }
            assert told(client) == before
            # It goes on: what comes finds what was imported.
            new = client.submit(PICTURES[12], wait=30)
            assert new.state == "done"
            assert len(list(client.all_matches(new.hash))) == 2
            assert command("import", str(file), "--data", str(here.data))["ended_before"]
            assert command("fsck", "--data", str(here.data))["findings"] == []
    finally:
        for served in (there, here):
            served.process.terminate()
            served.end()
