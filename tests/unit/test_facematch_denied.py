"""Who has no key, a wrong one, or one that is not good for it: what the client raises, and how the
command line ends."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import running_api
from click.testing import CliRunner
from werkzeug.serving import make_server

from facematch.cli import main
from facematch.client import Client
from facematch.errors import Denied
from facematch.keys import EVERY, Scope, new_key

HASH = "0" * 64


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where it is, and a key for reading only."""
    with running_api(tmp_path) as api:
        key, text = new_key("anna", [Scope.READ], [EVERY], 1.0)
        api.keys.add(key)
        server = make_server("127.0.0.1", 0, api.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", text
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_client_says_what_is_the_matter_with_the_key(service: tuple[str, str]) -> None:
    url, reader = service
    codes = {None: "no_key", "wrong": "bad_key", reader: "scope_missing"}
    for key, code in codes.items():
        with Client(url, key) as client, pytest.raises(Denied) as caught:
            client.submit(b"a picture")
        assert caught.value.code == code
    with Client(url, reader) as client:
        client.people.page()
    with Client(url) as client, pytest.raises(Denied, match="refuses the request"):
        next(client.events())


@pytest.mark.parametrize(
    "words",
    [
        ["image", "a.jpg"],
        ["url", "https://example.com/a.jpg"],
        ["ingest", "."],
        ["search", "a.jpg"],
        ["delete", HASH],
        ["people", "name", "0" * 16, "Anna"],
        ["collections", "create", "holiday"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_command_that_is_refused_ends_with_3(
    service: tuple[str, str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, reader = service
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"a picture")
    monkeypatch.chdir(tmp_path / "pictures")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for key, code in (([], "no_key"), (["--key", "x"], "bad_key"), (["--key", reader], "scope_")):
        done = CliRunner().invoke(main, ["--url", url, *key, *words])
        assert done.exit_code == 3, done.output
        last = done.stderr.splitlines()[-1]
        assert f"says which key ({code}" in last
