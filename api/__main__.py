"""`python -m api`: the REST layer as a process, set up from the environment."""

import sys

from api import server, wsgi
from facematch import startup
from facematch.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until stopped. Raises Misconfigured."""
    listener = server.bind(settings.host, settings.port)
    wsgi.check(settings)
    server.Server(lambda: wsgi.assemble(settings), listener, settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(startup.run("api", serve))
