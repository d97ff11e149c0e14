"""The compiled face detector: how it is kept, and what happens without it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import face
from structlog.testing import capture_logs

from facematch import compiled_cache as cache
from facematch.compiled import seal
from facematch.faces import Box, Pixels
from worker.finder import DlibFinder, frontal_boxes, frontal_state
from worker.hog import compiled
from worker.hog.detector import FrontalFaceDetector, compile_detector
from worker.hog.standby import Standby

ROOT = Path(__file__).parents[2]
STANDIN = [Box(1, 2, 3, 4)]
PICTURE = np.zeros((90, 90, 3), dtype=np.uint8)


def test_the_folder_is_named_by_the_sources(frontal: FrontalFaceDetector) -> None:
    assert compiled.FOLDER.parent.name == "facematch"
    assert compiled.FOLDER.name.startswith("hog-")


def test_what_is_complete_is_not_compiled_again(frontal: FrontalFaceDetector) -> None:
    assert compile_detector(frontal_state()) is False


# -- dlib's own until then --------------------------------------------------------------------
@pytest.fixture
def copied(
    frontal: FrontalFaceDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the compiled code, in use."""
    folder = tmp_path / "copy"
    shutil.copytree(compiled.FOLDER, folder)
    monkeypatch.setattr("worker.hog.compiled.FOLDER", folder)
    return folder


def standby() -> Standby:
    return Standby(lambda: lambda pixels: STANDIN)


def test_the_compiled_detector_is_used_as_soon_as_it_is_there(copied: Path) -> None:
    cache.incomplete(copied)
    detect = standby()
    for _ in range(3):
        assert detect(PICTURE) == STANDIN
        assert detect.to_compile
    cache.complete(copied)
    assert detect(PICTURE) == []
    assert not detect.to_compile
    cache.incomplete(copied)
    assert detect(PICTURE) == []


def test_damaged_code_is_not_loaded_and_compiled_anew_the_next_time(copied: Path) -> None:
    damaged = next(copied.rglob("*.nbc"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    detect = standby()
    with capture_logs() as logs:
        assert [detect(PICTURE) for _ in range(3)] == [STANDIN] * 3
    assert [(entry["log_level"], "damaged" in entry["event"]) for entry in logs] == [
        ("warning", True)
    ]
    assert not cache.is_complete(copied)
    assert not detect.to_compile  # by this process


def test_whatever_loading_raises_dlibs_own_goes_on(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise KeyError("why")

    monkeypatch.setattr("worker.hog.detector.load_detector", fail)
    detect = standby()
    with capture_logs() as logs:
        assert [detect(PICTURE) for _ in range(3)] == [STANDIN] * 3
    assert len(logs) == 1


def test_another_processor_keeps_dlibs_own(
    frontal: FrontalFaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    detect = standby()
    assert detect(PICTURE) == STANDIN
    assert not detect.to_compile


def test_a_view_is_copied_for_dlibs_own(copied: Path) -> None:
    cache.incomplete(copied)
    seen: list[Pixels] = []
    detect = Standby(lambda: lambda pixels: seen.append(pixels) or [])
    detect(PICTURE[::2, ::-1])
    assert seen[0].flags.c_contiguous


def test_code_that_is_not_in_the_cache_is_not_taken_for_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.hog.compiled.FOLDER", tmp_path)

    @compiled.exact
    def double(value: float) -> float:
        return 2 * value

    assert double(2.0) == 4.0
    with pytest.raises(RuntimeError, match="double"):
        seal([double])


def test_both_ways_give_the_finder_the_same_boxes(frontal: FrontalFaceDetector) -> None:
    finder, own = DlibFinder("hog", 0), frontal_boxes()
    for top in range(0, 60, 7):
        pixels = face(180)[top:]
        height, width = pixels.shape[:2]
        clipped = [
            Box(max(b.top, 0), min(b.right, width), min(b.bottom, height), max(b.left, 0))
            for b in own(pixels)
        ]
        assert finder.find(pixels, 9).boxes == clipped
    assert finder.preparation() is None
    assert DlibFinder("cnn", 0).preparation() is None


def finds(environment: dict[str, str]) -> list[str]:
    """The output of a process that looks at a face."""
    code = (
        "from drawn_faces import face; from worker.onnx_encoder import OnnxEncoder;"
        "encoder = OnnxEncoder(); [encoder.find(face(150), 9) for _ in range(3)];"
        "print(encoder.find(face(150), 9).total, encoder.preparation())"
    )
    path = f"{ROOT}:{ROOT / 'tests'}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_without_a_folder_to_write_dlibs_own_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warning, found = finds({"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert "compiled code cannot be kept" in warning
    assert found == "1 None"
    assert list((ROOT / "worker" / "hog").rglob("*.nb?")) == []


def test_with_an_empty_folder_dlibs_own_is_used_and_compiling_asked_for(tmp_path: Path) -> None:
    assert finds({"XDG_CACHE_HOME": str(tmp_path)}) == ["1 worker.hog"]
