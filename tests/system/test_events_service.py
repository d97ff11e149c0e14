"""Events, webhooks and batches of a real service: each hears of everything, and once."""

import io
import itertools
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import requests
from planted import PLANTED, people, pictures_of, planted_picture
from receiver import Receiver
from served import Served
from waiting import eventually

from facematch.client import Client
from facematch.events_client import EventAnswer
from facematch.faces import image_hash
from facematch.webhooks import check_signature

RNG = np.random.default_rng(8)
(ADA,) = people(RNG, 1)
PICTURES = [planted_picture(encoding[None]) for encoding in pictures_of(RNG, ADA, 12)]
HASHES = [image_hash(picture) for picture in PICTURES]
PAIRS = {frozenset(pair) for pair in itertools.combinations(HASHES, 2)}


def zipped(pictures: list[bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for number, picture in enumerate(pictures):
            archive.writestr(f"{number}.png", picture)
        archive.writestr("notes.txt", "no picture")
    return written.getvalue()


def test_what_happens_is_told_once_to_who_listens_and_to_a_webhook(tmp_path: Path) -> None:
    receiver = Receiver()
    # Pictures may be fetched from there, and webhooks not lead to it.
    forbidden = Receiver()
    settings = {
        "encoder": PLANTED,
        "webhook_allow": f"127.0.0.1:{receiver.port}",
        "fetch_allow": f"127.0.0.1:{forbidden.port}",
        "sweep_seconds": "1",
        "sweep_age": "2",
    }
    served = Served(tmp_path / "data", tmp_path / "console.txt", "--port", "0", **settings)
    try:
        url = served.url()
        heard: list[EventAnswer] = []

        def listen() -> None:
            with Client(url) as listener:
                for event in listener.events():
                    heard.append(event)
                    if event.type == "erased":
                        return

        thread = threading.Thread(target=listen)
        thread.start()
        eventually(lambda: heard, "it is listened", 30)
        hook, nowhere = (
            requests.post(f"{url}/v1/webhooks", json={"url": one.url}, timeout=30).json()
            for one in (receiver, forbidden)
        )

        with Client(url) as client:
            sent = client.batches.submit_zip(zipped(PICTURES), key="all")
            assert sent.total == len(PICTURES) + 1
            assert client.batches.submit_zip(zipped(PICTURES), key="all").batch == sent.batch
            done = client.batches.wait_for(sent.batch, 60)
            assert (done.counts["done"], done.counts["failed"]) == (len(PICTURES), 1)
            jobs = {item.job for item in client.batches.items(sent.batch)}
            client.delete(HASHES[0])
            thread.join(30)
            assert not thread.is_alive()

            told = [event for event in heard if event.type in ("done", "failed")]
            assert sorted(str(event.job) for event in told) == sorted(map(str, jobs))
            (failed,) = [event for event in told if event.type == "failed"]
            assert failed.code == "not_an_image"
            assert heard[-1].hash == HASHES[0]

            # Each pair once, whenever it is read; but no more with what was erased.
            again = list(itertools.islice(client.events(heard[0].id), pairs_left(heard)))
            matched = [event for event in again if event.type == "matched"]
            pairs = [frozenset((str(event.hash), str(event.match))) for event in matched]
            assert len(pairs) == len(set(pairs))
            assert set(pairs) == {pair for pair in PAIRS if HASHES[0] not in pair}

        eventually(lambda: ("erased", HASHES[0]) in receiver.told(), "the webhook is told", 30)
        for headers, body in receiver.received:
            check_signature(hook["secret"], headers, body, time.time())
            assert json.loads(body)["collection"] == "default"
        ids = [event["id"] for _, body in receiver.received for event in json.loads(body)["events"]]
        assert len(ids) == len(set(ids))
        assert [kind for kind, _ in receiver.told()].count("done") == len(PICTURES)
        known = told_of(url, hook)
        assert (known["failures"], known["dead"]) == (0, False)
        refused = "address_not_allowed"
        eventually(lambda: told_of(url, nowhere)["error"] == refused, "it is refused", 30)
        assert forbidden.received == []
    finally:
        served.process.terminate()
        served.end()
        for one in (receiver, forbidden):
            one.server.shutdown()
            one.server.server_close()


def told_of(url: str, hook: dict[str, Any]) -> dict[str, Any]:
    """What the service tells of a webhook."""
    return dict(requests.get(f"{url}/v1/webhooks/{hook['webhook']}", timeout=30).json())


def pairs_left(heard: list[EventAnswer]) -> int:
    """How many events there are when it is read again: those of pairs with the erased one are
    gone."""
    others = sum(event.type in ("done", "failed", "erased") for event in heard)
    return others + sum(HASHES[0] not in pair for pair in PAIRS)
