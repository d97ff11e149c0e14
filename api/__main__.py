"""`python -m api`: the REST layer as a process, set up from the environment."""

import sys

import structlog
from pydantic import ValidationError

from api import server, wsgi
from facematch import failpoints, logs
from facematch.errors import Misconfigured
from facematch.settings import PREFIX, Settings


def main() -> int:
    """Serve until stopped; the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        reasons = (f"{_variable(found['loc'])}: {found['msg']}" for found in error.errors())
        sys.stderr.write(f"api: cannot start: {'; '.join(reasons)}\n")
        return 1
    logs.configure(settings, "api")
    try:
        failpoints.arm(settings.failpoint)
        listener = server.bind(settings.host, settings.port)
        wsgi.check(settings)
        server.Server(lambda: wsgi.assemble(settings), listener, settings).run()
    except (Misconfigured, ValueError) as error:
        structlog.get_logger().error("cannot start", reason=str(error))
        return 1
    return 0


def _variable(location: tuple[int | str, ...]) -> str:
    return (PREFIX + "_".join(str(part) for part in location)).upper()


if __name__ == "__main__":
    sys.exit(main())
