"""dlib's face detection network, computed tile by tile: the boxes are dlib's, memory is bounded."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlib
import numpy as np
import pytest
from PIL import Image
from real_pictures import real_pictures, reference_data

from facematch.errors import Misconfigured
from facematch.faces import Box, Pixels
from worker import mmod
from worker.dlib_layers import Relu
from worker.dlib_resize import resize
from worker.dlib_weights import model_file
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.golden_drawing import golden_picture
from worker.looking import PictureLimits
from worker.mmod import MmodDetector, suppress
from worker.mmod_graph import build_graph
from worker.mmod_plane import Plane, Rectangle, lay_out
from worker.mmod_weights import FILE, load_layers, read_layers
from worker.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
#: More than two ways of adding up ever differ by, and far less than it takes to move a box.
NOISE = 1e-4
#: Looks at 1200 × 1200 pixels; tiles need about 100 MiB, the plane at once 700 MiB. With the 157
#: MiB of the levels and those of the picture 330 MiB are enough for the former only.
LARGE = """
import resource
import numpy as np
from pathlib import Path
from PIL import Image
from worker.golden_drawing import golden_picture
from worker.memory import give_back_early
from worker.mmod import MmodDetector
give_back_early()
detector = MmodDetector()
detector.find(np.zeros((80, 80, 3), dtype=np.uint8))
pixels = np.asarray(Image.fromarray(golden_picture()).resize((1200, 1200)))
mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = mapped + 330 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(len(detector.find(pixels)))
"""


@pytest.fixture(scope="module")
def ours() -> MmodDetector:
    return MmodDetector()


@pytest.fixture(scope="module")
def theirs() -> Any:
    return dlib.cnn_face_detection_model_v1(str(model_file(FILE)))


def face(height: int, width: int) -> Pixels:
    """The drawn face in this size."""
    return np.asarray(Image.fromarray(golden_picture()).resize((width, height)))


def crowd() -> Pixels:
    """Drawn faces of several sizes, two of them over each other."""
    scene = np.full((240, 330, 3), 150, dtype=np.uint8)
    places = ((0, 0, 60), (5, 70, 75), (0, 150, 90), (100, 5, 130), (90, 140, 150), (130, 260, 60))
    for top, left, side in places:
        scene[top : top + side, left : left + side] = face(side, side)
    scene[150:210, 100:160] = face(60, 60)
    return scene


def edges(faces: Any) -> list[Box]:
    return [Box(f.rect.top(), f.rect.right(), f.rect.bottom(), f.rect.left()) for f in faces]


# -- parity with dlib -------------------------------------------------------------------------
# Widths that leave 0 to 3 columns, and more, beside those that dlib computes by fours. No picture
# of less than 6 columns: of some, dlib writes where it should not.
SHAPES = [(80, 80), (81, 83), (100, 65), (93, 150), (161, 98), (250, 250), (40, 120), (6, 90)]


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_and_scores_of_a_drawn_face_are_dlibs(
    ours: MmodDetector, theirs: Any, shape: tuple[int, int]
) -> None:
    pixels = face(*shape)
    expected = theirs(pixels, 1)
    assert ours.find(pixels) == edges(expected)
    if shape in ((80, 80), (81, 83), (250, 250)):
        assert len(expected) == 1
    for found in expected:
        assert ours.scores(Plane(pixels)).max() == pytest.approx(found.confidence, abs=NOISE)


def test_boxes_of_many_faces_are_dlibs_in_dlibs_order(ours: MmodDetector, theirs: Any) -> None:
    expected = edges(theirs(crowd(), 1))
    assert len(expected) >= 4
    assert ours.find(crowd()) == expected


def test_boxes_of_real_pictures_are_dlibs(ours: MmodDetector, theirs: Any) -> None:
    for name, path in real_pictures().items():
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((220, 220))
        expected = edges(theirs(np.asarray(picture), 1))
        assert ours.find(np.asarray(picture)) == expected, name


def test_boxes_of_reference_pictures_are_dlibs(ours: MmodDetector, theirs: Any) -> None:
    pictures = sorted((reference_data() / "lfw").rglob("*.jpg"))
    found = 0
    for path in pictures[:: len(pictures) // 8]:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        expected = edges(theirs(pixels, 1))
        assert ours.find(pixels) == expected, path.name
        found += len(expected)
    assert found >= 8


@pytest.mark.parametrize("double", [True, False])
def test_pictures_are_resized_to_the_bit_as_dlib_does(double: bool) -> None:
    random = np.random.default_rng(6)
    sizes = [(1, 1), (1, 7), (8, 2), (300, 401), *random.integers(3, 90, (60, 2)).tolist()]
    for height, width in sizes:
        wanted = (2 * height + 1, 2 * width + 2) if double else (height * 5 // 6, width * 5 // 6)
        wanted = max(1, wanted[0]), max(1, wanted[1])
        colours = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        made = np.empty((3, *wanted), dtype=np.uint8)
        resize(colours.transpose(2, 0, 1), lambda part: part.astype(np.float32), made)
        assert np.array_equal(made.transpose(1, 2, 0), dlib.resize_image(colours, *wanted))
        values = (colours[:, :, 0].astype(np.float32) - np.float32(117.001)) / 256
        level = np.empty((3, *wanted), dtype=np.float32)
        resize(np.stack([values] * 3), lambda part: part, level)
        assert np.array_equal(level[2], dlib.resize_image(values, *wanted))


def test_levels_lie_where_dlib_puts_them() -> None:
    rows, columns, places = lay_out(501, 502)
    assert (rows, columns, len(places)) == (1856, 524, 24)
    assert places[0] == (11, 11, 512, 511)
    assert places[1] == (11, 522, 428, 938)
    assert places[-1] == (508, 538, 512, 542)
    # Too narrow for a second column, and dlib ends the first one all the same: what is below 0
    # counts as much there.
    assert lay_out(1397, 14)[:2] == (4391, 36)


# -- tiles ------------------------------------------------------------------------------------
def test_tiles_give_the_scores_of_the_whole_plane(
    ours: MmodDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (150, 170, 3), dtype=np.uint8)
    plane = Plane(noise)
    whole = ours.scores(plane)
    monkeypatch.setattr(mmod, "_COLUMNS", 9)
    monkeypatch.setattr(mmod, "_TILE", 9 * 31)
    assert np.abs(ours.scores(plane) - whole).max() < 1e-5
    assert whole.std() > 0.01


def test_a_part_of_the_plane_is_that_part_of_it() -> None:
    plane = Plane(face(60, 90))
    whole = plane.cut(slice(0, plane.rows), slice(0, plane.columns))
    assert np.array_equal(plane.cut(slice(37, 200), slice(50, 190)), whole[:, :, 37:200, 50:190])
    border = whole.copy()
    border[:, :, 11:-11, 11:-11] = 0
    assert not border.any()


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_a_large_picture_needs_little_more_than_its_pyramid() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr[-500:]


@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 5), (1, 1), (2, 2), (9, 1), (1, 9), (20, 3), (3, 300), (300, 1), (13, 13)]
)
def test_a_tiny_or_thin_picture_has_no_faces(ours: MmodDetector, shape: tuple[int, int]) -> None:
    assert ours.find(np.full((*shape, 3), 99, dtype=np.uint8)) == []


# -- boxes ------------------------------------------------------------------------------------
def test_of_boxes_that_share_much_the_best_is_kept() -> None:
    boxes = [(0, 0, 99, 99), (40, 0, 139, 99), (60, 0, 159, 99), (400, 0, 499, 99), (0, 0, 33, 99)]
    # Of the rectangle round both: 60/140 is much, 40/160 is not, and 34/100 is just enough.
    assert suppress(np.array(boxes)) == [boxes[0], boxes[2], boxes[3]]
    assert suppress(np.empty((0, 4), dtype=np.int64)) == []
    assert isinstance(suppress(np.array(boxes))[0], Rectangle)


# -- the file and the kept graph --------------------------------------------------------------
def test_another_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(model_file(FILE).read_bytes())
    data[5000] ^= 1
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(Misconfigured, match="not the model of dlib that we know"):
        load_layers(tmp_path / FILE)
    data = model_file(FILE).read_bytes()
    for other in (data[:0], data[:90], data[:200_000], data.replace(b"\x01P\x01P", b"\x01P\x01Q")):
        with pytest.raises(ValueError):  # noqa: PT011  of several kinds
            read_layers(other)


def test_layers_in_another_order_are_refused() -> None:
    layers = load_layers(model_file(FILE))
    assert len(layers) == 19
    for other in (layers[1:], layers[:-1], (*layers, Relu()), (*layers[3:6], *layers[3:])):
        with pytest.raises(ValueError, match=r"where there (should be|are)|more layers|example's"):
            build_graph(other)


def test_the_graph_is_built_once_and_again_when_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = MmodDetector().find(face(80, 80))
    (kept,) = (tmp_path / "facematch").iterdir()
    good = kept.read_bytes()
    with monkeypatch.context() as built:
        built.setattr("worker.mmod_graph.build_graph", None)
        assert MmodDetector().find(face(80, 80)) == first
    kept.write_bytes(good[: len(good) // 2])
    assert MmodDetector().find(face(80, 80)) == first
    assert kept.read_bytes() == good


# -- in the sandbox ---------------------------------------------------------------------------
def test_a_sandboxed_child_finds_the_face_of_a_large_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session is made before the fork. dlib needed over 3 GB for this one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = ChildSettings(
        encoder="onnx",
        detector="cnn",
        picture=PictureLimits(10**7, 1600, 100),
        fetch=FetchLimits(10**6, 2.0, 3),
        memory=1024**3,
        cpu_seconds=60,
    )
    buffer = io.BytesIO()
    Image.fromarray(face(1000, 1000)).save(buffer, "JPEG")
    with Sandbox(settings, lookers=2, fetchers=1) as sandbox:
        for _ in range(2):
            assert len(sandbox.look(buffer.getvalue()).crops) == 1
