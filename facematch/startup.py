"""How every process begins: settings, log, failpoint; and how it refuses to, in one line."""

import sys
from collections.abc import Callable

import structlog

from facematch import failpoints, logs
from facematch.errors import Misconfigured
from facematch.settings import Settings, load


def run(part: str, serve: Callable[[Settings], int]) -> int:
    """Set the process up from the environment and let it serve; the exit status.

    `part` names it in the log. 1 when it cannot work as it is set up (Misconfigured).
    """
    try:
        settings = load()
    except Misconfigured as error:
        sys.stderr.write(f"{part}: cannot start: {error}\n")
        return 1
    logs.configure(settings, part)
    try:
        failpoints.arm(settings.failpoint)
        return serve(settings)
    except Misconfigured as error:
        structlog.get_logger().error("cannot start", reason=str(error))
        return 1
