"""`python -m benchmarks.bare_app PORT`: a Flask application that answers GET / with a word, served
as the api is. What a request costs on this machine before anything is done for it."""

import sys

from flask import Flask

from api.server import Server, bind
from facematch.settings import load


class _Service:
    """As much of api.wsgi.Service as the server asks for."""

    def __init__(self) -> None:
        self.app = Flask("bare")
        self.app.add_url_rule("/", view_func=lambda: "here")

    def start(self) -> None:
        pass

    def let_go(self) -> None:
        pass

    def stop(self) -> None:
        pass


def main(port: int) -> None:
    """Serve until stopped."""
    Server(_Service, bind("127.0.0.1", port), load()).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    main(int(sys.argv[1]))
