"""What a stored model says of itself, looked at before any memory is taken for it.

Its files may be anybody's: sizes that a config names are compared with those of the weights that
are there, and a task's values with their ranges.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.config.check import value_faults
from seqexp.config.groups import SUPPLIED
from seqexp.config.signature import TargetError, signature
from seqexp.config.trust import TARGET
from seqexp.errors import InputError
from seqexp.spec import Output, TaskSpec
from seqexp.utils.files import parsed

MAX_HEADER = 100_000_000
"""Bytes of the header of a safetensors file, as that format has it."""

MAX_SYMBOLS = 2**24

MAX_LENGTH = 10**7
"""Tokens of a sequence, where all have the same number."""

OPTIONAL = ("words", "features", "context", "scoring")
"""Keys of a task that need not be there."""

NAMES_OF_KINDS = frozenset(
    name for kind in Output for name in (kind.value, kind.value.replace("_", "-"))
)
"""With those of before, which had a hyphen."""

ENGLISH, UNITS = "english", ("letters", "words", "characters", "pieces")
"""What words may be, as `WordEncoding` has it; all but the first label positions."""

WORDS_KEYS = {"truncate", "pad", "unit", "lower"}

UNKNOWN = "<unk>"
"""Stands for a word that the vocabulary lacks."""

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types of numbers, and their names in a safetensors file."""

Claimed = dict[str, tuple[str, list[int]]]
"""Type and shape of tensors by name."""


# --- what a run has left ------------------------------------------------------------------------


def result(values: Any) -> dict[str, Any] | None:
    """What a run has left of itself, if it is of the form that is drawn and compared; else None."""
    if not isinstance(values, dict):
        return None
    history, flows = values.get("history", {}), values.get("gradient_flow", [])
    are_epochs = isinstance(history, dict) and all(
        epoch.isascii() and epoch.isdigit() and len(epoch) < 10 and _are_metrics(metrics)
        for epoch, metrics in history.items()
    )
    are_flows = isinstance(flows, list) and all(
        isinstance(flow, dict)
        and type(flow.get("epoch")) is int
        and isinstance(flow.get("log10_relative"), list)
        and all(map(_is_number, flow["log10_relative"]))
        for flow in flows
    )
    return values if are_epochs and are_flows else None


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


# --- the task ---------------------------------------------------------------------------------


def task(values: Any, source: str) -> TaskSpec:
    """The task that a stored model is for.

    Raises:
        InputError: naming the key that is missing, of another type or out of range.
    """
    if not isinstance(values, dict):
        raise InputError(f"{source}: is damaged: {_shown(values)} is no mapping")
    keys = ("vocabulary", "num_outputs", "output", "output_names", "length")
    for key in keys:
        if key not in values:
            raise InputError(f"{source}: is damaged: it has no {key}")
    for key in values:
        if key not in (*keys, *OPTIONAL):
            raise InputError(f"{source}: is damaged: {_shown(key)} is no key of a task")

    def refuse(key: str, expected: str) -> InputError:
        return InputError(f"{source}: {key} is {_shown(values[key])}; expected is {expected}")

    symbols, names, count = values["vocabulary"], values["output_names"], values["num_outputs"]
    has_features = "features" in values
    if not _are_texts(symbols) or not (has_features or 1 <= len(symbols) <= MAX_SYMBOLS):
        raise refuse("vocabulary", f"a list of 1 to {MAX_SYMBOLS:,} texts")
    if len(set(symbols)) != len(symbols) or "" in symbols or (has_features and symbols):
        raise refuse("vocabulary", "texts, none of them empty or twice; none beside features")
    kind = _kind(values["output"])
    if kind is None:
        raise refuse("output", " or ".join(output.value for output in Output))
    if type(count) is not int or not 1 <= count <= MAX_SYMBOLS:
        raise refuse("num_outputs", f"an integer from 1 to {MAX_SYMBOLS:,}")
    wanted = max(2, count) if kind is Output.SEQUENCE_CLASS else count
    if not _are_texts(names) or (kind is not Output.NEXT_TOKEN and len(names) != wanted):
        raise refuse("output_names", f"a list of {wanted if not kind.causal else ''} texts")
    if kind is Output.NEXT_TOKEN and count not in (len(symbols), len(symbols) + 1):
        raise refuse("num_outputs", f"{len(symbols) + 1:,}, of the symbols and padding")
    for key in ("features", "context"):
        if key in values and not _is_input(values[key], key == "context"):
            raise refuse(key, "a size from 1 and as many names, or none; or a vocabulary")
    if "scoring" in values and not _is_scoring(values["scoring"], len(names), count):
        raise refuse("scoring", "a loss, and a scale or class weights of as many finite numbers")
    length = values["length"]
    if length is not None and (type(length) is not int or not 1 <= length <= MAX_LENGTH):
        raise refuse("length", f"null or an integer from 1 to {MAX_LENGTH:,}")
    if "words" in values and not _are_words(values["words"], length, symbols):
        raise refuse(
            "words",
            "truncate (head, tail) and pad (left, right), a length, or a unit"
            f" ({', '.join(UNITS)}), and lower",
        )
    return TaskSpec.from_dict(values)


def _kind(value: Any) -> Output | None:
    """The kind of a name, an old one too."""
    return Output(value) if isinstance(value, str) and value in NAMES_OF_KINDS else None


def _is_input(value: Any, may_be_tokens: bool) -> bool:
    if not isinstance(value, dict):
        return False
    if may_be_tokens and value.keys() == {"vocabulary"}:
        symbols = value["vocabulary"]
        are_texts = _are_texts(symbols) and 1 <= len(symbols) <= MAX_SYMBOLS
        return are_texts and len(set(symbols)) == len(symbols) and "" not in symbols
    if value.keys() - {"scale", "by_sequence"} != {"size", "names"}:
        return False
    if value.get("by_sequence", True) is not True:
        return False
    size, names = value["size"], value["names"]
    is_size = type(size) is int and 1 <= size <= MAX_SYMBOLS
    is_scaled = "scale" not in value or (is_size and _is_scale(value["scale"], size))
    return is_size and _are_texts(names) and len(names) in (0, size) and is_scaled


def _is_scoring(value: Any, num_names: int, num_outputs: int) -> bool:
    if not isinstance(value, dict) or value.keys() != {"loss", "scale", "class_weights"}:
        return False
    scale, weights = value["scale"], value["class_weights"]
    loss = value["loss"]
    is_own = isinstance(loss, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", loss)
    if loss not in ("gaussian", "huber", "poisson") and not is_own:  # own ones are only named
        return False
    if weights is not None and not _are_numbers(weights, num_names, above_zero=True):
        return False
    return scale is None or _is_scale(scale, num_outputs)


def _is_scale(value: Any, count: int) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"mean", "deviation"}
        and _are_numbers(value["mean"], count)
        and _are_numbers(value["deviation"], count, above_zero=True)
    )


def _are_numbers(value: Any, count: int, above_zero: bool = False) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(_is_number(item) and math.isfinite(item) for item in value)
        and not (above_zero and any(item <= 0 for item in value))
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_words(words: Any, length: int | None, symbols: Sequence[str]) -> bool:
    """Whether this is an encoding of words; texts of English words have all one length."""
    if not isinstance(words, dict) or not {"truncate", "pad"} <= words.keys() <= WORDS_KEYS:
        return False
    unit, lower = words.get("unit", ENGLISH), words.get("lower", False)
    return (
        words["truncate"] in ("head", "tail")
        and words["pad"] in ("left", "right")
        and isinstance(unit, str)
        and unit in (ENGLISH, *UNITS)
        and isinstance(lower, bool)
        and (length is not None or unit != ENGLISH)
        and (UNKNOWN in symbols or unit == "letters")
    )


def _shown(value: Any) -> str:
    if isinstance(value, list | dict) and len(value) > 4:
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value):,}"
    return repr(value)[:80]


# --- the model --------------------------------------------------------------------------------


def refuse_arguments(node: Mapping[str, Any], source: str) -> None:
    """Refuse arguments of a model that its constructor does not have, or not in this range.

    Raises:
        InputError: with all of them.
    """
    try:
        found = signature(node[TARGET])
    except TargetError as error:
        raise InputError(f"{source}: model.{TARGET} is {node[TARGET]!r}: {error}") from error
    known = {k: p for k, p in found.parameters.items() if k not in SUPPLIED["model"]}
    faults: list[str] = []
    for name, value in node.items():
        if name == TARGET or (isinstance(value, Mapping) and TARGET in value):
            continue
        if name in known:
            faults += value_faults(f"model.{name}", value, known[name].annotation)
        elif not found.takes_any:
            faults.append(f"model.{name}: unknown; known are {', '.join(known)}")
    faults += [f"model.{k}: missing" for k, p in known.items() if p.required and k not in node]
    if faults:
        raise InputError("\n  ".join([f"{source}: is damaged", *(f[:500] for f in faults)]))


def header(file: Path) -> Claimed:
    """Type and shape of each tensor of a safetensors file, whose numbers are not read.

    Raises:
        InputError: if the file is none, or says more than it holds.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8).ljust(8, b"\xff"))
            if length > min(MAX_HEADER, size - 8):
                raise InputError(f"{file}: is damaged: its header would have {length:,} bytes")
            text = opened.read(length).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: is damaged ({error})") from error
    found = parsed(text, str(file))
    if not isinstance(found, dict):
        raise InputError(f"{file}: is damaged: its header is no mapping")
    claimed: Claimed = {}
    for name, told in found.items():
        if name == "__metadata__":
            continue
        if not isinstance(told, dict) or not isinstance(told.get("shape"), list):
            raise InputError(f"{file}: is damaged: {_shown(name)} has no shape")
        claimed[name] = (str(told.get("dtype")), told["shape"])
    return claimed


def refuse_other_weights(claimed: Claimed, expected: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights that are not those of a model, by their names, shapes and types.

    Raises:
        InputError: naming the first that differs.
    """
    for name, tensor in expected.items():
        wanted = (DTYPES.get(tensor.dtype, str(tensor.dtype)), list(tensor.shape))
        if name not in claimed:
            raise InputError(f"{file}: is damaged or of another model: it has no {name}")
        if claimed[name] != wanted:
            (dtype, shape), (other, size) = claimed[name], wanted
            raise InputError(
                f"{file}: is damaged or of another model: {name} is {dtype} of {shape}, and the"
                f" model of its config has {other} of {size}"
            )
    for name in claimed:
        if name not in expected:
            raise InputError(
                f"{file}: is damaged or of another model: the model of its config has no"
                f" {name[:100]}"
            )
