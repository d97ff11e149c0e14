"""Real pictures that a public test may use: those in face_recognition's source distribution.

They are fetched with pip on first use into the user's cache folder, never into the repository.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from missing import missing

NAMES = (
    *("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"),
    *("obama_partial_face.jpg", "obama_partial_face2.jpg", "32bit.png"),
)
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facematch-tests"
#: Labeled Faces in the Wild with reference encodings, where somebody has put them.
DATA = Path(os.environ.get("FACEMATCH_TEST_DATA") or Path(__file__).parents[2] / "shared/data")


def real_pictures() -> dict[str, Path]:
    """The pictures by name; `missing` where they cannot be fetched."""
    if not all((_CACHE / name).exists() for name in NAMES):
        _fetch()
    return {name: _CACHE / name for name in NAMES}


def reference_data() -> Path:
    """The folder with lfw/ and lfw-reference.npz; skips the test where there is none, also in CI:
    nobody can be asked to have it."""
    if not (DATA / "lfw-reference.npz").exists():
        pytest.skip(f"no reference pictures in {DATA} (FACEMATCH_TEST_DATA)")
    return DATA


def _fetch() -> None:
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        package = ("--no-deps", "--no-binary", "face_recognition", "face_recognition==1.3.0")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder)
        done = subprocess.run([*pip, *package], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            missing(f"the test pictures cannot be fetched: {done.stderr[-300:]}")
        archive = next(Path(folder).glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            for name in NAMES:
                member = tar.extractfile(f"face_recognition-1.3.0/tests/test_images/{name}")
                assert member is not None
                partial = _CACHE / f"{name}.{os.getpid()}"
                partial.write_bytes(member.read())
                partial.replace(_CACHE / name)
