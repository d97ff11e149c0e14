"""The cache of compiled code: its key, its folder, its marker."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from facematch import compiled_cache as cache


# -- the key ----------------------------------------------------------------------------------
@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    files = [tmp_path / name for name in ("a.py", "b.py")]
    for file in files:
        file.write_text("content")
        os.utime(file, (10**9, 10**9))
    return files


def test_the_key_is_the_same_for_the_same(sources: list[Path]) -> None:
    key = cache.cache_key(sources, ["1", "2"])
    assert cache.cache_key(reversed(sources), ["1", "2"]) == key
    assert len(key) == 16


@pytest.mark.parametrize("change", ["content", "time", "place", "one more", "version"])
def test_the_key_changes_with_all_that_the_code_depends_on(
    sources: list[Path], change: str
) -> None:
    before, versions = cache.cache_key(sources, ["1", "2"]), ["1", "2"]
    file = sources[0]
    match change:
        case "content":
            file.write_text("CONTENT")
            os.utime(file, (10**9, 10**9))
        case "time":
            os.utime(file, (10**9, 10**9 + 1))
        case "place":
            sources[0] = file.rename(file.with_name("c.py"))
        case "one more":
            sources.append(shutil.copy2(file, file.with_name("c.py")))
        case "version":
            versions = ["12", ""]
    assert cache.cache_key(sources, versions) != before


# -- the folder -------------------------------------------------------------------------------
def test_the_folder_is_the_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    cache.own_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    cache.own_folder(folder)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError):
        cache.own_folder(folder)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        cache.own_folder(tmp_path / "file" / "folder")


# -- the marker -------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.nbi", "a.nbc", "b.nbi"):
        (tmp_path / "hog_1").mkdir(exist_ok=True)
        (tmp_path / "hog_1" / name).write_text(name)
    return tmp_path


def test_a_folder_is_complete_when_it_is_marked(folder: Path) -> None:
    assert not cache.is_complete(folder)
    cache.complete(folder)
    assert cache.is_complete(folder)
    cache.check(folder)
    assert {path.name for path in folder.iterdir()} == {"hog_1", "complete.json"}
    cache.incomplete(folder)
    assert not cache.is_complete(folder)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "more", "marker"])
def test_damage_is_noticed(folder: Path, damage: str) -> None:
    cache.complete(folder)
    file = folder / "hog_1" / "a.nbc"
    match damage:
        case "flipped":
            file.write_text("b.nbc")
        case "cut":
            file.write_text("a.nb")
        case "gone":
            file.unlink()
        case "more":
            (folder / "hog_1" / "c.nbi").write_text("")
        case "marker":
            (folder / "complete.json").write_text("{")
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        cache.check(folder)


def test_what_was_begun_is_cleared(folder: Path) -> None:
    cache.complete(folder)
    with cache.locked(folder):
        cache.clear(folder)
    assert {path.name for path in folder.rglob("*")} == {"hog_1", "lock"}
