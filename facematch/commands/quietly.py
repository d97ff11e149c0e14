"""Keeps what the parts of a service log out of what a command prints."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import structlog


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Only what is wrong is logged, and not where the answer goes."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
