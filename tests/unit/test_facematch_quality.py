"""`facematch quality` on planted pictures, which a real worker's child looks at."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from planted import planted_picture

from facematch.cli import main
from facematch.commands.quality import SIZES, People, Request, judged
from facematch.commands.quality_text import document, lines
from facematch.encoding_model import encoding_model
from facematch.errors import Rejected
from facematch.faces import Box, Face
from facematch.requested import Answer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEMATCH_ENCODER", "planted:PlantedEncoder")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")


def folder_of_people(folder: Path) -> Path:
    """Four people with three pictures each, a picture without a face, and a file that is none."""
    rng = np.random.default_rng(1)
    for number, face in enumerate(encoding_model().draw(4, rng)):
        person = folder / f"person {number}"
        person.mkdir(parents=True)
        for picture in range(3):
            moved = face + np.float32(0.02) * rng.standard_normal(128, dtype=np.float32)
            (person / f"{picture}.png").write_bytes(planted_picture(moved[None]))
    Image.new("RGB", (300, 200)).save(folder / "person 0" / "nobody.jpg")
    (folder / "person 1" / "notes.txt").write_text("no picture")
    (folder / "beside.png").write_bytes(planted_picture(face[None]))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["quality", *map(str, arguments)])


@pytest.mark.usefixtures("planted")
def test_it_counts_pairs_advises_and_draws(tmp_path: Path) -> None:
    folder, roc = folder_of_people(tmp_path / "people"), tmp_path / "roc.png"
    done = run(folder, "--roc", roc, "--size", "5k", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["people"], said["faces"]) == (4, 12)
    assert said["pairs"] == {"same": 12, "different": 54}
    assert said["failed"] == {"no_face": 1, "not_an_image": 1}
    assert [each["size"] for each in said["advice"]] == [5000]
    assert said["advice"][0]["setting"]["found"] == 1.0
    with Image.open(roc) as picture:
        assert (picture.format, picture.size) == ("PNG", (900, 620))


def shown_people(count: int, each: int) -> People:
    rng = np.random.default_rng(1)
    faces = np.repeat(encoding_model().draw(count, rng), each, axis=0)
    faces += np.float32(0.02) * rng.standard_normal(faces.shape, dtype=np.float32)
    return People(faces, np.repeat(np.arange(count), each), [], "dlib-1", Counter({"": 2}))


def test_people_read_what_it_finds_and_what_is_advised() -> None:
    told = judged(shown_people(40, 3), Request(Path("people"), SIZES, 0.6, 1.0))
    said = "\n".join(lines(told, Path("roc.png")))
    assert "120 faces of 40 people: 120 pairs of one person, 7,020 of two" in said
    assert "left out: 2 (no face was found)" in said
    assert "10,000,000 faces, false matches of each 1 at most: max_false_matches 1" in said
    assert said.endswith("ROC: roc.png")
    assert {each["size"] for each in document(told, Path("roc.png"))["advice"]} == set(SIZES)


@pytest.mark.parametrize(("count", "each"), [(3, 1), (1, 3), (0, 0)])
def test_where_nothing_can_be_compared_it_says_so(count: int, each: int) -> None:
    with pytest.raises(Rejected, match=f"faces of {count * each} pictures were found"):
        judged(shown_people(count, each), Request(Path("people"), SIZES, 0.6, 1.0))


@pytest.mark.usefixtures("planted")
def test_an_encoder_that_cannot_be_had_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMATCH_ENCODER", "nowhere:Encoder")
    done = run(folder_of_people(tmp_path / "people"), "--roc", tmp_path / "roc.png")
    assert done.exit_code == 1
    assert done.stderr.endswith(
        "no encoder 'nowhere:Encoder': No module named 'nowhere' (misconfigured)\n"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "roc.png").exists()


@pytest.mark.parametrize("option", ["--threshold", "--false-matches"])
def test_what_is_no_number_is_refused(tmp_path: Path, option: str) -> None:
    done = run(tmp_path, option, "nan")
    assert done.exit_code == 2
    assert "'nan' is not a number" in done.stderr


def test_an_answer_is_read_as_it_was_written_and_knows_the_face_in_the_middle() -> None:
    rng = np.random.default_rng(2)
    faces = [
        Face(Box(0, left + 20, 20, left), rng.standard_normal(128, dtype=np.float32))
        for left in (0, 40, 80)
    ]
    read = Answer.of(Answer("a b\n", 100, 20, faces).line())
    assert (read.path, read.width, read.height, read.code) == ("a b\n", 100, 20, "")
    assert [face.box for face in read.faces] == [face.box for face in faces]
    assert all(
        (one.encoding == other.encoding).all() for one, other in zip(read.faces, faces, strict=True)
    )
    assert read.central() is read.faces[1]
    assert Answer.of(Answer("x", code="unreadable").line()).central() is None
