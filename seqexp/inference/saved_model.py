"""A trained model as a folder: weights, task and config, and no code.

`load` rebuilds it from the folder alone; MLflow calls `_load_pyfunc` for the same, to predict from
raw text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from seqexp.config.instantiate import build
from seqexp.config.own import arguments
from seqexp.config.trust import refuse_other_code
from seqexp.errors import InputError
from seqexp.inference import claims, seen, temperature
from seqexp.inference.seen import Seen
from seqexp.inference.temperature import Temperature
from seqexp.model.weightless import weightless
from seqexp.spec import SizedByData, TaskSpec
from seqexp.utils.files import read_json
from seqexp.utils.old_names import with_new_targets

KEY_BYTES = 8
"""Of each key of a part that is sized by data."""

WEIGHTS, SPEC, CONFIG = "weights.safetensors", "spec.json", "config.json"


@dataclass(frozen=True)
class SavedModel:
    """A model with what it was built from.

    Args:
        model: that predicts.
        spec: of the dataset.
        config: the whole composition.
        temperature: that validation has fitted.
        seen: what the sequences of its training were like.
        divided_by: by what logits are divided when it is asked: 1, or the temperature.
        strands: of DNA that it is asked about.
    """

    model: nn.Module
    spec: TaskSpec
    config: dict[str, Any]
    temperature: Temperature = Temperature()
    seen: Seen = Seen()
    divided_by: float = 1.0
    strands: Literal["one", "both"] = "one"

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The configuration of the dataset that it was trained on; empty where there is none."""
        found = self.config.get("dataset")
        return found if isinstance(found, dict) else {}


def save(
    folder: Path,
    model: nn.Module,
    spec: TaskSpec,
    config: dict[str, Any],
    fitted: Temperature | None = None,
    known: Seen | None = None,
) -> None:
    """Write a model's folder; `config` is the whole composition, `fitted` its temperature, `known`
    what it was trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / SPEC).write_text(json.dumps(spec.to_dict(), indent=2), encoding="utf-8")
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    if fitted is not None:
        temperature.write(folder, fitted)
    if known is not None:
        seen.write(folder, known)


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
    spec = claims.task(read_json(folder / SPEC), str(folder / SPEC))
    config = with_new_targets(read_json(folder / CONFIG))
    node = config.get("model") if isinstance(config, dict) else None
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(f"{folder / CONFIG}: is damaged: it names no model by _target_")
    node = arguments("model", node)
    refuse_other_code({"model": node}, str(folder / CONFIG), trusted)
    claims.refuse_arguments(node, str(folder / CONFIG))
    claimed = _refuse_other_weights(folder, node, spec, trusted)
    model: nn.Module = made("model", node, str(folder / CONFIG), trusted, spec=spec)
    _make_room(model, claimed, folder / WEIGHTS)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:  # safetensors has its own error type for each kind of damage
        raise InputError(f"{folder / WEIGHTS}: is damaged or of another model ({error})") from error
    for name, tensor in model.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{folder / WEIGHTS}: {name} has inf or nan, which predicts nothing")
    return SavedModel(model.eval(), spec, config, temperature.read(folder), seen.read(folder))


def made(
    group: str, node: Mapping[str, Any], source: str, trusted: Sequence[str], **supplied: Any
) -> Any:
    """The object that a group of a stored config describes.

    Raises:
        InputError: if it is neither of seqexp nor of a trusted package; nothing was imported.
    """
    refuse_other_code({group: node}, source, trusted)
    return build(node, **supplied)


def _make_room(model: nn.Module, claimed: claims.Claimed, file: Path) -> None:
    """Give parts whose size the training data told that of the weights that are in a file.

    One that claims more rows than the file has bytes for gets no room, and is refused later.
    """
    most = file.stat().st_size // KEY_BYTES
    for name, part in model.named_modules():
        _, shape = claimed.get(f"{name}.keys" if name else "keys", ("", []))
        rows = shape[0] if len(shape) == 1 else None
        if isinstance(part, SizedByData) and isinstance(rows, int) and 0 <= rows <= most:
            part.resize(rows)


def _refuse_other_weights(
    folder: Path, node: Mapping[str, Any], spec: TaskSpec, trusted: Sequence[str]
) -> claims.Claimed:
    """Compare the model that a config names with the weights that are there, before it has any.

    Returns their types and shapes.
    """
    claimed = claims.header(folder / WEIGHTS)
    is_ours = str(node["_target_"]).startswith("seqexp.")
    try:
        with weightless():
            like: nn.Module = made("model", node, str(folder / CONFIG), trusted, spec=spec)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    except Exception as error:
        if not is_ours:  # which may not be made for tensors without memory
            return claimed
        raise InputError(f"{folder / CONFIG}: no model can be made of it ({error})") from error
    _make_room(like, claimed, folder / WEIGHTS)
    claims.refuse_other_weights(claimed, like.state_dict(), folder / WEIGHTS)
    return claimed
