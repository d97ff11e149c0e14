"""`python -m api`: the REST layer as a process, set up from the environment."""

import sys

from api import server, wsgi
from facematch import startup
from facematch.metrics_port import open_port
from facematch.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until stopped. Raises Misconfigured."""
    listener = server.bind(settings.host, settings.port)
    # Here, before anybody forks: a port in use is then one clear line.
    port = open_port(settings)
    wsgi.check(settings)
    server.Server(lambda: wsgi.assemble(settings, port), listener, settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(startup.run("api", serve))
