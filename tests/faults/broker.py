"""RabbitMQ is killed, wiped, or raises its alarm: submitting goes on, and nothing is lost."""

import time

import numpy as np
import requests
from coming_and_going import Ledger, coming_and_going
from waiting import eventually

from facematch.job import QUEUE
from faults.book import Outcome
from faults.service import Service, service

#: So long may a submission take, whatever RabbitMQ does.
ANSWER_SECONDS = 5.0
#: At least so many messages wait in RabbitMQ when its disk is wiped.
_WAITING = 5


def run(seed: int, cycles: int = 6) -> Outcome:
    """So many of them, in turn."""
    outcome = Outcome("broker", f"{cycles} cycles", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    acts = (_kill, _wipe, _alarm)
    impatient: list[str] = []
    with service(workers=2) as made:
        with coming_and_going(made.url, ledger, seed + 1, pause=0.1) as errors:
            for cycle in range(cycles):
                time.sleep(float(rng.random()))
                acts[cycle % len(acts)](made, outcome, impatient)
                if errors:
                    break
            outcome.violations += [f"a client: {error}" for error in errors]
            errors.clear()
        made.judge(ledger, outcome)
        lost = [job for job in impatient if made.end_of(job) != "failed"]
        outcome.counts["accepted"] += len(impatient)
        outcome.counts["lost"] += len(lost)
        outcome.violations += [f"I5: job {job} of no picture did not fail" for job in lost]
    return outcome


def _kill(made: Service, outcome: Outcome, impatient: list[str]) -> None:
    made.rabbitmq.kill()
    outcome.counts["kills"] += 1
    _submit(made, outcome, impatient, "while RabbitMQ is away")
    made.rabbitmq.start()


def _wipe(made: Service, outcome: Outcome, impatient: list[str]) -> None:
    del impatient
    with made.frozen(made.workers):  # what nobody takes is there to be lost
        eventually(lambda: made.rabbitmq.depth(QUEUE) >= _WAITING, "messages wait", 30)
        outcome.counts["messages wiped"] += made.rabbitmq.depth(QUEUE)
        made.rabbitmq.kill()
        made.rabbitmq.wipe()
    outcome.counts["kills"] += 1
    outcome.counts["disks wiped"] += 1
    made.rabbitmq.start()


def _alarm(made: Service, outcome: Outcome, impatient: list[str]) -> None:
    made.rabbitmq.control("set_vm_memory_high_watermark", "0")
    outcome.counts["alarms"] += 1
    for _ in range(5):
        _submit(made, outcome, impatient, "while the alarm is raised")
        time.sleep(0.3)
    made.rabbitmq.control("set_vm_memory_high_watermark", "0.4")


def _submit(made: Service, outcome: Outcome, impatient: list[str], when: str) -> None:
    """Somebody who does not wait submits what is no picture."""
    began = time.monotonic()
    data = f"no picture {len(impatient)}".encode()
    answer = requests.post(f"{made.url}/v1/images", data=data, timeout=60)
    took = time.monotonic() - began
    counts = outcome.counts
    counts["slowest answer, ms"] = max(counts["slowest answer, ms"], int(1000 * took))
    if took > ANSWER_SECONDS or answer.status_code != 202:
        outcome.violations.append(f"{answer.status_code} after {took:.1f} s {when}")
    else:
        impatient.append(answer.json()["job"])
