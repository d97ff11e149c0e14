"""dlib's network: read from its file, built anew, kept in a cache."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from facematch.errors import Misconfigured
from worker.dlib_graph import build_graph
from worker.dlib_layers import Add, Affine, Convolution, Dense, Pool
from worker.dlib_weights import (
    FILE,
    MODEL,
    SHA256,
    Network,
    load_weights,
    model_file,
    read_network,
)
from worker.graph_cache import load_graph
from worker.network import BATCH, OnnxNetwork, encoder_graph


@pytest.fixture(scope="module")
def network() -> Network:
    return load_weights(model_file())


@pytest.fixture(scope="module")
def graph(network: Network) -> bytes:
    return build_graph(network)


def chips(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 150, 150, 3), np.uint8)


# -- dlib's file ------------------------------------------------------------------------------
def test_the_layers_are_those_of_dlibs_example(network: Network) -> None:
    assert network.side == 150
    assert network.means == pytest.approx((122.782, 117.001, 104.298))
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    assert len(convolutions) == 29
    assert sum(isinstance(layer, Affine) for layer in network.layers) == 29
    assert sum(isinstance(layer, Add) for layer in network.layers) == 14
    assert convolutions[0].filters.shape == (32, 3, 7, 7)
    channels = [layer.filters.shape[0] for layer in convolutions]
    assert [channels.count(n) for n in (32, 64, 128, 256)] == [7, 8, 6, 8]
    assert network.layers[-2] == Pool(maximum=False, size=0, stride=1)
    assert isinstance(network.layers[-1], Dense)
    assert network.layers[-1].weights.shape == (256, 128)


def test_every_byte_of_the_file_is_accounted_for() -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        read_network(model_file().read_bytes() + b"\x01")


def test_another_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(model_file().read_bytes())
    data[5_000_000] ^= 1
    changed = tmp_path / FILE
    changed.write_bytes(data)
    with pytest.raises(Misconfigured, match="not the model of dlib that we know"):
        load_weights(changed)


@pytest.mark.parametrize("kept", [0, 100, 300, 400, 19_000, 20_000_000])
def test_a_file_that_ends_too_early_is_no_network(kept: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        read_network(model_file().read_bytes()[:kept])


def test_the_fingerprint_is_that_of_the_file() -> None:
    assert hashlib.sha256(model_file().read_bytes()).hexdigest() == SHA256
    assert f"dlib-resnet-v1-{SHA256[:16]}" == MODEL


def test_layers_in_another_order_are_refused(network: Network) -> None:
    for layers in (network.layers[1:], network.layers[:-2], (*network.layers, Add())):
        with pytest.raises(ValueError, match=r"where there should be|more layers"):
            build_graph(Network(network.means, network.side, layers))


# -- the network ------------------------------------------------------------------------------
def test_chips_of_a_batch_do_not_disturb_each_other(graph: bytes) -> None:
    ours = OnnxNetwork(graph)
    many = chips(BATCH + 3)
    together = ours.encode(many)
    assert (together.shape, together.dtype) == ((BATCH + 3, 128), np.float32)
    alone = np.concatenate([ours.encode(chip[None]) for chip in many])
    assert np.abs(together - alone).max() < 1e-6
    assert ours.encode(many[:0]).shape == (0, 128)


# -- the cache --------------------------------------------------------------------------------
class Builds:
    """Counts how often a graph is built."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return b"a graph"


def test_the_graph_is_built_once_and_kept(tmp_path: Path) -> None:
    cache, build = tmp_path / "deep" / "cache.onnx", Builds()
    assert [load_graph(cache, build) for _ in range(3)] == [b"a graph"] * 3
    assert build.count == 1
    assert [file.name for file in cache.parent.iterdir()] == ["cache.onnx"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_cache_is_built_anew(tmp_path: Path, damage: str) -> None:
    cache, build = tmp_path / "cache.onnx", Builds()
    load_graph(cache, build)
    good = cache.read_bytes()
    bad = {
        "cut": good[:-1],
        "flip": bytes([good[0] ^ 1]) + good[1:],
        "empty": b"",
        "other": b"something else altogether, and longer than a digest",
    }
    cache.write_bytes(bad[damage])
    assert load_graph(cache, build) == b"a graph"
    assert (build.count, cache.read_bytes()) == (2, good)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    build = Builds()
    assert load_graph(tmp_path / "a file" / "cache.onnx", build) == b"a graph"
    assert build.count == 1


def test_a_start_with_a_good_cache_builds_nothing(
    tmp_path: Path, graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert encoder_graph() == graph
    monkeypatch.setattr("worker.dlib_graph.build_graph", None)
    assert encoder_graph() == graph
