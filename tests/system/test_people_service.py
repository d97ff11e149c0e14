"""People of a real service: grouped as pictures come, and as somebody said. That they are right
when parts die, is seen in tests/chaos."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from planted import PLANTED, people, pictures_of, planted_picture
from served import ROOT, Served
from waiting import eventually

from facematch.client import Client
from facematch.errors import NotFound

RNG = np.random.default_rng(3)
ADA, BOB = people(RNG, 2)
ADAS, BOBS = (
    [planted_picture(encoding[None]) for encoding in pictures_of(RNG, person, 4)]
    for person in (ADA, BOB)
)
BOTH = planted_picture(np.stack([ADA, BOB]))


def serve(tmp_path, **settings):
    return Served(
        tmp_path / "data", tmp_path / "console.txt", "--port", "0", encoder=PLANTED, **settings
    )


def command(data, *words):
    done = subprocess.run(
        [sys.executable, "-m", "facematch", "--json", *words, "--data", str(data)],
        cwd=ROOT,
        env=os.environ | {"FACEMATCH_ENCODER": PLANTED, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def served(tmp_path):
    served = serve(tmp_path)
    yield served
    served.process.kill()
    served.process.communicate()
    for processes in served.parts().values():
        for process in processes:
            process.kill()


def grouped(client, wanted=lambda people: True):
    """The faces of each person, once all are grouped and they are what is wanted."""
    found = {}

    def settled():
        found.clear()
        page = client.people.page()
        for person in page.people:
            try:
                faces = list(client.people.faces(person.id))
            except NotFound:
                return False
            found[person.id] = {(face.image, face.number) for face in faces}
        return page.ungrouped == 0 and found and wanted(found)

    eventually(settled, "all are grouped", 60)
    return found


def test_people_come_with_pictures_and_stay_as_somebody_said(served):
    url = served.url()
    with Client(url) as client:
        ada = [client.submit(picture, wait=30).hash for picture in ADAS[:3]]
        bob = [client.submit(picture, wait=30).hash for picture in BOBS[:3]]
        both = client.submit(BOTH, wait=30).hash
        wanted = [
            {*((image, 0) for image in ada), (both, 0)},
            {*((image, 0) for image in bob), (both, 1)},
        ]
        found = grouped(client, lambda now: list(now.values()) in (wanted, wanted[::-1]))
        ids = {len(faces & wanted[0]): person for person, faces in found.items()}
        first, second = ids[4], ids[0]

        # A name and a correction outlive what comes later.
        client.people.rename(first, "Ada")
        (out,) = client.people.exclude(first, [(ada[0], 0)])
        more = client.submit(ADAS[3], wait=30).hash
        later = grouped(client, lambda now: (more, 0) in set().union(*now.values()))
        assert (ada[0], 0) not in later[first]
        assert later[first] >= {(ada[1], 0), (ada[2], 0), (both, 0)}
        assert client.people.person(first).name == "Ada"
        assert out.id != first

        # Whom somebody says to be one stay one.
        client.people.merge(first, [second])
        bobs = client.submit(BOBS[3], wait=30).hash
        merged = grouped(client, lambda now: (bobs, 0) in now.get(first, ()))
        assert second not in merged
        assert merged[first] >= wanted[1]

        # Nothing is left of what is erased.
        client.delete(both)
        assert client.people.of_image(both) == ()
        assert (both, 0) not in grouped(client)[first]
        code, checked, error = command(served.data, "people", "check")
        assert (code, checked["wrong"], checked["ungrouped"]) == (0, [], 0), error
        assert command(served.data, "people", "regroup", "--false-pairs", "0.05")[0] == 0
        after = grouped(client)
        assert after[first] >= {(bobs, 0), (ada[1], 0)}
