"""Searches in a real service: right while pictures come, by command and client, and of the picture
nothing is left anywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from picture_server import PictureServer
from planted import PLANTED, people, pictures_of, planted_picture
from served import ROOT, Served

from facematch.client import Client
from facematch.errors import Rejected, Unavailable
from facematch.faces import image_hash, pack_encodings

RNG = np.random.default_rng(8)
ADA, BOB = people(RNG, 2)
ADA_FACES = pictures_of(RNG, ADA, 6)
ADAS = [planted_picture(encoding[None]) for encoding in ADA_FACES]
PROBE_FACES = np.stack([pictures_of(RNG, ADA, 1)[0], BOB])
PROBE = planted_picture(PROBE_FACES)
NAME = "nobody-is-to-know-this-name.png"


def traces(place: Path, picture: bytes, faces: np.ndarray, *words: str) -> set[str]:
    """What a file, or those below a folder, have of a picture: bytes, hash, a face, or words."""
    wanted = {
        "bytes": picture[40:],
        "hash": image_hash(picture).encode(),
        "digest": bytes.fromhex(image_hash(picture)),
        **{f"face {n}": pack_encodings(face) for n, face in enumerate(faces)},
        **{word: word.encode() for word in words},
    }
    found = set()
    for file in (place, *place.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            found |= {what for what, part in wanted.items() if part in data}
    return found


@pytest.fixture
def web() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture
def served(tmp_path: Path, web: PictureServer) -> Iterator[Served]:
    served = Served(
        tmp_path / "data",
        tmp_path / "console.txt",
        *("--port", "0"),
        encoder=PLANTED,
        fetch_allow=f"127.0.0.1:{web.port}",
        log_level="debug",
    )
    yield served
    served.process.kill()
    served.process.communicate()
    for processes in served.parts().values():
        for process in processes:
            process.kill()


def search_while_the_default_collection_is_emptied(url: str) -> None:
    """Which is of no concern to another one."""
    with (
        Client(url, attempts=1) as all_of_it,
        Client(url, attempts=1, collection="apart") as apart,
    ):
        all_of_it.collections.create("apart")
        image = apart.submit(ADAS[0], wait=30).hash
        searches = 0
        while not searches:
            # It may be over before anybody has looked.
            all_of_it.collections.delete("default")
            emptying = True
            while emptying:
                try:
                    all_of_it.collections.get("default")
                    emptying = False
                except Unavailable as error:
                    searches += error.code == "collection_erasing"
                [match] = apart.search(PROBE, face=0).faces[0].matches
                assert match.hash == image


def test_searches_are_right_while_pictures_come_and_leave_nothing_behind(
    served: Served, web: PictureServer, tmp_path: Path
) -> None:
    url = served.url()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / NAME
    file.write_bytes(PROBE)
    by_url = web.serve(PROBE, path="/abracadabra.png")
    with Client(url) as client:
        there = [client.submit(picture, wait=30).hash for picture in ADAS[:3]]
        first = client.search(file)
        ada, bob = first.faces
        assert [match.hash for match in bob.matches] == []
        assert {match.hash for match in ada.matches} == set(there)
        assert client.search_url(by_url) == first
        with pytest.raises(Rejected):
            client.search(PROBE_FACES.tobytes())

        # As exact in the middle of others that come, and several at a time.
        def searched(_: int) -> set[str]:
            return {match.hash for match in client.search(PROBE, face=0).faces[0].matches}

        late = [image_hash(picture) for picture in ADAS[3:]]
        with ThreadPoolExecutor(4) as pool:
            begun = [pool.submit(searched, number) for number in range(12)]
            for picture in ADAS[3:]:
                client.submit(picture, wait=30)
            for one in begun:
                assert set(there) <= one.result() <= {*there, *late}
        assert searched(0) == {*there, *late}

        # The command finds the same, and an erasure counts at once.
        done = subprocess.run(
            [sys.executable, "-m", "facematch", "--url", url, "--json", "search", str(file)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        answer = json.loads(done.stdout)
        client.delete(there[0])
        assert searched(0) == {*there[1:], *late}
        assert {one["hash"] for one in answer["faces"][0]["matches"]} == {*there, *late}
        search_while_the_default_collection_is_emptied(url)
        served.process.send_signal(2)
        assert served.end() == 0
    words = (NAME, "abracadabra")
    assert traces(served.data, PROBE, PROBE_FACES, *words) == set()
    assert traces(tmp_path / "console.txt", PROBE, PROBE_FACES, *words) == set()
    # Who looks so does find what is kept.
    kept = traces(served.data, ADAS[1], ADA_FACES[1:2])
    assert kept >= {"hash", "face 0"}
