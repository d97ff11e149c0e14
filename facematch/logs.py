"""Logging: one `configure` at the start of a process, then `structlog.get_logger()`.

JSON lines for machines, readable lines for a terminal; both on standard error, and the same for
what libraries log. Encodings and picture bytes are never logged.
"""

import logging
import sys

import structlog

from facematch.settings import Settings


def configure(settings: Settings, part: str) -> None:
    """Set up logging of this process. `part` names it: api, worker, index."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _naming(part),
        structlog.processors.add_log_level,
    ]
    renderer: structlog.typing.Processor
    if settings.logs == "json":
        renderer = structlog.processors.JSONRenderer()
        shared += [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
        shared += [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # It writes a line with one call, so that those of libraries come between lines only.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])
    structlog.get_logger().info("settings", **settings.shown())


def _naming(part: str) -> structlog.typing.Processor:
    def name(
        logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        del logger, method
        return {**event, "part": part}

    return name
