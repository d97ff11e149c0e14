"""`python -m benchmarks.picture_server FOLDER PORT`: serves a folder's files on this machine, so
that URLs are fetched and nothing leaves it. Started by `benchmarks.services`."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.sources import served_file


class _Files(BaseHTTPRequestHandler):
    root: Path

    def do_GET(self) -> None:
        """The file that the path means; see benchmarks.sources.served_file."""
        file = served_file(self.root, urlsplit(self.path).path)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        data = file.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who fetches says what went wrong."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def main(folder: Path, port: int) -> None:
    """Serve until killed."""
    with _server(folder, port) as server:
        server.serve_forever()


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Serve meanwhile, in a thread of this process, on the port that is given."""
    with _server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _server(folder: Path, port: int) -> _Server:
    return _Server(("127.0.0.1", port), type("Files", (_Files,), {"root": folder}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
