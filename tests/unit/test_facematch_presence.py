"""How a process is known to Redis, asked of a real one."""

import os
import socket

import pytest
from waiting import eventually

from facematch import __version__
from facematch.presence import Process
from facematch.redis_connection import connect
from facematch.redis_server import processes


def test_a_name_is_read_as_it_was_given() -> None:
    process = Process("worker", "1.2.3", "pod-0.facematch", 7)
    assert Process.decode(process.encode()) == process


def test_what_redis_would_not_take_in_a_name_is_left_out() -> None:
    name = Process("worker", "1.0 beta", "a/b\u00e9", 7).encode()
    assert Process.decode(name) == Process("worker", "1.0_beta", "a_b_", 7)


@pytest.mark.parametrize("name", ["", "celery", "facematch/worker", "facematch/a/1/host/pid"])
def test_the_names_of_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no"):
        Process.decode(name)


def test_redis_knows_which_processes_are_connected(redis_url: str) -> None:
    with connect(redis_url) as nameless, connect(redis_url, part="worker") as client:
        eventually(lambda: processes(nameless) == [], "those of other tests have gone")
        client.ping()
        here = Process("worker", __version__, socket.gethostname(), os.getpid())
        assert processes(nameless) == [here]
        # Whatever name a client has when it connects anew.
        client.connection_pool.disconnect()
        client.ping()
        assert processes(nameless) == [here]
    with connect(redis_url) as nameless:
        eventually(lambda: processes(nameless) == [], "it has gone")


def test_a_server_that_allows_no_names_is_worked_with_all_the_same(redis_url: str) -> None:
    with connect(redis_url) as admin:
        rules = ["+@all", "-client|setname", "-client|list"]
        admin.execute_command("ACL", "SETUSER", "strict", "on", ">pw", "~*", "&*", *rules)
        try:
            url = redis_url.replace("redis://", "redis://strict:pw@")
            with connect(url, part="api") as client:
                assert client.ping()
                assert client.set("key", "value")
                assert processes(client) is None
        finally:
            admin.execute_command("ACL", "DELUSER", "strict")
