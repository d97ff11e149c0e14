"""What the index is compared with: what is missing, fails or lies is said, and loses no other."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import comparison
from benchmarks.peers.child import Built, Child
from benchmarks.peers.comparison import Comparison
from benchmarks.peers.known import PEERS
from benchmarks.peers.peer import Peer, growing
from benchmarks.peers.points import Point, points_in
from benchmarks.plot import plot, spread
from benchmarks.report import Report
from benchmarks.truth import MARGIN, Truth
from facematch.encoding_model import encoding_model
from facematch.faces import distances

FACES, QUERIES = 2000, 4
RADII = (0.5, 0.6)


def odd(name: str, *, exact: bool = True, settings: tuple[int, ...] = (0,)) -> Peer:
    dial = "share" if len(settings) > 1 else ""
    return Peer(name, f"odd_peers:{name}", ("odd_peers",), exact, FACES, dial, settings)


def compared(*peers: Peer, rounds: int = 1) -> tuple[Report, list[int]]:
    """The report, and how many measures there were each time it could be kept."""
    drawn = encoding_model().draw(FACES + QUERIES, np.random.default_rng(3))
    report, kept = Report("index", {}), []
    measured = Comparison(report, drawn[:FACES], drawn[FACES:], rounds)
    measured.run(peers, lambda: kept.append(len(report.details)))
    return report, kept


def said(report: Report) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.passed, check.detail) for check in report.checks}


def test_a_peer_that_is_not_installed_is_skipped_with_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = Peer("hnswlib", "benchmarks.peers.graphs:Hnswlib", ("no_such_module",), False, FACES)
    report, _ = compared(missing, odd("Complete"))
    line = "not installed, skipped (pip install 'facematch[peers]')"
    assert f"hnswlib: {line}\n" in capsys.readouterr().out
    assert said(report)["hnswlib"] == (True, line)
    assert {point.label for point in points_in(kept_measures(report))} == {"Complete"}


def test_a_peer_that_fails_is_named_and_loses_no_other() -> None:
    report, kept = compared(odd("Unable"), odd("Raising"), odd("Crashing"), odd("Complete"))
    assert said(report) == {
        "Unable": (False, "OSError: no room for it"),
        "Raising": (False, "ValueError: not today"),
        "Crashing": (False, "its process ended with 3"),
        "Complete, 2,000 faces": (True, said(report)["Complete, 2,000 faces"][1]),
        "facematch, 2,000 faces": (True, said(report)["facematch, 2,000 faces"][1]),
    }
    assert not report.passed
    assert [point.recall for point in points_in(kept_measures(report))] == [1.0, 1.0]
    assert len(kept) == 4
    assert kept[-1] > kept[0]


def test_what_is_missing_or_too_far_is_counted_and_held_against_what_is_claimed() -> None:
    sometimes = odd("Forgetful", exact=False, settings=(50, 100, 100))
    report, _ = compared(sometimes, odd("Forgetful", settings=(50,)), odd("TooGenerous"))
    (approximate, _), (exact, missing), (generous, farther), (ours, _) = (
        (check.passed, check.detail) for check in report.checks
    )
    assert (approximate, exact, generous, ours) == (True, False, False, True)
    assert not missing.startswith("0 of ")
    assert missing.endswith("0 farther than the radius")
    assert farther.startswith("0 of ")
    assert not farther.endswith(" 0 farther than the radius")
    half, whole = (
        point
        for point in points_in(kept_measures(report))
        if point.radius == 0.6 and point.label.startswith("Forgetful, share")
    )
    assert 0.4 < half.recall < 0.6
    assert whole.recall == 1.0  # and the third setting, which could not be better, is left out


class Impatient(Child):
    """Waits for few faces, and hardly for many."""

    def __init__(self, peer: Peer, folder: Path, file: Path, faces: int) -> None:
        super().__init__(peer, folder, file, faces)
        self.patience = 0.5 if faces > 500 else 100.0

    def build(self, seconds: float) -> Built:
        return super().build(self.patience)


def test_a_peer_too_slow_with_many_faces_is_measured_with_fewer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "FEWER", 500)
    monkeypatch.setattr(comparison, "Child", Impatient)
    report, _ = compared(odd("SlowWithMany"))
    said_so = "SlowWithMany: 2,000 faces: took more than 0.5 s to take in its faces\n"
    assert said_so in capsys.readouterr().out
    assert [name for name, (passed, _) in said(report).items() if passed] == [
        "SlowWithMany, 500 faces",
        "facematch, 500 faces",
    ]
    assert {point.faces for point in points_in(kept_measures(report))} == {500}


def test_the_peers_that_come_with_us_find_what_they_claim() -> None:
    flat, inverted, graph = (peer for peer in PEERS if peer.needs == ("faiss",))
    report, _ = compared(flat, inverted, graph)
    assert report.passed
    assert {name.partition(",")[0] for name in said(report)} == {
        "FAISS flat",
        "FAISS IVF",
        "FAISS HNSW",
        "facematch",
    }
    best = {point.name: point.recall for point in points_in(kept_measures(report))}
    assert best["FAISS flat"] == 1.0
    assert min(best.values()) > 0.99
    printed = "\n".join(report.lines())
    assert all(f"{FACES:,}  {name}" in printed for name in ("facematch", *best))


def test_the_nearest_few_are_asked_for_until_one_is_beyond_the_radius() -> None:
    squares = np.linspace(0, 1, 1000)
    counts = []

    def nearest(count: int) -> tuple[np.ndarray, np.ndarray]:
        counts.append(count)
        return np.arange(count), squares[:count]

    assert len(growing(nearest, 0.5, 10, 1000)) == 250
    assert counts == [10, 40, 160, 640]
    assert len(growing(nearest, 2.0, 10, 1000)) == 1000


def test_a_face_as_near_to_the_radius_as_float32_can_tell_counts_neither_way() -> None:
    apart = np.array([0.3, 0.5 - MARGIN / 2, 0.5 + MARGIN / 2, 0.5 + 2 * MARGIN, 0.4])
    encodings = np.zeros((5, 128), dtype=np.float32)
    encodings[:, 0] = apart
    query = np.zeros((1, 128), dtype=np.float32)
    assert np.allclose(distances(query, encodings)[0], apart)
    truth = Truth(encodings, query, 0.5)
    whole = truth.score(0, np.array([0, 1, 2, 4]), 5)
    assert (whole.wanted, whole.found, whole.wrong) == (2, 2, 0)
    assert truth.score(0, np.array([4, 4, 3]), 5).recall == 0.5
    assert truth.score(0, np.array([3]), 5).wrong == 1
    assert truth.score(0, np.array([0]), 4).recall == 1.0  # the last is not among the first four


def test_points_are_read_from_what_is_kept() -> None:
    point = Point("FAISS IVF, nprobe 4", 1_000_000, 0.6, 0.25, 3.5, 7.25)
    report = Report("index", {}, details=list(point.measures()))
    assert list(points_in(kept_measures(report))) == [point]
    assert [measure.ratio for measure in report.details] == pytest.approx([3.5 / 7.25, 4])


def test_labels_are_moved_apart_and_no_farther() -> None:
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.9], 0.1) == pytest.approx([0.45, 0.55, 0.9])
    assert spread([0.4, 0.5, 0.5], 0.2) == pytest.approx([0.2667, 0.4667, 0.6667], abs=1e-3)


def test_plots_are_drawn_beside_the_results_that_have_points(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only in the extra `peers`")
    times = [Point("IndexFlatL2", faces, r, 1.0, 2.0, 1.0) for faces in (1000, 9000) for r in RADII]
    peers = [Point("FAISS IVF, nprobe 4", 9000, r, 0.9, 0.5, 1.0) for r in RADII]
    for name, points in (("index", []), ("index-peers", times + peers)):
        every = [measure for point in points for measure in point.measures()]
        (tmp_path / f"{name}.json").write_text(Report("index", {}, every).to_json())
    made = plot(tmp_path)
    assert [file.name for file in made] == ["index-peers-sizes.png", "index-peers-recall.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in made)


def kept_measures(report: Report) -> list[dict]:
    return json.loads(report.to_json())["measures"]
