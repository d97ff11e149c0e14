"""`python -m worker.nursery`: the process from which a worker's sandboxed children are forked.

Started by `worker.child` with an environment without secrets. It loads the models once, starts
what makes them faster, and then does nothing but fork, and say how children ended; it never sees
a picture itself.

A child looks at pictures and fetches URLs, one task at a time, until its connection ends. It has
limits on memory and processor time, cannot write files or gain privileges, and dies with the
nursery.
"""

import gc
import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np

from facematch import tether
from facematch.errors import Rejected
from worker.costly import Room
from worker.encoder import Encoder, Preparable, load_encoder
from worker.fetch import Fetcher
from worker.frames import (
    MESSAGE_BYTES,
    READY,
    Broken,
    ChildSettings,
    Exhausted,
    Fetch,
    Fetched,
    Look,
    Outcome,
    Refused,
    Task,
    Wait,
    decode_request,
    decode_task,
    encode_answer,
    encode_outcome,
)
from worker.looking import see
from worker.memory import give_back_early
from worker.preparing import Preparing

_OPEN_FILES = 64


def main(arguments: list[str]) -> None:
    """Serve forks over the socket with this number, with these settings, until it is closed."""
    give_back_early()
    control = socket.socket(fileno=int(arguments[0]))
    settings = ChildSettings.decode(arguments[1])
    # The worker ends its children when it has no more use for them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    encoder = load_encoder(settings.encoder, settings.detector, settings.picture.max_side)
    fetcher = Fetcher(settings.fetch)
    _load(encoder)
    preparing = _prepare(encoder)
    control.send(READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
        if not message:
            return
        request = decode_request(message)
        if isinstance(request, Wait):
            _, status = os.waitpid(request.pid, 0)
            control.send(encode_answer(os.waitstatus_to_exitcode(status)))
            continue
        if preparing is not None and preparing.ended:
            preparing = None
            _load(encoder)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            control.close()
            mapped = _confine(parent, settings.memory)
            _serve(Connection(descriptors[0]), settings, encoder, fetcher, mapped)
        os.close(descriptors[0])
        control.send(encode_answer(child))


def _load(encoder: Encoder) -> None:
    """Load what finding faces needs, for all children that are forked from now on."""
    encoder.find(np.zeros((80, 80, 3), dtype=np.uint8), 1)
    gc.collect()
    gc.freeze()  # what is loaded by now stays shared: nobody looks through it any more


def _prepare(encoder: Encoder) -> Preparing | None:
    module = encoder.preparation() if isinstance(encoder, Preparable) else None
    with suppress(OSError):  # it does without
        return Preparing(module) if module is not None else None
    return None


def _confine(nursery: int, memory: int) -> int:
    """Give up what a child does not need. `memory`: bytes it may take at the most on top of what
    it has, which are returned."""
    tether.tie(nursery)
    tether.renounce_privileges()
    # Libraries complain about pictures, and may quote them.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    mapped = 0
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(limit, (value, value))
    return mapped


def _serve(
    connection: Connection,
    settings: ChildSettings,
    encoder: Encoder,
    fetcher: Fetcher,
    mapped: int,
) -> NoReturn:
    try:
        while True:
            task = decode_task(connection.recv_bytes())
            _grant_cpu(settings.cpu_seconds)
            room = _room(task, settings)
            if mapped:
                _grant_memory(mapped + room.size)
            connection.send_bytes(encode_outcome(_outcome(task, settings, encoder, fetcher, room)))
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001  nothing of the nursery must run in the child
        os._exit(1)


def _grant_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    granted = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (granted, hard))


def _room(task: Task, settings: ChildSettings) -> Room:
    if isinstance(task, Look) and task.alone:
        return Room(settings.memory, more=False)
    return Room(settings.memory // 2, more=True)


def _grant_memory(most: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _outcome(
    task: Task, settings: ChildSettings, encoder: Encoder, fetcher: Fetcher, room: Room
) -> Outcome:
    try:
        match task:
            case Fetch(url):
                return Fetched(fetcher.fetch(url))
            case Look(data):
                return see(data, encoder, settings.picture, room)
    except Rejected as error:
        return Refused(error.code, str(error))
    except MemoryError:
        return Exhausted()
    except Exception as error:  # noqa: BLE001  whatever it is, the worker has to hear of it
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Broken(f"{type(error).__name__} in {last.name}, line {last.lineno}")


if __name__ == "__main__":
    main(sys.argv[1:])
