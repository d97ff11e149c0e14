"""Pauses that differ, so that processes that began together do not go on together."""

import random

# Its own: whoever uses `random` with a seed, as property tests do, must find it untouched.
_random = random.SystemRandom()


def jittered(seconds: float) -> float:
    """Between half of `seconds` and all of it, each as likely."""
    return seconds * _random.uniform(0.5, 1)
