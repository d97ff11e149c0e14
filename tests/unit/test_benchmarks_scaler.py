"""How many workers there are to be, and the processes that come and go."""

from pathlib import Path

from benchmarks.scaler import Crew, Pod, Scaler


def test_one_worker_for_so_many_messages_and_at_least_one() -> None:
    scaler = Scaler(target=10, most=3, window=0.5)
    wanted = [
        scaler.wanted(depth, float(at)) for at, depth in enumerate((0, 10, 11, 20, 21, 900, 0))
    ]
    assert wanted == [1, 1, 2, 2, 3, 3, 1]


def test_more_come_at_once_and_none_goes_while_more_were_wanted_lately() -> None:
    scaler = Scaler(target=10, most=3, window=3.0)
    wanted = [scaler.wanted(depth, at) for at, depth in ((0, 30), (1, 0), (2.9, 0), (3, 0), (4, 0))]
    assert wanted == [3, 3, 3, 1, 1]
    assert scaler.wanted(15, 5) == 2
    assert [scaler.wanted(0, at) for at in (6, 7.9, 8)] == [2, 2, 1]


class ToldPod(Pod):
    """One without processes, that notes when it is stopped."""

    def __init__(self, number: int, stopped: list[int]) -> None:
        self.number, self._told = number, stopped

    def stop(self) -> None:
        self._told.append(self.number)


def test_the_last_to_come_is_the_first_to_go_and_none_comes_back() -> None:
    stopped: list[int] = []
    crew = Crew(lambda number: ToldPod(number, stopped))
    sizes = []
    for wanted in (1, 3, 2, 3, 1):
        crew.come_to(wanted)
        sizes.append(crew.size)
    crew.close()
    assert sizes == [1, 3, 2, 3, 1]
    assert stopped[0] == 3
    assert sorted(stopped) == [2, 3, 4]
    assert len(crew.pods) == 3


def test_a_pod_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    heard: list[str] = []
    nonsense = {"PATH": "/usr/bin:/bin", "FACEMATCH_REDIS_URL": "nonsense://", "PYTHONPATH": "."}
    pod = Pod(2, tmp_path, nonsense, heard.append)
    for process in (pod._worker, pod._index):
        assert process.join(30)
    pod.stop()
    for part in ("worker", "index"):
        assert f"pod-2-{part} ended with exit code 1 before it was asked to" in pod.trouble
