"""Few short requests at a time in Python: the others wait their turn instead of fighting over the
interpreter. For `api.app`.

Threads that all want the interpreter hand it on at each call that lets go of it, a dozen for a
request: with sixteen at once a page of matches took 65 changes of thread, and a fifth of the pages.
"""

import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: While one waits for the store, another one works.
_AT_ONCE = 2
#: Nobody waits longer: those in front may wait for a store that does not answer.
_PATIENCE = 0.05


class Turns:
    """A WSGI application whose GETs take turns, unless they are to wait for something themselves.
    What is streamed is so after the turn."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._places = threading.Semaphore(_AT_ONCE)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        if environ["REQUEST_METHOD"] != "GET" or "wait" in environ.get("QUERY_STRING", ""):
            return self._app(environ, start_response)
        turn = self._places.acquire(timeout=_PATIENCE)
        try:
            return self._app(environ, start_response)
        finally:
            if turn:
                self._places.release()
