"""What the embedded service tells on its ports while it works."""

import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import requests
from planted import PLANTED, people, pictures_of, planted_picture
from scraping import free_ports, scrape, total
from served import ROOT, Served
from told_metrics import Told, all_told
from waiting import eventually

from benchmarks.servers import listens


def test_every_process_of_a_service_tells_what_it_does(tmp_path: Path) -> None:
    api = free_ports(4)
    index, workers = api + 1, (api + 2, api + 3)
    served = Served(
        *(tmp_path / "data", tmp_path / "console.txt", "--port", "0"),
        encoder=PLANTED,
        metrics_port=str(api),
    )
    try:
        url = served.url()
        for port in (index, *workers):
            eventually(partial(listens, port), "it tells something")
        work(url)
        assert total([api], "facematch_accepted_total", by="bytes") == 2
        assert total([api], "facematch_accepted_total", by="url") == 1
        # Whoever waits for a job hears of its end before it is counted.
        jobs = "facematch_worker_jobs_total"
        eventually(lambda: total(workers, jobs) == 3, "all jobs are counted")
        assert total(workers, jobs, state="done") == 2
        assert total(workers, jobs, state="failed", code="address_not_allowed") == 1
        stages = "facematch_worker_stage_seconds_count"
        eventually(lambda: total(workers, stages, stage="link") == 2, "their stages, too")
        eventually(lambda: total(workers, "facematch_worker_ready") == 2, "both are ready")
        eventually(lambda: total([index], "facematch_index_position") == 2)
        assert total([index], "facematch_index_faces", collection="default") == 2
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 404

        def looked() -> bool:
            waiting = total([api], "facematch_jobs_waiting") + total([api], "facematch_queue_depth")
            return total([api], "facematch_images", edition="0") == 2 and not waiting

        eventually(looked, "the api has looked at the store")
        assert total([api], "facematch_store_up") == total([api], "facematch_broker_up") == 1
        assert total([api], "facematch_log_position") == 2
        assert total([api], "facematch_api_ledger_replayed") == 1
        subprocess.run(
            [sys.executable, "-m", "facematch", "fsck", "--data", str(served.data)],
            cwd=ROOT,
            check=True,
            timeout=60,
        )
        eventually(lambda: "\nfacematch_fsck_findings 0.0" in scrape(api), "fsck is told")
        real = [Told.of(scrape(port)).families for port in (api, workers[0], index)]
        assert real == [one.families for _, one in all_told(tmp_path)]
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
    finally:
        served.process.kill()
        served.process.communicate()


def work(url: str) -> None:
    """Two pictures that are done, and a URL that fails."""
    rng = np.random.default_rng(1)
    for encoding in pictures_of(rng, people(rng, 1)[0], 2):
        picture = planted_picture(encoding[None, :])
        answer = requests.post(f"{url}/v1/images?wait=30", data=picture, timeout=60)
        assert answer.json()["state"] == "done"
    private = {"url": "http://127.0.0.1:1/"}
    answer = requests.post(f"{url}/v1/images?wait=30", json=private, timeout=60)
    assert (answer.json()["state"], answer.json()["code"]) == ("failed", "address_not_allowed")


def test_a_port_of_metrics_in_use_is_one_line(tmp_path: Path) -> None:
    first = free_ports(4)
    with socket.create_server(("127.0.0.1", first + 1)):
        served = Served(
            *(tmp_path / "data", tmp_path / "console.txt", "--port", "0"),
            encoder=PLANTED,
            metrics_port=str(first),
        )
        assert served.end() == 1
    assert re.search(rf"port {first + 1}: Address already in use", served.console())
