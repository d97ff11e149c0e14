"""Who is in a hurry gets a child first, and nobody waits forever."""

import threading

from waiting import eventually

from worker.lending import IN_A_ROW, Lending


def test_what_was_given_back_last_is_lent_first() -> None:
    lending = Lending([1, 2])
    first, second = lending.take(), lending.take()
    lending.give(first)
    lending.give(second)
    assert lending.take() == second
    assert lending.take_free() == [first]
    assert lending.take_free() == []


def test_who_is_in_a_hurry_comes_first_and_others_now_and_then() -> None:
    lending = Lending(["child"])
    child, order = lending.take(), []

    def ask(name: str, hurry: bool) -> None:
        got = lending.take(hurry)
        order.append(name)
        lending.give(got)

    hurried = [(f"search {number}", True) for number in range(IN_A_ROW + 2)]
    others = [("job 0", False), ("job 1", False)]
    threads = []
    for number, (name, hurry) in enumerate([*others, *hurried], 1):
        threads.append(threading.Thread(target=ask, args=(name, hurry)))
        threads[-1].start()
        eventually(lambda: len(lending._hurried) + len(lending._others) == number)  # noqa: B023
    lending.give(child)
    for thread in threads:
        thread.join(5)
    first = [f"search {number}" for number in range(IN_A_ROW)]
    assert order == [
        *first,
        "job 0",
        f"search {IN_A_ROW}",
        f"search {IN_A_ROW + 1}",
        "job 1",
    ]
    assert lending.take_free() == ["child"]
