"""An encoder that does what a picture's first pixel says: for tests of the sandbox."""

import os
import signal
import time

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Box, Encodings, Pixels
from worker.encoder import Found

POISON = "poison:PoisonEncoder"

#: By the red of the first pixel.
FINE, ABORT, SEGFAULT, SLEEP, SPIN, HOARD, LEAVE, BUG, TELL, WRITE, KILLED = range(11)
CLOCK, LARGE, SILENT, LEFT, KEEP = range(11, 16)

kept: list[NDArray[np.uint8]] = []


class PoisonEncoder:
    """See worker.encoder.Encoder. Its crops tell about the process."""

    model = "poison"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        told = b""
        match int(pixels[0, 0, 0]):
            case 1:
                os.abort()
            case 2:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 3:
                time.sleep(1000)
            case 4:
                while True:
                    pass
            case 5:
                hoard = []
                while True:
                    hoard.append(np.ones(10**7, dtype=np.uint8))
            case 6:
                os._exit(0)
            case 7:
                raise KeyError("a secret")
            case 8:
                told = "\n".join(f"{name}={value}" for name, value in os.environ.items()).encode()
            case 9:
                with open(f"/tmp/facematch-{os.getpid()}", "wb") as file:
                    file.write(b"x")
            case 10:
                os.kill(os.getpid(), signal.SIGKILL)
            case 11:
                told = self._during(0)
            case 12:
                told = self._during(150 << 20)
            case 13:  # it goes silent, and does not end
                os.closerange(3, 64)
                time.sleep(1000)
            case 14:  # it ends, but leaves somebody who holds its connection open
                if os.fork() == 0:
                    time.sleep(20)
                    os._exit(0)
                time.sleep(1000)
            case 15:
                kept.append(np.ones(80 << 20, dtype=np.uint8))
                time.sleep(0.5)
        words = np.zeros(4096, dtype=np.uint8)
        told = told or str(os.getpid()).encode()
        words[: len(told)] = np.frombuffer(told, np.uint8)[:4096]
        return Found([Box(0, 1, 1, 0)], 1, words[None])

    def _during(self, size: int) -> bytes:
        """From when to when it held so many bytes."""
        held, start = np.ones(size, dtype=np.uint8), time.monotonic()
        time.sleep(0.1)
        del held
        return f"{start} {time.monotonic()}".encode()

    def encode(self, crops: NDArray[np.uint8]) -> Encodings:
        return np.zeros((len(crops), 128), dtype=np.float32)
