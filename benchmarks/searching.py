"""How long a search takes, a picture that is submitted until its matches are there, and one by its
URL with `POST /scan/url`: one after the other, in turns, on a service that does nothing else. A
real embedded service with real pictures where there are some, else with the drawn face, changed a
little each time.
"""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from benchmarks.picture_server import serving
from benchmarks.pictures import Reference, sample
from benchmarks.report import Measure, Report
from benchmarks.services import embedded
from facematch.client import Client
from facematch.faces import image_hash
from facematch.store import State

SIDE = 250
_SECONDS = 60.0
_WARM = 10
#: Of p50, milliseconds: what was hoped for.
_HOPED = 80.0
#: A search does less than taking a picture in.
_AT_LEAST = 0.9
#: Of `POST /scan/url`, p50, milliseconds.
_MUST_SCAN, _AIM_SCAN = 150.0, 80.0


def run(reference: Reference, images: int, rounds: int, short: bool) -> Report:
    """`images`: so many are in the collection. Raises facematch.tree.Failed."""
    if short:
        images, rounds = min(images, 50), min(rounds, 20)
    report = Report(
        "search", {"images": images, "rounds": rounds, "real": reference.exists, "short": short}
    )
    pictures = _pictures(reference, images + 3 * (rounds + _WARM))
    there, asked = pictures[:images], pictures[images:]
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as shown,
        serving(Path(shown)) as port,
        embedded(
            *(Path(name), 1, lambda line: None),
            log_level="warning",
            fetch_allow=f"127.0.0.1:{port}",
        ) as service,
        Client(service.url) as client,
        requests.Session() as session,
    ):
        for job in [client.submit(picture) for picture in there]:
            client.wait_for(job, _SECONDS)
        faces = 0

        def search(picture: bytes) -> None:
            nonlocal faces
            faces += len(client.search(picture).faces)

        def submit(picture: bytes) -> None:
            job = client.submit(picture, wait=_SECONDS)
            if job.state is not State.DONE:
                raise RuntimeError(f"a picture is {job.state}, {job.code}")

        def scan(picture: bytes) -> None:
            file = Path(shown) / f"{image_hash(picture)}.jpg"
            file.write_bytes(picture)
            url = f"http://127.0.0.1:{port}/{file.name}"
            answer = session.post(f"{service.url}/scan/url", json={"url": url}, timeout=_SECONDS)
            if answer.status_code != HTTPStatus.OK or "matches" not in answer.json():
                raise RuntimeError(f"a URL is {answer.status_code}, {answer.text}")

        searched, submitted, scanned = _in_turns(asked, search, submit, scan)
    at = {share: float(np.percentile(searched, share)) * 1e3 for share in (50, 99)}
    other = {share: float(np.percentile(submitted, share)) * 1e3 for share in (50, 99)}
    for share in (50, 99):
        name = f"search of a {SIDE} × {SIDE} picture, p{share}"
        measure = Measure(name, at[share], "ms", "submitted, until done", other[share])
        report.measures.append(measure)
    for share in (50, 99):
        taken = float(np.percentile(scanned, share)) * 1e3
        measure = Measure(f"POST /scan/url of a new {SIDE} × {SIDE} picture, p{share}", taken, "ms")
        if share == 50 and not short:
            report.at_most(measure, _MUST_SCAN, _AIM_SCAN)
        else:
            report.measures.append(measure)
    met = "met" if at[50] <= _HOPED else "missed"
    ratio = other[50] / at[50]
    report.require(
        "a search takes no longer than taking a picture in",
        ratio >= _AT_LEAST,
        f"{ratio:.2f} ×, must {_AT_LEAST}; p50 {at[50]:.0f} ms, hoped {_HOPED:.0f}: {met}",
    )
    report.require("faces were found", faces >= rounds // 2, f"{faces:,} in {rounds} pictures")
    return report


def _in_turns(pictures: Sequence[bytes], *ways: Callable[[bytes], None]) -> tuple[list[float], ...]:
    """Seconds of each way, with a picture of its own each time; the first ones do not count."""
    taken: tuple[list[float], ...] = tuple([] for _ in ways)
    for number, picture in enumerate(pictures):
        way = number % len(ways)
        began = time.perf_counter()
        ways[way](picture)
        taken[way].append(time.perf_counter() - began)
    return tuple(seconds[_WARM:] for seconds in taken)


def _pictures(reference: Reference, count: int) -> list[bytes]:
    """Different ones, each of 250 × 250 pixels."""
    found = sample(reference, count, seed=1)
    if reference.exists:
        return found
    drawn = np.asarray(Image.open(io.BytesIO(found[0])).convert("RGB"))
    return [_marked(drawn, number) for number in range(count)]


def _marked(pixels: np.ndarray, number: int) -> bytes:
    """The picture with a number in its corner: other bytes, the same face."""
    marked = pixels.copy()
    marked[0, :3] = np.frombuffer(number.to_bytes(9, "big"), dtype=np.uint8).reshape(3, 3)
    buffer = io.BytesIO()
    Image.fromarray(marked).save(buffer, "PNG")
    return buffer.getvalue()
