"""Requests as a patient client makes them, while the service is being killed."""

import time

import requests


def patient(method: str, url: str, **options: object) -> requests.Response:
    """A request repeated until the service answers it."""
    until = time.monotonic() + 60
    while True:
        try:
            answer = requests.request(method, url, timeout=30, **options)  # type: ignore[arg-type]
            if answer.status_code < 500:
                return answer
        except requests.RequestException:
            pass
        assert time.monotonic() < until, f"{method} {url}: no answer within a minute"
        time.sleep(0.1)
