"""docs/client.md, run line by line against the api."""

import doctest
from pathlib import Path

import pytest
from told_service import told_service

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_examples_of_the_client_are_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "anna.jpg").write_bytes(b"ann 1")
    (tmp_path / "anna-again.jpg").write_bytes(b"ann 2")
    monkeypatch.chdir(tmp_path)
    with told_service(tmp_path / "service") as service:
        service.web["https://example.com/bob.jpg"] = b"bob"
        text = DOCUMENT.read_text().replace("http://127.0.0.1:5000", service.url)
        examples = doctest.DocTestParser().get_doctest(text, {}, "client", str(DOCUMENT), 0)
        said: list[str] = []
        result = doctest.DocTestRunner().run(examples, out=said.append)
    assert (result.failed, "".join(said)) == (0, "")
    assert result.attempted > 15
