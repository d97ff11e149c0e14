"""`python -m benchmarks.picture_server FOLDER PORT`: serves a folder's files on this machine, so
that URLs are fetched and nothing leaves it. Started by `benchmarks.services`."""

import sys
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
    handler = type("Files", (_Files,), {"root": folder})
    with _Server(("127.0.0.1", port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
