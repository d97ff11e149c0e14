"""Looks now and then at a service at work: how many jobs wait, and the memory of its processes."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from benchmarks.processes import memory_of, processor_seconds
from benchmarks.services import Service
from facematch.brokers import open_broker
from facematch.errors import Unavailable

_SECONDS = 1.0
#: Memory is looked at less often: Linux walks through all of it.
_MEMORY_EVERY = 3


@dataclass
class Watched:
    """What was seen: jobs waiting, by the clock; of each part the most memory that one of its
    processes had, with all that it started; and for how many seconds all of them computed.
    `client` is this process."""

    depths: list[tuple[float, int]] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)
    processor: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def look_at_memory(self, service: Service) -> None:
        """Once."""
        for part, pids in service.parts().items():
            most = max(memory_of(pid) for pid in pids)
            self.memory[part] = max(self.memory.get(part, 0), most)


@contextmanager
def watching(service: Service, clock: Callable[[], float], watched: Watched) -> Iterator[None]:
    """Look, in a thread of its own, while the context lasts."""
    stop, before = threading.Event(), _computed(service)
    thread = threading.Thread(target=_watch, args=(service, clock, watched, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        for part, seconds in _computed(service).items():
            watched.processor[part] += seconds - before.get(part, 0.0)
        watched.look_at_memory(service)


def _computed(service: Service) -> dict[str, float]:
    parts = service.parts().items()
    computed = {part: sum(map(processor_seconds, pids)) for part, pids in parts}
    return computed | {"client": time.process_time()}


def _watch(
    service: Service, clock: Callable[[], float], watched: Watched, stop: threading.Event
) -> None:
    with closing(open_broker(service.broker_url)) as broker:
        looks = 0
        while not stop.wait(_SECONDS):
            try:
                watched.depths.append((clock(), broker.depth()))
            except Unavailable:
                continue  # it is asked again
            if looks % _MEMORY_EVERY == 0:
                watched.look_at_memory(service)
            looks += 1
