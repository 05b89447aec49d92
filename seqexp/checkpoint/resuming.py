"""Whether what parts of a run remembered fits them; `trainer.sound` is the same of its training."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqexp.trainer.sound import MOST, UnsoundError, number, numbers, whole, with_keys

KERNELS = (None, "compiled", "compiled-bf16", "python", "reference", "fused")


def refuse_unsound_parts(state: Any, fresh: Mapping[str, Mapping[str, Any]], epochs: int) -> None:
    """Refuse a checkpoint whose parts are not of the kind that fresh ones have.

    Args:
        state: of a checkpoint.
        fresh: of each part, its state before it has seen anything.
        epochs: of the run, at most.

    Raises:
        UnsoundError: with the key, its value and what is expected.
    """
    whole_state = with_keys("the checkpoint", state, ("origin", "mark", "training", "parts"))
    whole("mark", whole_state["mark"])
    parts = with_keys("parts", whole_state["parts"], tuple(fresh))
    for name, like in fresh.items():
        for key, value in with_keys(f"parts/{name}", parts[name], tuple(like)).items():
            path = f"parts/{name}/{key}"
            _KINDS.get(key, _any)(path, value, epochs)


def _any(path: str, value: Any, epochs: int) -> None:
    """Accept the value of a part that is not known here."""


def _listed(path: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UnsoundError(path, value, "a list")
    return value


def _stepwise(path: str, value: Any, epochs: int) -> None:
    if value not in KERNELS:
        raise UnsoundError(path, value, f"one of {', '.join(map(str, KERNELS))}")


def _text(path: str, value: Any) -> None:
    if not isinstance(value, str):
        raise UnsoundError(path, value, "a text")


def _run_id(path: str, value: Any, epochs: int) -> None:
    if value is not None:
        _text(path, value)


def _pages(path: str, value: Any, epochs: int) -> None:
    for index, page in enumerate(_listed(path, value)):
        _text(f"{path}/{index}", page)


def _by_epoch(path: str, value: Any, epochs: int) -> dict[int, Any]:
    if not isinstance(value, dict):
        raise UnsoundError(path, value, "a mapping by epoch")
    for epoch in value:
        whole(f"{path} (an epoch)", epoch, 0, epochs)
    return value


def _frames(path: str, value: Any, epochs: int) -> None:
    for epoch, image in _by_epoch(path, value, epochs).items():
        if not isinstance(image, Tensor) or image.dim() != 1 or image.dtype != torch.uint8:
            raise UnsoundError(f"{path}/{epoch}", image, "the bytes of an image")


def _history(path: str, value: Any, epochs: int) -> None:
    for epoch, metrics in _by_epoch(path, value, epochs).items():
        numbers(f"{path}/{epoch}", metrics)


def _updates(path: str, value: Any, epochs: int) -> None:
    for index, row in enumerate(_listed(path, value)):
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise UnsoundError(f"{path}/{index}", row, "an update and two norms")
        whole(f"{path}/{index}/0", row[0], 0, MOST)
        number(f"{path}/{index}/1", row[1], 0.0)
        number(f"{path}/{index}/2", row[2], 0.0)


def _flows(path: str, value: Any, epochs: int) -> None:
    """Measurements of one model on one sample: all have the same form, and hold numbers."""
    for index, flow in enumerate(_listed(path, value)):
        place = f"{path}/{index}"
        with_keys(place, flow, ("epoch", "layers"))
        whole(f"{place}/epoch", flow["epoch"], 0, epochs)
        if not _listed(f"{place}/layers", flow["layers"]):
            raise UnsoundError(f"{place}/layers", [], "a layer or more")
        for layer in flow["layers"]:
            with_keys(f"{place}/layers", layer, ("norms", "singular_values", "gates", "saturated"))
            norms = with_keys(f"{place}/layers/norms", layer["norms"], None)
            lengths = {len(_listed(f"{place}/norms", row)) for row in norms.values()}
            if "h" not in norms or len(lengths) != 1:
                raise UnsoundError(f"{place}/layers/norms", norms, "lists of one length, of h too")
        if _form(flow) != _form(value[0]):
            raise UnsoundError(place, flow, "the form that the first one has")


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_form(item) for item in value]
    return type(value) in (int, float) or type(value)


_KINDS: dict[str, Callable[[str, Any, int], object]] = {
    "stepwise": _stepwise,
    "run_id": _run_id,
    "metrics": lambda path, value, epochs: numbers(path, value),
    "history": _history,
    "seconds": lambda path, value, epochs: number(path, value, 0.0),
    "pages": _pages,
    "frames": _frames,
    "flows": _flows,
    "updates": _updates,
}
