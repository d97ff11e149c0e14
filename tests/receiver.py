"""A real server that webhooks are posted to, and what it has received."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from worker.posting import Poster


class Receiver:
    """A server that webhooks are posted to; it answers with `status`, after `seconds`."""

    def __init__(self) -> None:
        self.status, self.seconds = 204, 0.0
        self.received: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append((headers, body))
                time.sleep(receiver.seconds)
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(b"thanks")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.poster = Poster(30.0, frozenset({("127.0.0.1", self.port)}))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def told(self) -> list[tuple[str, str | None]]:
        """Type and hash of each event."""
        return [
            (event["type"], event.get("hash"))
            for _, body in self.received
            for event in json.loads(body)["events"]
        ]
