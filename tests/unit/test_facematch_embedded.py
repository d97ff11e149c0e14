"""The embedded service without its parts: checks before the start, the folder, the tree."""

import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from waiting import eventually

from facematch import embedded
from facematch import tree as tree_module
from facematch.data_folder import InUse, Service, claimed, running_service
from facematch.embedded import free_port, redis_url_of, serve
from facematch.errors import Misconfigured, Unavailable
from facematch.processes import Part
from facematch.redis_connection import connect
from facematch.settings import Settings
from facematch.tree import Console, Failed, Stopped, Tree

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shown():
    return io.StringIO()


@pytest.fixture
def tree(tmp_path, shown):
    tree = Tree(tmp_path, Console(shown, shown))
    yield tree
    tree.stop()


def part(name, script, quiet=False, may_end=False):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return Part(name, command, dict(os.environ), quiet, may_end=may_end)


def gone(pid):
    """Whether this process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# -- checks before the start ----------------------------------------------------------------------


def refused(capsys, *arguments):
    """The one line that `serve` ends with."""
    assert serve(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("facematch: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_port_in_use_is_one_line_and_nothing_is_made(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(capsys, "127.0.0.1", port, tmp_path / "data", 1)
    assert f"127.0.0.1 port {port}: Address already in use" in line
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_one_line(capsys, tmp_path):
    assert "192.0.2.1 port 5000" in refused(capsys, "192.0.2.1", 5000, tmp_path, 1)


def test_a_port_that_is_none_is_one_line(capsys, tmp_path):
    assert "port 70000" in refused(capsys, "127.0.0.1", 70000, tmp_path, 1)


def test_port_0_is_any_free_one():
    port = free_port("127.0.0.1", 0)
    assert port > 0
    assert free_port("127.0.0.1", port) == port


def test_a_process_has_a_port_for_its_metrics_and_keeps_it_when_it_is_started_again():
    port_of = embedded._metrics_ports(Settings(metrics_port=9464))
    names = ["worker-1", "worker-2", "worker-1", "index", "api", "worker-1-edition-1", "worker-2"]
    ports = [port_of(name)["FACEMATCH_METRICS_PORT"] for name in names]
    assert ports == ["9466", "9467", "9466", "9465", "9464", "9468", "9467"]
    assert embedded._metrics_ports(Settings())("api") == {}


def test_a_data_folder_that_cannot_be_made_is_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    line = refused(capsys, "127.0.0.1", 0, tmp_path / "file" / "data", 1)
    assert f"{tmp_path}/file/data cannot be used: Not a directory" in line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody may write to")
def test_a_data_folder_that_cannot_be_written_is_one_line(capsys):
    assert "/proc cannot be used" in refused(capsys, "127.0.0.1", 0, Path("/proc"), 1)


def test_a_data_folder_that_another_one_serves_is_one_line_with_its_process(capsys, tmp_path):
    with claimed(tmp_path):
        line = refused(capsys, "127.0.0.1", 0, tmp_path, 1)
    assert f"(process {os.getpid()})" in line


def test_a_setting_that_no_part_would_take_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEMATCH_THRESHOLD", "nine")
    assert "FACEMATCH_THRESHOLD" in refused(capsys, "127.0.0.1", 0, tmp_path, 1)


# -- the data folder ------------------------------------------------------------------------------


def test_a_folder_is_claimed_once_at_a_time(tmp_path):
    with claimed(tmp_path), pytest.raises(InUse), claimed(tmp_path, patience=0):
        pass
    with claimed(tmp_path, patience=0) as folder:
        assert folder.path == tmp_path


def test_a_claim_waits_for_another_one_that_ends(tmp_path):
    with claimed(tmp_path) as folder:
        kept = os.dup(folder.lock)
    started = time.monotonic()
    threading.Timer(0.2, os.close, [kept]).start()
    with claimed(tmp_path, patience=10):
        assert time.monotonic() - started > 0.1


def test_sockets_are_in_the_folder_unless_its_path_is_too_long(tmp_path):
    with (
        TemporaryDirectory(prefix="facematch-test-", dir="/tmp") as short,
        claimed(Path(short)) as folder,
    ):
        assert folder.sockets == folder.path / "run"
    with claimed(tmp_path / ("deep" * 30)) as folder:
        assert folder.path not in folder.sockets.parents
        assert folder.sockets.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder.sockets / "index.sock"))
    assert not folder.sockets.exists()


def test_a_running_service_is_found_until_it_withdraws_or_another_claims_the_folder(tmp_path):
    service = Service(7, "http://127.0.0.1:1", "unix:///r", "unix:/i")
    assert running_service(tmp_path) is None
    with claimed(tmp_path) as folder:
        folder.announce(service)
        assert running_service(tmp_path) == service
        folder.withdraw()
        assert running_service(tmp_path) is None
        folder.announce(service)
    with claimed(tmp_path):
        assert running_service(tmp_path) is None


# -- the store for fsck ---------------------------------------------------------------------------


def test_the_store_of_a_stopped_service_is_started_kept_safe_and_stopped(tmp_path):
    with claimed(tmp_path):
        pass
    with redis_url_of(tmp_path) as url, connect(url) as client:
        assert client.config_get("append*")["appendfsync"] == "always"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("still", "there")
        server = client.info("server")["process_id"]
        with pytest.raises(InUse), claimed(tmp_path, patience=0):
            pass
    eventually(lambda: gone(server), "the store has ended")
    with redis_url_of(tmp_path) as url, connect(url) as client:
        assert client.get("still") == b"there"


def test_the_store_of_a_running_service_is_the_one_it_announced(tmp_path):
    with claimed(tmp_path) as folder:
        with pytest.raises(Unavailable, match="not ready"), redis_url_of(tmp_path):
            pass
        folder.announce(Service(7, "http://127.0.0.1:1", "unix:///r", "unix:/i"))
        with redis_url_of(tmp_path) as url:
            assert url == "unix:///r"


def test_a_folder_without_data_is_not_made_into_one(tmp_path):
    with pytest.raises(Misconfigured, match="holds no data"), redis_url_of(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_server_whose_files_are_broken_is_said_with_its_own_words(tmp_path):
    with claimed(tmp_path) as folder:
        (folder.valkey / "appendonlydir").mkdir()
        (folder.valkey / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(Unavailable, match=r"valkey ended with exit code 1; see .*valkey\.log"):
        redis_url_of(tmp_path).__enter__()


# -- the tree -------------------------------------------------------------------------------------


def test_output_is_shown_with_the_name_of_its_part_and_kept_in_its_log(tree, tmp_path, shown):
    tree.start(part("loud", "print('one'); print('two')"), part("soft", "print('three')", True))
    with pytest.raises(Failed):
        tree.watch()
    with pytest.raises(Failed):
        tree.watch()
    assert shown.getvalue() == "loud | one\nloud | two\n"
    assert (tmp_path / "loud.log").read_text() == "one\ntwo\n"
    assert (tmp_path / "soft.log").read_text() == "three\n"


def test_a_part_that_ends_is_named_with_its_exit_code_its_log_and_its_last_line(tree, tmp_path):
    tree.start(part("short", "import sys; print('no such thing'); sys.exit(3)"))
    with pytest.raises(Failed) as failed:
        tree.watch()
    assert str(failed.value) == (
        f"short ended with exit code 3; see {tmp_path}/short.log. Its last line: no such thing"
    )


def test_a_part_that_is_killed_is_named_with_the_signal(tree):
    tree.start(part("shot", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(Failed, match=r"shot was ended by SIGKILL; see .*shot\.log\."):
        tree.watch()


def test_a_part_that_ends_while_another_is_waited_for_ends_the_wait(tree):
    tree.start(part("short", "raise SystemExit(4)"))
    with pytest.raises(Failed, match="short ended with exit code 4"):
        tree.wait_for("the rest", lambda: "not there", 30)


def test_those_that_may_end_are_given_to_who_watches_and_the_others_are_a_failure(tree):
    """As soon as they have ended, also while something is waited for; nobody now and then."""
    ends = part("ends", "raise SystemExit(0)", may_end=True)
    given = []

    def look(ended):
        given.append([(process.name, process.exit_code) for process in ended])
        if len(given) == 4:
            tree.start(part("killed", "import os; os.kill(os.getpid(), 9)", may_end=True))
        if ("killed", -9) in given[-1]:
            tree.start(part("short", "raise SystemExit(0)"))

    tree.start(ends)
    waits = iter(range(10))

    def begun() -> str:
        return next((f"{wait}" for wait in waits), "") if given else "starts"

    tree.wait_for("a while", begun, 30, look)
    with pytest.raises(Failed, match="short ended with exit code 0"):
        tree.watch(look, 0.05)
    assert given[0] == [("ends", 0)]
    assert given[1:4] == [[], [], []]
    assert [ended for ended in given[1:] if ended] == [[("killed", -9)]]


def test_who_looks_ends_the_watch_with_what_it_raises(tree):
    def look(ended):
        raise Failed(f"{len(ended)} ended")

    with pytest.raises(Failed, match="0 ended"):
        tree.watch(look, 60)


def test_one_that_may_end_fails_with_another_code_than_0_while_something_is_waited_for(tree):
    tree.start(part("short", "raise SystemExit(4)", may_end=True))
    with pytest.raises(Failed, match="short ended with exit code 4"):
        tree.wait_for("the rest", lambda: "not there", 30)


def test_where_nobody_looks_none_may_end(tree):
    tree.start(part("short", "raise SystemExit(0)", may_end=True))
    with pytest.raises(Failed, match="short ended with exit code 0"):
        tree.watch()


def test_a_log_file_that_cannot_be_written_is_said_before_anything_runs(tree, tmp_path):
    (tmp_path / "short.log").mkdir()
    with pytest.raises(Failed, match=r"short cannot be started: .*short\.log"):
        tree.start(part("short", "raise SystemExit(4)"))


def test_waiting_ends_when_nothing_changes_any_more(tree, monkeypatch):
    now = 0

    def after_a_second(reason):
        nonlocal now
        now += 1
        return reason

    monkeypatch.setattr(tree_module, "time", SimpleNamespace(monotonic=lambda: now))
    reasons = iter(["10 %"] * 4 + ["20 %"] * 4 + [""])
    tree.wait_for("the load", lambda: after_a_second(next(reasons)), 4)
    with pytest.raises(Failed, match="the load is not ready: stuck"):
        tree.wait_for("the load", lambda: after_a_second("stuck"), 4)


def test_the_last_started_is_stopped_first_and_a_group_at_once(tree, shown):
    script = """
        import signal, time
        def stop(*_):
            asked = time.monotonic()
            time.sleep(1)
            print("stopped", asked, time.monotonic())
            raise SystemExit
        signal.signal(signal.SIGTERM, stop)
        print("runs", flush=True)
        time.sleep(60)
    """
    tree.start(part("first", script))
    tree.start(part("second", script), part("third", script))
    tree.wait_for("all", lambda: "" if shown.getvalue().count("runs") == 3 else "starting", 20)
    tree.stop()
    lines = [line.split() for line in shown.getvalue().splitlines() if "stopped" in line]
    asked = {line[0]: float(line[-2]) for line in lines}
    ended = {line[0]: float(line[-1]) for line in lines}
    assert max(ended["second"], ended["third"]) < asked["first"]
    assert max(asked["second"], asked["third"]) < min(ended["second"], ended["third"])


STUBBORN = """
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(other.pid, flush=True)
    time.sleep(60)
"""


def test_a_part_that_does_not_stop_is_killed_with_all_it_started(tree, shown, monkeypatch):
    monkeypatch.setattr(tree_module, "STOP_SECONDS", 0.3)
    tree.start(part("stubborn", STUBBORN))
    tree.wait_for("it", lambda: "" if shown.getvalue() else "starting", 20)
    tree.stop()
    assert "stubborn did not stop in time; killed" in shown.getvalue()
    other = int(shown.getvalue().split()[2])
    eventually(lambda: gone(other), "what it started has ended")


def test_a_second_signal_hastens_the_stop(tree, shown):
    tree.start(part("stubborn", STUBBORN))
    tree.wait_for("it", lambda: "" if shown.getvalue() else "starting", 20)
    with tree.signals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            tree.watch()
        started = time.monotonic()
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        tree.stop()
    assert time.monotonic() - started < tree_module.STOP_SECONDS / 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties processes to their parent")
def test_the_parts_die_with_a_parent_that_is_killed(tmp_path):
    script = f"""
        import os, sys, time
        from pathlib import Path
        from facematch.processes import Part
        from facematch.tree import Console, Tree
        tree = Tree(Path({str(tmp_path)!r}), Console(sys.stdout, sys.stdout))
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        tree.start(Part("part", [sys.executable, "-c", code], dict(os.environ)))
        tree.watch()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with parent:
        pid = int(parent.stdout.readline().split()[-1])
        parent.kill()
    eventually(lambda: gone(pid), "the part has ended")
