"""What a process may use of the machine it is on."""

import os
from pathlib import Path

import pytest

from facematch.startup import usable_cores, usable_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("text", "expected"), [("max\n", MACHINE), (f"{1 << 20}\n", 1 << 20), (f"{1 << 60}\n", MACHINE)]
)
def test_memory_is_that_of_the_machine_or_the_limit_of_the_container(
    tmp_path: Path, text: str, expected: int
) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert usable_memory(tmp_path / "memory.max") == expected
    assert usable_memory(tmp_path / "nothing") == MACHINE


@pytest.mark.parametrize(("text", "most"), [("max 100000", 1000), ("150000 100000", 2), ("1 9", 1)])
def test_cores_are_as_many_as_the_quota_comes_to(tmp_path: Path, text: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert 1 <= usable_cores(tmp_path / "cpu.max") <= most
