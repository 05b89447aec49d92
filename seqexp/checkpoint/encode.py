"""Nested values and tensors as named tensors and JSON, and back: a checkpoint holds no code.

Numbers keep every bit: JSON writes the shortest decimal that reads back as the same float.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TENSOR, _TUPLE, _ITEMS = "$tensor", "$tuple", "$items"


def encode(state: Any) -> tuple[dict[str, Tensor], str]:
    """Tensors by their path in `state`, and all else as JSON.

    Raises:
        TypeError: naming the path of a value that is neither a tensor nor plain.
    """
    tensors: dict[str, Tensor] = {}
    plain = _encode(state, "", tensors)
    return tensors, json.dumps(plain)


def decode(tensors: Mapping[str, Tensor], text: str) -> Any:
    """The value that `encode` was given; tensors are on the CPU."""
    return _decode(json.loads(text), tensors)


def _encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        # a copy: what shares memory is not written twice by safetensors, but refused
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        items = [(key, _encode(item, f"{path}/{key}", tensors)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
            return dict(items)
        return {_ITEMS: [[_encode(key, path, tensors), item] for key, item in items]}
    if isinstance(value, list | tuple):
        listed = [_encode(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return listed if isinstance(value, list) else {_TUPLE: listed}
    raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_decode(item, tensors) for item in value[_TUPLE])
    if _ITEMS in value:
        return {_decode(key, tensors): _decode(item, tensors) for key, item in value[_ITEMS]}
    return {key: _decode(item, tensors) for key, item in value.items()}


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal to the bit, NaN to NaN."""
    (a_tensors, a_text), (b_tensors, b_text) = encode(a), encode(b)
    if a_text != b_text or a_tensors.keys() != b_tensors.keys():
        return False
    return all(_same_bits(tensor, b_tensors[name]) for name, tensor in a_tensors.items())


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(*(t.reshape(-1).view(torch.uint8) for t in (a, b)))
