"""Redis is killed with kill -9 again and again: whatever was acknowledged is there afterwards."""

import time

import numpy as np
from coming_and_going import Ledger, coming_and_going
from patience import patient

from faults.book import Outcome
from faults.service import Service, service

#: Of what was acknowledged last, so much is asked for after each kill; all of it in the end.
_LAST = 30


def run(seed: int, kills: int) -> Outcome:
    """So many kills, at moments that the seed decides."""
    outcome = Outcome("redis", f"{kills} kills", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    with service(workers=2) as made:
        with coming_and_going(made.url, ledger, seed + 1, pause=0) as errors:
            for _ in range(kills):
                time.sleep(0.1 + float(rng.random()))
                kept, gone = list(ledger.jobs), set(ledger.erased)
                done = _done(made, list(ledger.person)[-_LAST:])
                made.kill("redis", outcome)
                _compare(made, outcome, kept[-_LAST:], gone, done)
                if errors:
                    break
            outcome.violations += [f"a client: {error}" for error in errors]
            errors.clear()
        made.judge(ledger, outcome)
    return outcome


def _done(made: Service, images: list[str]) -> list[str]:
    """Those that are said to be done: that is an acknowledgement as well."""
    return [image for image in images if _state(made, image) == "done"]


def _state(made: Service, image: str) -> str:
    answer = patient("GET", f"{made.url}/v1/images/{image}")
    return {404: "lost", 410: "erased"}.get(answer.status_code) or str(answer.json()["state"])


def _compare(
    made: Service, outcome: Outcome, jobs: list[str], gone: set[str], done: list[str]
) -> None:
    lost = [job for job in jobs if patient("GET", f"{made.url}/v1/jobs/{job}").status_code == 404]
    lost += [image for image in done if _state(made, image) not in ("done", "erased")]
    lost += [image for image in sorted(gone)[-_LAST:] if _state(made, image) != "erased"]
    outcome.counts["acknowledged lost"] += len(lost)
    outcome.violations += [f"{one} was acknowledged and is lost" for one in lost]
