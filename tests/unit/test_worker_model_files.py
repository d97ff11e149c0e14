"""The models of dlib: a worker takes the files we know, and no others."""

from pathlib import Path

import pytest

from facematch.errors import Misconfigured
from worker import dlib_weights, model_files
from worker.dlib_encoder import DlibEncoder
from worker.finder import DlibFinder
from worker.model_files import KNOWN, LANDMARKS, check_all


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files as they are installed but for one bit of one of them."""
    for name in KNOWN:
        (tmp_path / name).symlink_to(dlib_weights.model_file(name))
    data = bytearray((tmp_path / LANDMARKS).read_bytes())
    data[5_000_000] ^= 1
    (tmp_path / LANDMARKS).unlink()
    (tmp_path / LANDMARKS).write_bytes(data)
    monkeypatch.setattr(model_files, "model_file", lambda name: tmp_path / name)
    return tmp_path / LANDMARKS


def test_those_that_are_installed_are_known_and_there_are_no_others() -> None:
    check_all()
    folder = dlib_weights.model_file().parent
    assert {file.name for file in folder.glob("*.dat")} == KNOWN.keys()


def test_one_that_is_not_there_is_named(changed: Path) -> None:
    changed.unlink()
    with pytest.raises(Misconfigured, match=f"{changed}: No such file"):
        check_all()


def test_one_with_a_bit_changed_is_refused_before_it_is_used(changed: Path) -> None:
    for load in (lambda: DlibFinder("hog", 0), DlibEncoder):
        with pytest.raises(Misconfigured, match="not the model of dlib that we know") as raised:
            load()
        assert str(changed) in str(raised.value)
