"""Jobs in hand are held, however long they take, and no longer than that."""

import threading
import time
from collections.abc import Sequence

from waiting import eventually

from facematch.errors import Unavailable
from worker.in_hand import InHand


def test_what_is_in_hand_is_held_again_and_again_and_then_no_more() -> None:
    held: list[set[str]] = []
    stop = threading.Event()

    def hold(collection: str, jobs: Sequence[str]) -> None:
        held.append(set(jobs))
        if len(held) == 2:
            raise Unavailable("store_unavailable")

    in_hand = InHand(hold)
    thread = threading.Thread(target=in_hand.keep, args=(stop, 0.01))
    thread.start()
    try:
        with in_hand.having("a"):
            with in_hand.having("b"), in_hand.having("a"):
                eventually(lambda: held[-1:] == [{"a", "b"}] and len(held) > 5)
            eventually(lambda: held[-1] == {"a"})
        eventually(lambda: not +in_hand._jobs)
        calls = len(held)
        stop.wait(0.1)
        assert len(held) <= calls + 1
    finally:
        stop.set()
        thread.join(10)


def test_it_is_waited_until_nothing_is_in_hand_and_no_longer_than_asked() -> None:
    in_hand = InHand(lambda collection, jobs: None)
    in_hand.wait_for_none(60)
    with in_hand.having("a"):
        begun = time.monotonic()
        in_hand.wait_for_none(0.05)
        assert time.monotonic() - begun >= 0.05
        waiting = threading.Thread(target=in_hand.wait_for_none, args=(60,))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(20)
    assert not waiting.is_alive()
