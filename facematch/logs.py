"""Logging: one `configure` at the start of a process, then `structlog.get_logger()`.

JSON lines for machines, readable lines for a terminal; both on standard error. Encodings and
picture bytes are never logged.
"""

import logging
import sys

import structlog

from facematch.settings import Settings


def configure(settings: Settings, part: str) -> None:
    """Set up logging of this process. `part` names it: api, worker, index."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: structlog.typing.Processor
    if settings.logs == "json":
        renderer = structlog.processors.JSONRenderer()
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=_one_traceback
        )
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _naming(part),
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info if settings.logs == "json" else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s"
    )
    structlog.get_logger().info("settings", **settings.shown())


_one_traceback = structlog.dev.plain_traceback


def _naming(part: str) -> structlog.typing.Processor:
    def name(
        logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        del logger, method
        return {**event, "part": part}

    return name


def _keep(
    logger: object, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    del logger, name
    return event
