"""Clocks that are a day off, each another way, and that jump: order and erasures are as before.

libfaketime is no part of Debian's default installation; what is needed of it are thirty lines of C,
which a compiler has to be there for.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from coming_and_going import Client, Ledger, coming_and_going

from faults.book import Outcome
from faults.service import Service, service

DAY = 86_400
SOURCE = Path(__file__).with_name("clock.c")


class Clocks:
    """The clock of each process by its name, in seconds off the machine's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = folder / "clock.so"
        compiler = shutil.which("cc")
        assert compiler, "no compiler: apt install gcc"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True)

    def environment(self, name: str) -> dict[str, str]:
        """What a process needs to have this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET": str(self._folder / f"{name}.off")}

    def set(self, name: str, seconds: int) -> None:
        """From now on, also while it runs."""
        new = self._folder / f"{name}.new"
        new.write_text(f"{seconds}\n")
        new.replace(self._folder / f"{name}.off")


def run(seed: int) -> Outcome:
    """All clocks but that of RabbitMQ, Redis's first ahead and then back."""
    outcome = Outcome("clocks", "± 1 day", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    with service(workers=2) as made:
        clocks = Clocks(made.folder)
        names = ["api", *made.workers, *made.indexes]
        _restart_with(made, clocks, names)
        client = Client(made.url, ledger, rng)
        with coming_and_going(made.url, ledger, seed + 1, pause=0.1) as errors:
            # Redis ahead, back by two days, and right again; the others at every turn elsewhere.
            for redis in (0, DAY, -DAY, 0):
                clocks.set("redis", redis)
                for name in names:
                    clocks.set(name, int(rng.integers(-1, 2)) * DAY)
                clocks.set("api", -redis)
                if abs(made.client.time()[0] - time.time() - redis) > 60:
                    outcome.violations.append("the clock of Redis was not moved")
                outcome.counts["clocks moved"] += 1 + len(names)
                time.sleep(4)
                if errors:
                    break
            outcome.violations += [f"a client: {error}" for error in errors]
            errors.clear()
        written = "".join(one.read_text() for one in (made.folder / "ledger").iterdir())
        if len(set(re.findall(r'"time": "([\d-]+)', written))) < 2:
            outcome.violations.append("the clock of the api was not moved")
        _come_again(client, outcome)
        for name in ("redis", *names):
            clocks.set(name, 0)
        made.judge(ledger, outcome)
    return outcome


def _restart_with(made: Service, clocks: Clocks, names: list[str]) -> None:
    made.redis.stop()
    made.redis.environment = clocks.environment("redis")
    made.redis.start()
    plain = dict(made.cluster.environment)
    for name in names:
        made.cluster.kill(name)
        made.cluster.environment = plain | clocks.environment(name)
        made.cluster.start(name)
    made.cluster.environment = plain
    made.cluster.wait_ready()


def _come_again(client: Client, outcome: Outcome) -> None:
    """What was erased while clocks were ahead may be submitted again all the same."""
    ledger = client.ledger
    for image in sorted(ledger.erased)[:5]:
        ledger.erased.discard(image)
        client.send(image, ledger.pictures[image], ledger.person[image])
        outcome.counts["erased and submitted again"] += 1
