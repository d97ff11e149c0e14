"""How soon the web page can be used: a real Chromium on this machine, a collection of drawn images.

A real embedded service, filled with drawn images whose matches are written. Of each view the time
from when its address is opened, with nothing cached, until it shows what it is to show and can be
used. The baseline is a view with nothing of the collection in it.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.drawn_encoder import ENCODER, MODEL, drawn_faces
from benchmarks.filling import FillingStore, fill_store, link_all
from benchmarks.job_log import JobLog
from benchmarks.report import Measure, Report
from benchmarks.services import embedded
from facematch.client import Client
from facematch.errors import Misconfigured
from facematch.redis_connection import connect

_MUST = 1000.0
_THRESHOLD = 0.6
_EMPTY = "a view of nothing"
#: So that the worker leaves alone what is being filled in.
_NEVER = str(10**6)
_READY = "() => performance.getEntriesByName('ready')[0].startTime"


def run(images: int, rounds: int, short: bool) -> Report:
    """Open each view so many times. `short`: twice, and how long it takes does not count."""
    rounds = 2 if short else rounds
    report = Report("browse", {"images": images, "rounds": rounds, "short": short})
    with tempfile.TemporaryDirectory() as name, _filled(Path(name), images) as (url, hashes):
        with Client(url) as client:
            counts = {image: len(client.matches(image).matches or ()) for image in hashes[:200]}
            most = max(counts, key=counts.__getitem__)
            views = {
                "add": "/",
                f"image with {counts[most]} matches": f"/images/{most}",
                "people": "/people",
                _EMPTY: f"/images/{'0' * 64}",
            }
        taken = dict(zip(views, _times(url, list(views.values()), rounds), strict=True))
    empty = float(np.median(taken.pop(_EMPTY)))
    for view, times in taken.items():
        measure = Measure(f"{view}: ready, p50", float(np.median(times)), "ms", _EMPTY, empty)
        if short:
            report.measures.append(measure)
        else:
            report.at_most(measure, _MUST)
        report.measures.append(Measure(f"{view}: ready, slowest", max(times), "ms"))
    return report


@contextmanager
def _filled(folder: Path, images: int) -> Iterator[tuple[str, Sequence[str]]]:
    settings = {"encoder": ENCODER, "threshold": repr(_THRESHOLD), "sweep_seconds": _NEVER}
    with embedded(folder, 1, JobLog().hear, **settings) as service:
        with closing(connect(service.redis_url)) as client:
            client.config_set("appendfsync", "no")
            store = FillingStore(client)
            store.create(MODEL, _THRESHOLD)
            encodings = drawn_faces(np.arange(images))
            added = fill_store(store, encodings, MODEL)
            link_all(store, added, encodings, _THRESHOLD)
            client.config_set("appendfsync", "always")
        yield service.url, [image for image, _ in added]


def _times(url: str, paths: Sequence[str], rounds: int) -> list[list[float]]:
    """Milliseconds of each path, in turns, each time in a browser profile of its own."""
    # Here, because only who runs this needs it.
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        raise Misconfigured("there is no chromium; apt-get install chromium")
    taken: list[list[float]] = [[] for _ in paths]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for _ in range(rounds):
            for times, path in zip(taken, paths, strict=True):
                with browser.new_context() as context, context.new_page() as page:
                    page.goto(url + path)
                    page.wait_for_selector("main[data-ready]")
                    times.append(float(page.evaluate(_READY)))
        browser.close()
    return taken
