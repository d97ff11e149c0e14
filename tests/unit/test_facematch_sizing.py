"""The model behind `facematch plan`: limits, growth, and what it must give back."""

import itertools
import math
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facematch.sizing import (
    Costs,
    Machine,
    Pictures,
    Rate,
    advised,
    faces_in,
    false_matches,
    index_bytes,
    ingest_seconds,
    match_bytes,
    match_set_bytes,
    matches,
    mean_over,
    rate_at,
    redis_bytes,
    redis_peak,
    true_matches,
    work,
)
from facematch.sizing_figures import Ingest, adapted, packaged
from facematch.sizing_plan import Wanted, compared, planned

FIGURES = packaged()
COSTS, RATES = FIGURES.costs, FIGURES.rates
ONE = Pictures(1, 1)
LOOSE = Rate(0.6, 6.2e-3, 0.99, 1.0)
SIZES = [1, 100, 10_000, 1_000_000, 10**8, 10**12]


def ascending(values: list[float]) -> bool:
    return all(one < other for one, other in itertools.pairwise(values))


def ingest(images: int = 13_000, rate: float = 60.0, **measured: float) -> Ingest:
    machine = Machine(2, 24e9)
    now = datetime(2026, 11, 26, tzinfo=UTC)
    return Ingest(Path("ingest.json"), now, machine, images, 1, rate, **measured)


def test_every_figure_is_measured_somewhere_and_the_rates_fall_with_the_threshold() -> None:
    for field in fields(Costs):
        assert getattr(COSTS, field.name) > 0
        assert "20" in FIGURES.sources[field.name], f"when was {field.name} measured?"
    assert [rate.threshold for rate in RATES] == [0.4, 0.45, 0.5, 0.55, 0.6]
    assert ascending([rate.different_people for rate in RATES])
    assert ascending([rate.same_person for rate in RATES])


def test_the_known_false_matches_of_a_million() -> None:
    found = [round(false_matches(1e6, rate, ONE), 1) for rate in RATES]
    assert found == pytest.approx([4, 37, 240, 1200, 6200])


def test_everything_grows_with_the_images() -> None:
    for of in (
        lambda n: work(COSTS, n, LOOSE, ONE),
        lambda n: ingest_seconds(COSTS, n, LOOSE, ONE, 2),
        lambda n: redis_bytes(COSTS, n, LOOSE, ONE, n, 100_000),
        lambda n: index_bytes(COSTS, n, ONE),
        lambda n: matches(n, LOOSE, Pictures(1, 5)),
    ):
        assert ascending([of(size) for size in SIZES])
        assert all(math.isfinite(of(size)) for size in SIZES)


def test_everything_grows_with_the_threshold_and_with_faces() -> None:
    for of in (
        lambda rate, faces: work(COSTS, 1e6, rate, Pictures(faces)),
        lambda rate, faces: redis_bytes(COSTS, 1e6, rate, Pictures(faces), 0, 0),
        lambda rate, faces: false_matches(1e6, rate, Pictures(faces)),
    ):
        assert ascending([of(rate, 1) for rate in RATES])
        assert ascending([of(LOOSE, faces) for faces in (1, 1.5, 4, 16)])


def test_an_image_has_no_more_matches_than_there_are_images() -> None:
    certain = replace(LOOSE, different_people=0.5)
    assert false_matches(1000, certain, Pictures(100)) <= 1000
    assert matches(3, LOOSE, Pictures(1, 50)) <= 3
    assert true_matches(1e6, LOOSE, Pictures(1, 5)) == pytest.approx(4 * 0.99)
    assert matches(0, LOOSE, ONE) == 0


def test_two_faces_each_are_four_pairs() -> None:
    tiny = replace(LOOSE, different_people=1e-9)
    assert false_matches(1e6, tiny, Pictures(2)) == pytest.approx(4e-3, rel=1e-6)


def test_the_mean_over_a_growing_collection_is_its_integral() -> None:
    assert mean_over(1000, lambda there: 3 + 2 * there) == pytest.approx(3 + 1000)
    assert mean_over(6, lambda there: there**2) == pytest.approx(12, rel=1e-3)


def test_twice_the_cores_take_half_the_time_until_redis_is_what_takes_it() -> None:
    one, two = (ingest_seconds(COSTS, 1e5, LOOSE, ONE, cores) for cores in (1, 2))
    assert one == pytest.approx(2 * two)
    many, more = (ingest_seconds(COSTS, 1e5, LOOSE, ONE, cores) for cores in (10**5, 10**6))
    assert many == more > 1e5 * COSTS.store_picture


def test_a_rate_between_two_thresholds_is_between_theirs() -> None:
    between = rate_at(RATES, 0.575)
    assert between.different_people == pytest.approx(math.sqrt(1.2e-3 * 6.2e-3))
    assert rate_at(RATES, 0.5) == RATES[2]
    for outside in (0.39, 0.61):
        with pytest.raises(ValueError, match=r"is not within 0\.4 and 0\.6"):
            rate_at(RATES, outside)


def test_what_is_advised_is_the_loosest_that_keeps_to_what_is_wanted() -> None:
    for images, threshold in (
        (1000, 0.6),
        (5000, 0.55),
        (10_000, 0.5),
        (100_000, 0.45),
        (1_000_000, 0.4),
    ):
        found = advised(RATES, images, ONE, 10)
        assert found is not None
        assert found.threshold == threshold
    assert advised(RATES, 1e9, ONE, 10) is None


def test_large_sets_take_more_for_each_match_and_a_spread_makes_some_large() -> None:
    even = replace(LOOSE, spread=0.0)
    small, large = (match_bytes(COSTS, n, even, ONE) for n in (150_000, 300_000))
    assert small == pytest.approx(COSTS.short_match_bytes + COSTS.set_bytes / 930, rel=0.01)
    assert large == pytest.approx(COSTS.long_match_bytes + COSTS.set_bytes / 1860, rel=0.01)
    assert small < match_bytes(COSTS, 150_000, LOOSE, ONE) < large
    assert match_set_bytes(COSTS, 10, replace(even, different_people=1e-9), ONE) < 1


def test_redis_needs_twice_its_data_once_its_file_is_written_anew() -> None:
    assert (redis_peak(6e7), redis_peak(7e7)) == (6e7, 1.4e8)


def test_a_sidecar_leaves_a_fifth_of_the_memory_and_room_for_its_worker() -> None:
    assert faces_in(COSTS, Machine(2, 1e12)) == pytest.approx(0.8e12 / COSTS.index_face_bytes)
    assert faces_in(COSTS, Machine(2, 1e8)) == 0


class TestAnIngest:
    """Of the user's own."""

    def test_the_model_gives_back_the_time_and_the_matches_that_were_measured(self) -> None:
        measured = ingest(13_000, 20.0, matches=500.0, match_bytes=77.0, index_face_bytes=400.0)
        figures = adapted(FIGURES, measured, ONE, 0.6)
        rate = rate_at(figures.rates, 0.6)
        assert ingest_seconds(figures.costs, 13_000, rate, ONE, 2) == pytest.approx(650)
        assert matches(13_000, rate, ONE) == pytest.approx(500)
        assert match_bytes(figures.costs, 13_000, rate, ONE) == pytest.approx(77)
        assert figures.costs.index_face_bytes == 400
        assert figures.sources["picture"] == "ingest.json, 2026-11-26"
        assert figures.sources["job_bytes"] == FIGURES.sources["job_bytes"]

    def test_one_faster_than_the_matches_alone_makes_these_faster(self) -> None:
        figures = adapted(FIGURES, ingest(1_000_000, 10_000), ONE, 0.6)
        rate = rate_at(figures.rates, 0.6)
        assert figures.costs.picture > 0
        assert figures.costs.match < COSTS.match
        assert mean_over(1e6, lambda n: work(figures.costs, n, rate, ONE)) == pytest.approx(2e-4)

    def test_bytes_of_an_image_are_without_its_job_and_place_in_the_log(self) -> None:
        measured = ingest(200_000, image_bytes=1500.0, face_bytes=600.0)
        figures = adapted(FIGURES, measured, Pictures(1, 5), 0.6)
        rest = COSTS.job_bytes + COSTS.log_bytes / 2
        assert figures.costs.image_bytes == pytest.approx(2100 - rest)
        assert adapted(FIGURES, ingest(image_bytes=1500.0), ONE, 0.6).costs.image_bytes == (
            COSTS.image_bytes
        )

    def test_what_was_computed_counts_whatever_else_kept_the_cores_busy(self) -> None:
        figures = adapted(FIGURES, ingest(13_000, 5.0, processor=0.05), ONE, 0.6)
        rate = rate_at(figures.rates, 0.6)
        assert ingest_seconds(figures.costs, 13_000, rate, ONE, 2) == pytest.approx(325)

    def test_what_was_not_measured_stays(self) -> None:
        assert adapted(FIGURES, ingest(), ONE, 0.6).rates == RATES

    @pytest.mark.parametrize(("part", "agrees"), [(0.7, False), (0.85, True), (1.5, False)])
    def test_a_plan_agrees_within_a_quarter(self, part: float, agrees: bool) -> None:
        says = ingest_seconds(COSTS, 13_000, RATES[-1], ONE, 2)
        (time,) = compared(ingest(13_000, part * 13_000 / says), FIGURES, ONE, 0.6)
        assert time.agrees is agrees

    def test_memory_is_compared_where_it_was_measured(self) -> None:
        held = index_bytes(COSTS, 13_000, ONE)
        measured = ingest(store_bytes=1e12, index_bytes=held, match_bytes=1.0)
        found = {each.name: each.agrees for each in compared(measured, FIGURES, ONE, 0.6)}
        assert found["memory of an index"] is True
        assert found["memory of Redis, at most"] is False
        # It may take less: it writes its file anew at some time.
        less = compared(ingest(store_bytes=1.0), FIGURES, ONE, 0.6)
        assert {each.name: each.agrees for each in less}["memory of Redis, at most"] is True
        assert found["Redis bytes a match"] is False


class TestAPlan:
    """Of machines with two cores and 24 GB."""

    def wanted(self, images: int, per_day: int = 1000, **options: object) -> Wanted:
        return Wanted(images, per_day, Pictures(), Machine(2, 24e9), **options)  # type: ignore[arg-type]

    def test_a_small_one_is_on_one_machine(self) -> None:
        plan = planned(self.wanted(10_000), FIGURES)
        assert (plan.machines, plan.workers, plan.index) == (1, 1, "sidecar")
        assert (plan.threshold, plan.advised, plan.remarks) == (0.5, True, ())
        assert plan.machine_hours == 730

    def test_more_a_day_need_more_workers_each_with_an_index(self) -> None:
        few, many = (planned(self.wanted(100_000, day), FIGURES) for day in (10**5, 10**8))
        assert few.workers < many.workers
        assert many.busy <= 1
        assert many.machines == many.workers + many.redis_machines
        assert few.first_hours > many.first_hours

    def test_jobs_are_kept_for_a_week(self) -> None:
        few, many = (planned(self.wanted(10**6, day, workers=1), FIGURES) for day in (1, 10**5))
        # The first ingest takes hours; of the daily load there are not as many in a week.
        assert few.redis_bytes == many.redis_bytes
        slow, busy = (
            planned(self.wanted(10**8, day, workers=1, threshold=0.4), FIGURES)
            for day in (1, 10**7)
        )
        assert slow.first_hours > 24 * 70
        more = 7 * 10**7 - 10**8 * 24 * 7 / slow.first_hours
        assert busy.redis_bytes - slow.redis_bytes == pytest.approx(
            more * COSTS.job_bytes, rel=0.05
        )

    def test_milvus_where_a_sidecar_does_not_fit(self) -> None:
        fits = planned(self.wanted(10_000_000), FIGURES).milvus_from
        below, above = (planned(self.wanted(n), FIGURES) for n in (fits - 1, fits))
        assert (below.index, below.milvus_machines) == ("sidecar", 0)
        assert (above.index, above.index_bytes) == ("milvus", 0)
        assert above.milvus_machines > 1

    def test_it_says_what_cannot_be(self) -> None:
        plan = planned(self.wanted(10**9, 10**8, threshold=0.6, workers=1), FIGURES)
        said = "\n".join(plan.remarks)
        assert "are false at 0.6; no threshold that was measured keeps to 10: 0.4 has 4,000" in said
        assert "1 are too few workers for 100,000,000 a day" in said
        assert "Redis, which is one thread, would be busy" in said
        assert "Redis needs a machine with" in said
        assert not plan.advised

    def test_a_looser_one_than_advised_is_said_to_be(self) -> None:
        plan = planned(self.wanted(100_000, threshold=0.6), FIGURES)
        assert plan.remarks == ("620 of an image's matches are false at 0.6; 0.45 keeps to 10",)

    def test_every_measured_threshold_is_beside_it(self) -> None:
        settings = planned(self.wanted(1_000_000), FIGURES).settings
        assert [each.threshold for each in settings] == [0.6, 0.55, 0.5, 0.45, 0.4]
        assert ascending([-each.redis_bytes for each in settings])
        assert ascending([-each.hours for each in settings])
