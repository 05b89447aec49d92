"""A trained model as a folder: weights, task and config, and no code.

`load` rebuilds it from the folder alone; MLflow calls `_load_pyfunc` for the same, to predict from
raw text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from seqexp import claims
from seqexp.config import build
from seqexp.errors import InputError
from seqexp.spec import PAD, Output, TaskSpec
from seqexp.trainer.score import probabilities
from seqexp.trust import refuse_other_code

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

OPEN_LETTERS = "NRYSWKMBDHV"
"""IUPAC codes of more than one base."""

WEIGHTS, SPEC, CONFIG = "weights.safetensors", "spec.json", "config.json"


@dataclass(frozen=True)
class SavedModel:
    """A model with what it was built from."""

    model: nn.Module
    spec: TaskSpec
    config: dict[str, Any]


def save(folder: Path, model: nn.Module, spec: TaskSpec, config: dict[str, Any]) -> None:
    """Write a model's folder; `config` is the whole composition."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / SPEC).write_text(json.dumps(spec.to_dict(), indent=2), encoding="utf-8")
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")


def load(folder: Path, trusted: Sequence[str] = ()) -> SavedModel:
    """Rebuild a model from its folder.

    A stored config is data: it may name models of seqexp, and of packages that the caller trusts,
    but never says itself whom to trust. The sizes that it names are compared with those of the
    weights first, on a model without memory.

    Raises:
        InputError: if a file is missing or damaged, or the config names anything else.
    """
    for name in (WEIGHTS, SPEC, CONFIG):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is no saved model: it has no {name}")
    spec = claims.task(claims.read_json(folder / SPEC), str(folder / SPEC))
    config = claims.read_json(folder / CONFIG)
    node = config.get("model") if isinstance(config, dict) else None
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(f"{folder / CONFIG}: is damaged: it names no model by _target_")
    refuse_other_code({"model": node}, str(folder / CONFIG), trusted)
    claims.refuse_arguments(node, str(folder / CONFIG))
    _refuse_other_weights(folder, node, spec)
    model: nn.Module = build(node, spec=spec)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:  # safetensors has its own error type for each kind of damage
        raise InputError(f"{folder / WEIGHTS}: is damaged or of another model ({error})") from error
    for name, tensor in model.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{folder / WEIGHTS}: {name} has inf or nan, which predicts nothing")
    return SavedModel(model.eval(), spec, config)


def _refuse_other_weights(folder: Path, node: Mapping[str, Any], spec: TaskSpec) -> None:
    """Compare the model that a config names with the weights that are there, before it has any."""
    claimed = claims.header(folder / WEIGHTS)
    is_ours = str(node["_target_"]).startswith("seqexp.")
    try:
        with torch.device("meta"):
            like: nn.Module = build(node, spec=spec)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    except Exception as error:
        if not is_ours:  # which may not be made for tensors without memory
            return
        raise InputError(f"{folder / CONFIG}: no model can be made of it ({error})") from error
    claims.refuse_other_weights(claimed, like.state_dict(), folder / WEIGHTS)


class TextModel:
    """A saved model that reads text: what MLflow serves."""

    def __init__(self, saved: SavedModel) -> None:
        self.saved = saved

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Probability of each output, a row a text; `model_input` is a table or list of texts.

        For NEXT_TOKEN these are the probabilities of the symbol after the text.
        """
        import pandas as pd  # half a second, which only predicting needs

        spec = self.saved.spec
        encoded = [encode(text, spec) for text in _texts(model_input)]
        rows = class_probabilities(self.saved.model, encoded)
        return pd.DataFrame(rows, columns=list(output_columns(spec)))


@torch.no_grad()
def class_probabilities(model: nn.Module, encoded: Sequence[Sequence[int]]) -> list[list[float]]:
    """What a model gives each class, of each row of token ids, at its last position.

    Rows of one length go through the model together: none is padded, which some would notice.
    """
    by_length: dict[int, list[int]] = {}
    for place, ids in enumerate(encoded):
        by_length.setdefault(len(ids), []).append(place)
    rows: list[list[float]] = [[] for _ in encoded]
    for places in by_length.values():
        logits, _ = model(torch.tensor([encoded[place] for place in places]))
        for place, row in zip(places, probabilities(logits[:, -1]).tolist(), strict=True):
            rows[place] = row
    return rows


def output_columns(spec: TaskSpec) -> tuple[str, ...]:
    """Names of the columns of a prediction."""
    if spec.output is Output.SEQUENCE_CLASS:
        return spec.output_names
    names = spec.vocabulary.symbols
    return names if len(names) == spec.num_outputs else ("padding", *names)


def encode(text: str, spec: TaskSpec) -> list[int]:
    """Token ids of raw text: letter by letter, or word by word if symbols are words.

    Where the dataset has words, as it reads them: unknown ones are `<unk>`, and the row is cut and
    padded. DNA to be classified is read as `dataset=fasta` does: U is T, and letters that leave the
    base open are padding.

    Raises:
        InputError: naming the symbol that the vocabulary lacks.
    """
    symbols = spec.vocabulary.symbols
    if spec.words is not None:
        return _encode_words(text, spec)
    pieces = list(text) if all(len(symbol) == 1 for symbol in symbols) else text.split()
    if not any(symbol.islower() for symbol in symbols):
        pieces = [piece.upper() for piece in pieces]  # acgt are the letters of ACGT
    is_dna = spec.vocabulary.is_dna and spec.output is Output.SEQUENCE_CLASS
    is_open = set(OPEN_LETTERS) if is_dna else set()
    if is_dna:
        pieces = ["T" if piece == "U" else piece for piece in pieces]
    known = {*symbols, *is_open}
    for position, piece in enumerate(pieces, start=1):
        if piece not in known:
            shown = ", ".join(symbols[:20])
            raise InputError(
                f"{text[:40]!r} has {piece!r} at position {position}; known are {shown}"
            )
    return [spec.vocabulary.ids.get(piece, PAD) for piece in pieces] or [PAD]


def _encode_words(text: str, spec: TaskSpec) -> list[int]:
    from seqexp.dataset.words import UNKNOWN, tokenize  # torchtext: for models of words only

    assert spec.words is not None and spec.length is not None
    known = spec.vocabulary.ids
    ids = [known.get(word, known[UNKNOWN]) for word in tokenize(text)]
    return spec.words.row(ids, spec.length)


def decode(tokens: Sequence[int], spec: TaskSpec) -> str:
    """The text of token ids, as `encode` reads it."""
    symbols = spec.vocabulary.symbols
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    return separator.join(spec.vocabulary.decode(tokens))


def _texts(model_input: Any) -> list[str]:
    if hasattr(model_input, "iloc"):  # a DataFrame
        return [str(text) for text in model_input.iloc[:, 0]]
    return [model_input] if isinstance(model_input, str) else [str(text) for text in model_input]


def _load_pyfunc(path: str) -> TextModel:
    """What MLflow calls to load the model."""
    return TextModel(load(Path(path)))
