"""A thread that stands back has a lower priority, and no other one has."""

import os
import sys
import threading

import pytest

from facematch.background import stand_back


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_only_the_thread_that_stands_back_is_niced() -> None:
    before, seen = os.nice(0), list[int]()

    def work() -> None:
        stand_back()
        stand_back()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [max(before, 10)]
    assert os.nice(0) == before
