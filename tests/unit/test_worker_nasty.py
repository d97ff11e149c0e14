"""Decoding nasty pictures, and mutations of good ones: each ends as a picture or with a code.

Each is decoded in a child of its own; see tests/nasty_run.py. What is known to take too long or
too much is named, with the reason: see nasty.ENDLESS, and GREEDY.
"""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn import FORMATS, encoded, quarters
from mutations import mutations
from nasty import BUILDERS, ENDLESS, ENDS, LARGEST, expected_end
from nasty_run import Outcome, run

from facematch.errors import CODES

SECONDS = 20.0
MEBIBYTES, HEADROOM = 1024, 1536
#: What the process has before it decodes anything.
PROCESS = 64
MUTATIONS = 400

#: What may take more memory than MEBIBYTES, up to the limit under which it is decoded, or find
#: none.
GREEDY = {
    "fine-tiff-8000-x-8000-of-fractions": "1.1 GiB for 64 megapixels",
    "fine-tiff-8000-x-8000-of-32-bit-numbers": "1.1 GiB for 64 megapixels",
    "any-heif-exif-for-500-pictures": "pillow_heif copies the EXIF for each picture: 4.5 GiB",
    "any-heif-exif-in-30-extents-for-5-pictures": "the same, and libheif joins it: 1.7 GiB",
    "fine-avif-8000-x-8000-translucent": "1.2 GiB for 64 megapixels",
    "fine-heif-8000-x-8000-translucent": "1.1 GiB for 64 megapixels",
    "fine-webp-16383-x-3900": "1.1 GiB for 64 megapixels",
}


def cases() -> list[object]:
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(reason=ENDLESS[name], run=False)] if name in ENDLESS else [],
        )
        for name in BUILDERS
    ]


def assert_harmless(outcome: Outcome, greedy: bool = False) -> None:
    # A MemoryError under a limit is no lie about the picture: whoever set the limit handles it.
    assert outcome.end in {"picture", "MemoryError: ", *CODES}
    assert outcome.seconds < SECONDS
    assert outcome.mebibytes < (HEADROOM if greedy else MEBIBYTES) + PROCESS


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: build() for name, build in BUILDERS.items()}


@pytest.fixture(scope="module")
def outcomes(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    asked = {name: data for name, data in files.items() if name not in ENDLESS}
    return run(asked, tmp_path_factory.mktemp("nasty"), seconds=SECONDS, headroom=HEADROOM)


def test_there_are_hundreds_of_files_all_different_and_none_too_large(
    files: dict[str, bytes],
) -> None:
    assert len({hashlib.sha256(data).digest() for data in files.values()}) == len(files) > 500
    assert max(map(len, files.values())) <= LARGEST
    assert {name.partition("-")[0] for name in files} == {*ENDS, "any"}
    assert ENDLESS.keys() | GREEDY.keys() <= files.keys()


@pytest.mark.parametrize("name", cases())
def test_a_nasty_file_ends_as_it_must_and_harms_nobody(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[name]
    greedy = name in GREEDY
    assert_harmless(outcome, greedy)
    if not (greedy and outcome.end == "MemoryError: "):
        assert outcome.end == (expected_end(name) or outcome.end)


def test_so_many_nasty_files_end_as_a_picture_or_with_a_code(
    outcomes: dict[str, Outcome], figure: Callable[[str], None]
) -> None:
    ends = {name: outcome.end for name, outcome in outcomes.items()}
    stable = [name for name, end in ends.items() if end in {"picture", "MemoryError: ", *CODES}]
    codes = sum(end in CODES for end in ends.values())
    figure(
        f"nasty pictures ending as they must: {len(stable)} of {len(ends)}, {codes} of them with a"
        f" code; {len(ENDLESS)} more, which take half a minute each, in make chaos"
    )
    assert len(stable) == len(ends) >= 100


def test_mutated_pictures_harm_nobody(tmp_path: Path) -> None:
    small = quarters().resize((24, 16))
    samples = [encoded(small, form) for form in (*FORMATS, "MPO")]
    samples.append(encoded(small, "JPEG", progressive=True))
    samples.append(encoded(small, "TIFF", compression="tiff_deflate"))
    samples.append(encoded(small, "WEBP", save_all=True, append_images=[small.rotate(9)]))
    mutated = itertools.islice(mutations(1, samples), MUTATIONS)
    outcomes = run({str(number): data for number, data in enumerate(mutated)}, tmp_path)
    assert len(outcomes) == MUTATIONS
    for outcome in outcomes.values():
        assert_harmless(outcome)
    assert {"picture", "bad_image", "truncated_image"} <= {end.end for end in outcomes.values()}


def test_mutations_are_the_same_for_the_same_seed_and_differ_for_another() -> None:
    samples = [encoded(quarters(), form) for form in ("JPEG", "PNG")]
    first, again, other = (
        list(itertools.islice(mutations(seed, samples), 50)) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other
    assert len(set(first)) > 45
    assert max(map(len, itertools.islice(mutations(9, [bytes(LARGEST)]), 20))) <= LARGEST
    assert list(itertools.islice(mutations(1, [b"", b"x"]), 200))


# -- whether harm would be noticed ----------------------------------------------------------------
def test_what_takes_too_long_is_killed_and_said(tmp_path: Path) -> None:
    name = "fine-png-8000-x-7900-one-colour"
    outcome = run({name: BUILDERS[name]()}, tmp_path, seconds=0.05)[name]
    assert outcome.end == "no end in time"


def test_what_takes_too_much_memory_is_stopped_and_said(tmp_path: Path) -> None:
    name = "fine-png-8000-x-7900-one-colour"
    outcome = run({name: BUILDERS[name]()}, tmp_path, headroom=100)[name]
    assert outcome.end == "MemoryError: "
    assert outcome.mebibytes < 200
