"""The `facematch` command, against the real api: what it prints, and its exit codes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from scripted_service import Reply, Request, job, problem, scripted
from told_service import ToldService, told_service
from waiting import eventually

from facematch import __version__
from facematch.cli import main
from facematch.errors import NotFound
from facematch.faces import image_hash
from facematch.store import State

A, B = image_hash(b"ann 1"), image_hash(b"ann 2")
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from facematch.cli import main; main(prog_name='facematch')"]

Run = Callable[..., Result]


@contextmanager
def running(words: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, ended in any case."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    with told_service(tmp_path / "service") as service:
        yield service


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, **environment: str) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def ask(run: Run, service: ToldService) -> Run:
    """Run a command of a client of the service."""
    return lambda *words: run(*words, FACEMATCH_URL=service.url)


def write(name: str, data: bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_pictures_submitted_together_show_each_other(ask: Run) -> None:
    result = ask("image", write("a.jpg", b"ann 1"), write("b.jpg", b"ann 2"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "a.jpg: done, 1 face, 1 match (distance at most 0.6)",
        f"  {A}",
        f"  0.2500  {B}  b.jpg",
        "b.jpg: done, 1 face, 1 match (distance at most 0.6)",
        f"  {B}",
        f"  0.2500  {A}  a.jpg",
    ]


def test_each_end_of_a_picture_is_told_apart(ask: Run, service: ToldService) -> None:
    names = ["ann 1", "nobody", "broken", "slow", ""]
    files = [write(f"{name}.jpg", name.encode()) for name in names]
    result = ask("image", *files, "--wait", "3")
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        "ann 1.jpg: done, 1 face, no match",
        "nobody.jpg: done, no face",
        "broken.jpg: failed: no picture (not_an_image)",
        "slow.jpg: accepted, not done yet",
        ".jpg: failed: there are no bytes to look at (empty)",
    ]
    assert result.stderr == ""


def test_urls_are_fetched_by_the_service(ask: Run, service: ToldService) -> None:
    service.web["http://p.test/a"] = b"ann 1"
    result = ask("url", "http://p.test/a", "http://p.test/b", "ftp://p.test/c")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "http://p.test/a: done, 1 face, no match",
        f"  {A}",
        "http://p.test/b: failed: nobody there (unreachable)",
        "ftp://p.test/c: failed: not an http or https URL with a host (bad_url)",
    ]


def test_a_document_a_picture_is_printed_for_scripts(ask: Run) -> None:
    files = [write("a.jpg", b"ann 1"), write("b.jpg", b"ann 2"), write("c.jpg", b"broken")]
    result = ask("image", "--json", *files)
    first, _, last = map(json.loads, result.stdout.splitlines())
    assert first == {
        "asked": "a.jpg",
        "hash": A,
        "state": "done",
        "code": None,
        "detail": None,
        "faces": 1,
        "threshold": 0.6,
        "complete_through": 2,
        "exact": True,
        "truncated": False,
        "max_false_matches": None,
        "matches_truncated": False,
        "expected_false_matches": None,
        "matches": [{"hash": B, "names": ["b.jpg"], "distance": 0.25, "false_match_rate": None}],
        "more": False,
    }
    assert (last["state"], last["code"], last["matches"]) == ("failed", "not_an_image", None)


def test_a_match_is_asked_for_by_hash_or_by_a_file_that_is_not_submitted(
    ask: Run, service: ToldService
) -> None:
    file = write("a.jpg", b"ann 1")
    assert ask("match", file).exit_code == 1
    ask("image", file, write("b.jpg", b"ann 2"))
    by_file, by_hash = ask("match", file), ask("match", A)
    assert (by_file.exit_code, by_hash.exit_code) == (0, 0)
    assert by_file.stdout.splitlines()[-1] == f"  0.2500  {B}  b.jpg"
    assert by_hash.stdout.splitlines()[1:] == by_file.stdout.splitlines()[2:]
    assert sorted(service.submissions) == ["a.jpg", "b.jpg"]


def test_no_more_matches_are_shown_than_asked_for(
    ask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.client._PAGE", 2)
    ask("image", *(write(f"{number}.jpg", b"ann %d" % number) for number in range(1, 7)))
    result = ask("match", A, "--limit", "3", "--json")
    document = json.loads(result.stdout)
    assert (len(document["matches"]), document["more"]) == (3, True)
    lines = ask("match", A, "--limit", "3").stdout.splitlines()
    assert lines[0] == f"{A}: done, 1 face, the nearest 3 matches (distance at most 0.6)"
    assert lines[-1] == "  …"
    everything = json.loads(ask("match", A, "--json").stdout)
    assert (len(everything["matches"]), everything["more"]) == (5, False)
    assert everything["matches"][:3] == document["matches"]


def test_an_image_that_is_not_done_is_waited_for_and_then_said_to_be_so(
    ask: Run, service: ToldService
) -> None:
    ask("image", write("a.jpg", b"slow ann"), "--wait", "0")
    image = image_hash(b"slow ann")
    result = ask("match", image, "--wait", "0")
    assert (result.exit_code, result.stdout) == (1, f"{image}: accepted, not done yet\n")
    eventually(lambda: service.slow)
    worker = threading.Timer(0.3, service.work_on_slow)
    worker.start()
    assert ask("match", image).stdout == f"{image}: done, 1 face, no match\n"
    worker.join()


def test_deleting_says_what_was_erased_and_what_was_not_there(ask: Run) -> None:
    ask("image", write("a.jpg", b"ann 1"), write("b.jpg", b"ann 2"))
    unknown = "0" * 64
    result = ask("delete", A, unknown, B)
    assert result.exit_code == 1
    assert result.stdout == f"{A}: erased\n{B}: erased\n"
    assert result.stderr == f"facematch: {unknown}: no image {unknown} (not_found)\n"
    gone = ask("match", A)
    assert gone.exit_code == 1
    assert gone.stderr == "facematch: the image was erased (erased)\n"
    again = ask("delete", "--json", A, unknown)
    assert [json.loads(line) for line in again.stdout.splitlines()] == [
        {"hash": A, "erased": True, "code": None},
        {"hash": unknown, "erased": False, "code": "not_found"},
    ]


def test_a_folder_is_ingested_and_summed_up(ask: Run) -> None:
    for name in ("ann 1", "ben 1", "nobody", "broken"):
        write(f"pictures/{name[0]}/{name}.jpg", name.encode())
    result = ask("ingest", "pictures")
    assert result.exit_code == 0
    first, *rest = result.stdout.splitlines()
    assert first.startswith("4 of 4 pictures in ")
    assert [line.split() for line in rest] == [
        ["done", "2"],
        ["no", "face", "1"],
        ["already", "there", "0"],
        ["erased", "0"],
        ["failed", "1"],
        ["not_an_image", "1", "b/broken.jpg"],
        ["The", "same", "command", "tries", "those", "again", "that", "failed."],
    ]
    again = ask("ingest", "pictures", "--json", "--strict")
    assert again.exit_code == 1
    document = json.loads(again.stdout)
    assert document.pop("seconds") > 0
    assert document.pop("service").startswith("http://127.0.0.1:")
    assert document == {
        "source": "pictures",
        "pictures": 4,
        "ended": 4,
        "done": 0,
        "no_face": 0,
        "already_there": 3,
        "erased": 0,
        "failed": 1,
        "failures": {
            "not_an_image": {"detail": "no picture", "count": 1, "examples": ["b/broken.jpg"]}
        },
        "interrupted": False,
        "error": None,
    }


def test_an_ingest_that_gives_up_sums_up_and_says_why(ask: Run, service: ToldService) -> None:
    write("pictures/a.jpg", b"ann 1")
    service.stop()
    result = ask("ingest", "pictures", "--patience", "0")
    assert result.exit_code == 1
    assert result.stdout.startswith("0 of 1 pictures in ")
    assert result.stderr.splitlines()[-1] == (
        f"facematch: no answer from {service.url}: Connection refused (service_unavailable)"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["match", "0" * 63],
        ["match", "A" * 64],
        ["match", "no-file.jpg"],
        ["delete", "a.jpg"],
        ["image", "no-file.jpg"],
        ["image", "."],
        ["image"],
        ["ingest", "no-folder"],
        ["ingest", ".", "--concurrency", "0"],
        ["serve", "--port", "65536"],
        ["serve", "--workers", "0"],
        ["nothing"],
        [],
    ],
)
def test_wrong_use_is_explained_and_has_exit_code_2(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("words", "reply", "complaint"),
    [
        (["match", A], problem(500, "internal_error", "the\nlog"), "the log (internal_error)"),
        (["match", A], problem(503, "store_unavailable", "Redis is away"), "Redis is away (store_"),
        (["match", A], Reply(200, "hello", "text/plain"), "in another form"),
        (["delete", A], problem(403, "scope_missing", "no entry"), "no entry; --key or "),
    ],
)
def test_an_error_is_one_line(
    run: Run, words: list[str], reply: Reply, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.rest._backoff", lambda state: 0.0)
    with scripted(lambda request: reply) as service:
        result = run("--url", service.url, *words)
    assert (result.exit_code, result.stdout) == (3 if reply.status == 403 else 1, "")
    assert result.stderr.startswith("facematch: ")
    assert result.stderr.count("\n") == 1
    assert complaint in result.stderr


def test_an_error_of_the_service_about_one_picture_leaves_the_others_their_results(
    run: Run,
) -> None:
    files = [write("a.jpg", b"a"), write("b.jpg", b"b")]

    def script(request: Request) -> Reply:
        if request.body == b"a":
            return problem(500, "internal_error", "a bug")
        return job("failed", code="not_an_image", hash=None)

    with scripted(script) as service:
        result = run("--url", service.url, "image", *files)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        "a.jpg: failed: a bug (internal_error)",
        "b.jpg: failed: the bytes are no picture of a supported format (not_an_image)",
    ]


def test_fsck_says_which_setting_is_wrong_and_asks_no_service(run: Run) -> None:
    result = run("fsck", FACEMATCH_REDIS_URL="redis://127.0.0.1:1", FACEMATCH_PORT="x")
    assert result.exit_code == 1
    assert result.stderr.startswith("facematch: FACEMATCH_PORT: ")
    assert result.stderr.endswith(" (misconfigured)\n")
    result = run("fsck", facematch_redis_url="redis://127.0.0.1:1")
    assert (result.exit_code, "store_unavailable" in result.stderr) == (1, True)
    assert run("fsck", "--url", "http://127.0.0.1:1").exit_code == 2


def test_an_error_that_nobody_planned_for_is_one_line_too_and_a_traceback_on_demand(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("facematch.client.Client.matches", broken)
    result = run("match", A)
    assert result.exit_code == 1
    assert result.stderr == "facematch: KeyError: 'a bug'; -v says more (internal_error)\n"
    result = CliRunner().invoke(main, ["match", A, "-v"])
    assert "Traceback" in result.stderr


def test_options_are_taken_before_and_behind_the_command_and_from_the_environment(
    run: Run,
) -> None:
    write("a.jpg", b"ann")
    with scripted(lambda request: job("failed", code="x")) as service:
        wrong = "http://127.0.0.1:1"
        for words, environment in (
            (["--url", service.url, "--key", "k", "image", "a.jpg"], {"FACEMATCH_URL": wrong}),
            (["--url", wrong, "image", "a.jpg", "--url", service.url, "--key", "k"], {}),
            (["image", "a.jpg"], {"FACEMATCH_URL": service.url, "FACEMATCH_API_KEY": "k"}),
        ):
            assert "failed" in run(*words, **environment).stdout
        assert [request.headers["x-api-key"] for request in service.requests] == ["k"] * 3


def test_names_cannot_steer_the_terminal(run: Run) -> None:
    page = {
        "hash": A,
        "state": "done",
        "code": None,
        "faces": 1,
        "position": 1,
        "threshold": 0.6,
        "model": "m",
        "complete_through": 1,
        "exact": False,
        "truncated": True,
        "matches": [{"hash": B, "names": ["\x1b[2Ja", "b", "c", "d"], "distance": 0.5}],
        "next": None,
    }
    with scripted(lambda request: Reply(200, page)) as service:
        result = run("--url", service.url, "match", A)
    assert result.stdout.splitlines() == [
        f"{A}: done, 1 face (there are more), 1 match (distance at most 0.6)"
        " (approximate: some may be missing)",
        f"  0.5000  {B}  \N{REPLACEMENT CHARACTER}[2Ja, b, c and 1 more",
    ]


@pytest.mark.parametrize(
    ("rate", "told", "expected"),
    [
        (1.0, "100%", "6,200"),
        (0.124, "12%", "540"),
        (0.05, "1 in 20", "12"),
        (8.1e-5, "1 in 12,000", "9.7"),
        (4.4e-7, "1 in 2.3 million", "0.012"),
        (1e-12, "1 in 1 trillion", "0"),
    ],
)
def test_matches_are_shown_with_how_sure_they_are(
    run: Run, rate: float, told: str, expected: str
) -> None:
    page = {
        "hash": A,
        "state": "done",
        "code": None,
        "faces": 1,
        "position": 1,
        "threshold": 0.6,
        "model": "m",
        "complete_through": 1,
        "exact": True,
        "truncated": True,
        "next": None,
        "matches_truncated": True,
        "expected_false_matches": float(expected.replace(",", "")) * 1.001,
        "matches": [{"hash": B, "names": ["b"], "distance": 0.5, "false_match_rate": rate}],
    }
    with scripted(lambda request: Reply(200, page)) as service:
        result = run("--url", service.url, "match", A)
    assert result.stdout.splitlines() == [
        f"{A}: done, 1 face, 1 match (others were left out for them)"
        f" (distance at most 0.6, {expected} false ones to be expected)",
        f"  0.5000  {told:<21}{B}  b",
    ]
    page["matches"] = []
    with scripted(lambda request: Reply(200, page)) as service:
        result = run("--url", service.url, "match", A)
    some = "some were left out for more certain ones"
    assert result.stdout == f"{A}: done, 1 face, no match ({some})\n"


def test_fewer_matches_are_asked_for_by_distance_or_by_how_sure_they_are(run: Run) -> None:
    page = {
        "hash": A,
        "state": "done",
        "code": None,
        "faces": 1,
        "position": 1,
        "threshold": 0.6,
        "model": "m",
        "complete_through": 1,
        "truncated": False,
        "next": None,
        "matches": [],
    }
    asked: list[dict[str, str]] = []

    def answer(request: Request) -> Reply:
        asked.append(request.query)
        return Reply(200, page)

    with scripted(answer) as service:
        options = ["--max-distance", "0.5", "--max-false-matches", "1.5"]
        assert run("--url", service.url, "match", A, *options).exit_code == 0
        assert run("--url", service.url, "match", A).exit_code == 0
    assert (asked[0]["max_distance"], asked[0]["max_false_matches"]) == ("0.5", "1.5")
    assert not {"max_distance", "max_false_matches"} & asked[1].keys()


def test_serve_is_told_what_was_asked_for_and_its_exit_code_is_the_commands(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def serve(*what: object) -> int:
        calls.append(what)
        return 7

    monkeypatch.setattr("facematch.embedded.serve", serve)
    words = ["--host", "::1", "--port", "0", "--data", "d", "--workers", "2"]
    assert run("serve", *words).exit_code == 7
    assert run("serve", XDG_DATA_HOME=str(tmp_path)).exit_code == 7
    assert calls == [
        ("::1", 0, Path("d"), 2),
        ("127.0.0.1", 5000, tmp_path / "facematch", 1),
    ]


def test_help_and_version_come_without_loading_what_is_heavy(run: Run) -> None:
    assert run("--version").stdout == f"facematch, version {__version__}\n"
    for command in main.commands:
        assert run(command, "--help").exit_code == 0
    heavy = "{'numpy', 'requests', 'pydantic', 'structlog', 'tqdm', 'redis'}"
    code = f"import facematch.cli, sys; print({heavy} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout == "set()\n"


def test_an_interrupted_ingest_waits_a_little_sums_up_and_goes_on_when_run_again(
    tmp_path: Path, service: ToldService
) -> None:
    for name in ("ann 1", "ben 1", "slow 1"):
        write(str(tmp_path / f"pictures/{name}.jpg"), name.encode())
    words = [*COMMAND, "--url", service.url, "ingest", "--json", str(tmp_path / "pictures")]
    environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "PATH": ""}
    with running(words, env=environment) as process:
        eventually(lambda: service.slow and done(service, b"ann 1", b"ben 1"))
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        output, errors = process.communicate(timeout=60)
        assert time.monotonic() - begun < 20
    assert process.returncode == 130
    assert errors.startswith("stops; waits up to 5 s for what is under way\n")
    assert "Traceback" not in errors
    document = json.loads(output)
    assert (document["interrupted"], document["ended"], document["done"]) == (True, 2, 2)

    service.work_on_slow()
    again = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=30, check=True, cwd=ROOT
    )
    assert json.loads(again.stdout)["already_there"] == 3


def done(service: ToldService, *pictures: bytes) -> bool:
    try:
        images = [service.api.store.image(image_hash(picture)) for picture in pictures]
    except NotFound:
        return False
    return all(found.state is State.DONE for found in images)


def test_an_interrupted_command_ends_with_130_and_no_traceback(
    tmp_path: Path, service: ToldService
) -> None:
    file = write(str(tmp_path / "slow.jpg"), b"slow")
    with running([*COMMAND, "--url", service.url, "image", str(file)]) as process:
        eventually(lambda: service.submissions)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", ".", "drop"), "--data: not before drop"),
        (("--share", "0.5", "--no-fsck", "resume"), "--share, --no-fsck: not before resume"),
        (("--threshold", "nan"), "'nan' is not a number"),
        (("--most-change", "nan"), "'nan' is not a number"),
        (("--share", "0.001"), "not in the range 0.01<=x<=1"),
        (("--treshold", "1"), "No such option"),
        (("nonsense",), "No such command"),
    ],
)
def test_a_reindex_that_is_asked_for_wrongly_does_nothing(
    arguments: tuple[str, ...], said: str
) -> None:
    done = CliRunner().invoke(main, ["reindex", *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_the_help_has_every_command_in_a_section_on_one_screen(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    named = [name for names in main.sections.values() for name in names]
    assert sorted(named) == sorted(main.commands)
    for heading, names in main.sections.items():
        section = result.stdout.split(f"\n{heading}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()] == list(names)
    assert "Exit codes" in result.stdout
    assert len(result.stdout.splitlines()) < 66


def every_command(command: click.Command = main, *names: str) -> Iterator[tuple[str, ...]]:
    """The names that lead to each command."""
    yield names
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from every_command(below, *names, name)


@pytest.mark.parametrize("names", list(every_command()), ids=" ".join)
def test_help_is_whole_in_a_window_of_eighty_columns(names: tuple[str, ...]) -> None:
    told = CliRunner().invoke(main, [*names, "--help"], env={"COLUMNS": "80"})
    lines = told.stdout.splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 80
    cut = ("\N{HORIZONTAL ELLIPSIS}", "...")
    ends = [line for line in lines if line.endswith(cut) and not line.startswith("Usage: ")]
    assert ends == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_FACEMATCH_COMPLETE={shell}_complete" in result.stdout


def test_commands_are_completed(tmp_path: Path) -> None:
    command = tmp_path / "facematch"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    script = """
        source <(facematch completion bash)
        COMP_WORDS=(facematch in) COMP_CWORD=1
        _facematch_completion facematch
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["index", "ingest"], done.stderr


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals(
    service: ToldService, tmp_path: Path, no_colour: str, coloured: bool
) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"ann 1")
    environment = {"FACEMATCH_URL": service.url, "NO_COLOR": no_colour}
    result = CliRunner().invoke(main, ["image", str(picture)], env=environment, color=True)
    assert ("\x1b[32m" in result.stdout) is coloured
    piped = CliRunner().invoke(main, ["image", str(picture)], env=environment)
    assert "\x1b" not in piped.stdout
