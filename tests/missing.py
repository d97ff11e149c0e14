"""A test without something it needs is skipped; where CI is set in the environment it fails."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """End the test that runs; `reason` says what is missing and how to get it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
