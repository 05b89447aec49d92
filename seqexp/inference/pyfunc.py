"""A saved model as MLflow loads it: raw strings in, a table out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from seqexp.inference.saved_model import SavedModel, load, output_columns
from seqexp.inference.text import encode
from seqexp.task.sequence_class import probabilities

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


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


def _texts(model_input: Any) -> list[str]:
    if hasattr(model_input, "iloc"):  # a DataFrame
        return [str(text) for text in model_input.iloc[:, 0]]
    return [model_input] if isinstance(model_input, str) else [str(text) for text in model_input]


def _load_pyfunc(path: str) -> TextModel:
    """What MLflow calls to load the model."""
    return TextModel(load(Path(path)))
