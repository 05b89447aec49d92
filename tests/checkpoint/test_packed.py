"""Checkpoints that stay small, whatever is behind them."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.checkpoint import store
from seqexp.checkpoint.encode import same
from seqexp.checkpoint.folder import CHECKPOINTS, RunFolder
from seqexp.checkpoint.packed import IMAGES, pack, unpack
from seqexp.errors import InputError

ODD = (float("nan"), float("inf"), -0.0, 5e-324, 0.1 + 0.2)


def state(epochs: int, metrics: int = 40, image: int = 2000) -> dict[str, Any]:
    draw = random.Random(epochs)
    history = {
        epoch: {f"metric/number_{m}_nats": draw.random() for m in range(metrics)}
        for epoch in range(1, epochs + 1)
    }
    if epochs:
        history[1] |= {f"metric/number_{index}_nats": value for index, value in enumerate(ODD)}
        del history[1]["metric/number_7_nats"]  # not all are known of all epochs
    frames = {
        epoch: torch.frombuffer(bytearray(draw.randbytes(image)), dtype=torch.uint8)
        for epoch in range(5, epochs + 1, 5)
    }
    return {"origin": {}, "parts": {"story": {"history": history}, "show": {"frames": frames}}}


def size(folder: Path) -> int:
    return store.files(folder / CHECKPOINTS)[-1].stat().st_size


def test_a_checkpoint_grows_by_the_numbers_of_its_history_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.save(state(10))
    small = size(tmp_path)
    folder.save(state(400))
    assert size(tmp_path) - small < 1.25 * 8 * 40 * 390  # bytes of a float64, metrics, epochs


def test_a_packed_state_comes_back_to_the_bit_and_in_order(tmp_path: Path) -> None:
    given = state(20)
    folder = RunFolder(tmp_path)
    folder.save(given)
    back = folder.checkpoint({})
    assert back is not None and same(back, given)
    orders = [list(metrics) for metrics in back["parts"]["story"]["history"].values()]
    assert orders == [list(m) for m in given["parts"]["story"]["history"].values()]


@pytest.mark.parametrize(
    "history",
    [{}, {1: {}}, {1: {"a": 1.0, "b": 2.0}, 2: {"b": 1.0, "a": 2.0}}, {1: {"a": 3}}],
    ids=["empty", "no metrics", "another order", "a whole number"],
)
def test_a_history_that_is_no_table_comes_back_too(tmp_path: Path, history: Any) -> None:
    given = {"parts": {"story": {"history": history}}}
    back = unpack(pack(given, tmp_path), tmp_path)
    assert repr(back) == repr(given)


def test_an_image_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqexp.checkpoint import packed

    written: list[Path] = []
    real = packed.write_whole
    monkeypatch.setattr(packed, "write_whole", lambda f, c: written.append(f) or real(f, c))
    folder, given = RunFolder(tmp_path), state(20)
    for _ in range(3):
        folder.save(given)
    assert len(written) == len({*written}) == 4


def test_a_lost_or_altered_image_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder(tmp_path)
    folder.save(state(15))
    lost, altered, *_ = sorted((tmp_path / CHECKPOINTS / IMAGES).iterdir())
    lost.unlink()
    altered.write_bytes(b"x")
    back = folder.checkpoint({})
    assert back is not None and len(back["parts"]["show"]["frames"]) == 1
    assert caplog.text.count("is lost; the series goes on without it") == 2


def test_a_checkpoint_of_the_layout_before_is_read(tmp_path: Path) -> None:
    given = state(15)
    store.write(tmp_path / CHECKPOINTS, given)
    back = RunFolder(tmp_path).checkpoint({})
    assert back is not None and same(back, given)


@pytest.mark.parametrize("key", ["epochs", "layouts", "rows", "values"])
def test_a_table_that_is_none_is_refused_in_words(tmp_path: Path, key: str) -> None:
    packed = pack(state(3), tmp_path)
    for wrong in (torch.zeros(2), [1], None, "x", {}, [[1]]):
        table = {**packed["parts"]["story"]["history"], key: wrong}
        with pytest.raises(InputError, match="its history of metrics is damaged"):
            unpack({"parts": {"story": {"history": table}}}, tmp_path)


def test_an_image_is_not_read_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"mine")
    for name in ("../secret", "/etc/passwd", "0" * 64, 3):
        listed = {"parts": {"show": {"frames": {IMAGES: [[5, name]]}}}}
        assert unpack(listed, tmp_path)["parts"]["show"]["frames"] == {}
    with pytest.raises(InputError, match="list of images is damaged"):
        unpack({"parts": {"show": {"frames": {IMAGES: [5]}}}}, tmp_path)
