"""The compiled face detector finds what dlib's own does: the same boxes in the same order."""

from collections.abc import Callable

import dlib
import numpy as np
import pytest
from drawn_faces import face, noisy, scattered, sheet
from PIL import Image
from real_pictures import real_pictures, reference_data

from facematch.faces import Box, Pixels
from worker.decode import decode
from worker.finder import frontal_boxes, frontal_state
from worker.hog.boxes import suppress
from worker.hog.detector import FrontalFaceDetector, pyramid_of
from worker.hog.gradients import orientation_table
from worker.hog.pyramid import level_of
from worker.hog.weights import read_weights, single_filters
from worker.hog.window import score_window

Same = Callable[[Pixels], int]


@pytest.fixture
def same(frontal: FrontalFaceDetector) -> Same:
    """Asserts that both find the same; how many boxes that are."""
    own = frontal_boxes()

    def check(pixels: Pixels) -> int:
        theirs = own(np.ascontiguousarray(pixels))
        assert frontal(pixels) == theirs
        return len(theirs)

    return check


# -- the same boxes ---------------------------------------------------------------------------
def test_in_every_size(same: Same) -> None:
    assert sum(same(face(side)) for side in range(20, 400, 7)) > 40


def test_stretched(same: Same) -> None:
    rng = np.random.default_rng(1)
    assert sum(same(face(*map(int, rng.integers(60, 400, 2)))) for _ in range(40)) > 10


def test_cut_off(same: Same) -> None:
    rng, whole = np.random.default_rng(2), face(250)
    found = 0
    for _ in range(60):
        height, width = rng.integers(80, 251, 2)
        top, left = rng.integers(0, 251 - height), rng.integers(0, 251 - width)
        found += same(whole[top : top + height, left : left + width])
    assert found > 10


@pytest.mark.parametrize("amount", [2, 10, 25, 60])
def test_noisy(same: Same, amount: int) -> None:
    found = [same(noisy(face(120 + 13 * seed), amount, seed)) for seed in range(10)]
    assert sum(found) > 5 or amount > 25


def test_without_colour_or_contrast(same: Same) -> None:
    whole = face(230)
    grey = np.repeat(whole.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    assert same(grey) == 1
    same(255 - whole[:, ::-1])
    same(np.where(whole > 120, 255, 0).astype(np.uint8))
    for part in (0.5, 0.1, 0.03, 0.01):
        same((128 + part * (whole.astype(float) - 128)).astype(np.uint8))


def test_one_channel_alone(same: Same) -> None:
    for channel in range(3):
        only = np.zeros_like(face(200))
        only[:, :, channel] = face(200)[:, :, channel]
        assert same(only) == 1


@pytest.mark.parametrize("width", [1, 2, 3, 5, 11, 24, 31, 32, 33, 39, 40, 41, 48])
def test_tiny(same: Same, width: int) -> None:
    rng = np.random.default_rng(width)
    for height in range(1, 48):
        same(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        same(face(width, height))


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (20, 1500), (1500, 20), (40, 2000)])
def test_thin(same: Same, shape: tuple[int, int]) -> None:
    same(np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8))


@pytest.mark.parametrize("value", [0, 1, 77, 128, 255])
def test_flat(same: Same, value: int) -> None:
    assert same(np.full((201, 199, 3), value, dtype=np.uint8)) == 0


def test_repeated_and_framed(same: Same) -> None:
    for side in (61, 100, 147):
        assert same(np.tile(face(side), (2, 3, 1))) >= 6
        same(np.pad(face(side), ((7, 90), (33, 12), (0, 0)), constant_values=side))


@pytest.mark.parametrize("seed", range(8))
def test_many_over_each_other(same: Same, seed: int) -> None:
    assert same(scattered(600 + 37 * seed, 800 - 41 * seed, 50, seed)) >= 10


def test_more_than_there_is_room_for_at_first(same: Same) -> None:
    assert same(sheet(0, rows=13, columns=20)) == 260


def test_in_photographs(same: Same) -> None:
    for path in real_pictures().values():
        assert same(decode(path.read_bytes(), 10**8).pixels) >= 1


def test_in_labeled_faces_in_the_wild(same: Same) -> None:
    data = reference_data()
    names = np.load(data / "lfw-reference.npz", allow_pickle=False)["files"][::40]
    found = 0
    for name in names:
        with Image.open(data / "lfw" / name) as image:
            found += same(np.asarray(image.convert("RGB")))
    assert found >= len(names)


# -- its steps --------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(90, 90), (61, 137), (180, 47), (40, 40)])
def test_the_levels_are_dlibs_to_the_bit(
    frontal: FrontalFaceDetector, shape: tuple[int, int]
) -> None:
    before = noisy(face(*shape), 40, 1)
    sizes, pyramid = pyramid_of(before)
    for number in range(len(sizes)):
        level = level_of(pyramid, sizes, np.int64(number))
        colours = np.stack([level >> shift & 255 for shift in (0, 8, 16)], 2).astype(np.uint8)
        assert (colours == dlib.resize_image(before, *level.shape)).all()
        before = colours


def test_a_box_that_a_better_one_covers_is_dropped_and_one_beside_it_kept(
    frontal: FrontalFaceDetector,
) -> None:
    boxes = np.array([(0, 0, 99, 99), (0, 0, 9, 9), (90, 0, 189, 99), (300, 0, 309, 9)])
    over = np.array([4.0, 3.0, 2.0, 1e-5])
    kept, doubtful = suppress(boxes, over, (0.3, 0.9), 1e-4)
    assert kept.tolist() == [True, False, True, True]
    assert doubtful.tolist() == [False, False, False, True]


# -- narrow decisions -------------------------------------------------------------------------
def test_scores_near_a_decision_are_computed_again(frontal: FrontalFaceDetector) -> None:
    own, careless = frontal_boxes(), FrontalFaceDetector(frontal_state(), margin=0.0)
    sheets = [sheet(seed) for seed in range(60)]
    wrong = [pixels for pixels in sheets if careless(pixels) != frontal(pixels)]
    for pixels in wrong:
        assert frontal(pixels) == own(pixels) != careless(pixels)
    if not wrong:
        pytest.skip("on this processor the fast scores decide all of these as dlib's do")


def test_when_every_score_is_computed_again_the_boxes_are_the_same() -> None:
    careful, own = FrontalFaceDetector(frontal_state(), margin=0.05), frontal_boxes()
    for seed in range(3):
        pixels = scattered(300, 400, 12, seed)
        assert careful(pixels) == own(pixels)


def test_a_score_computed_again_is_dlibs_to_the_bit(frontal: FrontalFaceDetector) -> None:
    weights = read_weights(frontal_state())
    filters, table = single_filters(weights.planes), orientation_table()
    own = dlib.get_frontal_face_detector()
    compared = 0
    for pixels in (sheet(1, 3, 4), scattered(300, 331, 20, 4), face(97), face(203, 150)):
        sizes, pyramid = pyramid_of(pixels)
        _, scores, numbers = own.run(pixels, 1, -0.2)
        theirs = set(zip(numbers, scores, strict=True))
        ours = set()
        for number in range(len(sizes)):
            level = level_of(pyramid, sizes, np.int64(number))
            rows, columns = (level.shape[0] + 4) // 8 - 2, (level.shape[1] + 4) // 8 - 2
            for detector in set(numbers):
                threshold = weights.thresholds[detector]
                ours |= {
                    (detector, score_window(level, r, c, detector, table, filters) - threshold)
                    for r in range(rows)
                    for c in range(columns)
                }
        assert theirs <= ours
        compared += len(theirs)
    assert compared > 15


# -- what is given ----------------------------------------------------------------------------
def test_a_view_is_looked_at_as_a_copy_of_it(frontal: FrontalFaceDetector) -> None:
    large = np.repeat(face(200), 2, axis=1)
    for view in (large[:, ::2], large[20:180, 14:388:2], large[:, ::-2], large[:, ::2, ::-1]):
        assert not view.flags.c_contiguous
        assert frontal(view) == frontal(view.copy()) != []


def test_an_array_that_is_read_only_is_looked_at(frontal: FrontalFaceDetector) -> None:
    pixels = np.frombuffer(face(200).tobytes(), np.uint8).reshape(200, 200, 3)
    assert not pixels.flags.writeable
    assert len(frontal(pixels)) == 1


def test_boxes_reach_over_the_edges(frontal: FrontalFaceDetector) -> None:
    cut = [box for top in range(30, 70, 3) for box in frontal(face(180)[top:])]
    assert any(box.top < 0 for box in cut)
    assert all(isinstance(box, Box) for box in cut)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0, 3)])
def test_nothing_is_found_in_nothing(frontal: FrontalFaceDetector, shape: tuple[int]) -> None:
    assert frontal(np.zeros(shape, dtype=np.uint8)) == []


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((90, 90), dtype=np.uint8),
        np.zeros((90, 90, 4), dtype=np.uint8),
        np.zeros((1, 90, 90, 3), dtype=np.uint8),
        np.zeros((90, 90, 3), dtype=np.float32),
        np.zeros((90, 90, 3), dtype=np.int8),
    ],
)
def test_what_is_no_picture_is_refused(frontal: FrontalFaceDetector, pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        frontal(pixels)


# -- dlib's weights ---------------------------------------------------------------------------
def test_the_weights_are_of_five_detectors() -> None:
    weights = read_weights(frontal_state())
    assert weights.planes.shape == (5, 31, 10, 10)
    assert weights.thresholds.shape == (5,)
    assert all(0 < part < 1 for part in weights.most)


@pytest.mark.parametrize("place", [0, 1, 9, 13, 21])
def test_another_detector_is_refused(place: int) -> None:
    state = bytearray(frontal_state())
    state[place] ^= 3
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        read_weights(bytes(state))


@pytest.mark.parametrize("kept", [0, 5, 100, 100_000])
def test_a_state_that_ends_too_early_is_refused(kept: int) -> None:
    with pytest.raises(ValueError, match="not a detector"):
        read_weights(frontal_state()[:kept])
