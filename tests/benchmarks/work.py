"""What all sides of a comparison train on: a configuration, data and initial weights, as arrays.

They lie in a folder, so that each side reads the same in a process of its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from seqexp.data import Data

CONF = Path(__file__).parents[2] / "conf"

CHECKED = 10
"""Updates after which the loss of the next batch has to be the same on all sides."""

PER_POSITION = ("next_token", "token_class")
"""Kinds of task with a prediction at each position."""

WITHOUT_DROPOUT = {"dropout": 0.0, "recurrent_dropout": 0.0}


@dataclass(frozen=True)
class Work:
    """A training, and how much of it is timed at a time.

    `arrays` hold the splits (`train_tokens` and so on), the batches of the check, and the initial
    weights by their names in our model. Where sequences have a context, it stands before their
    own tokens in a row.
    """

    folder: Path
    overrides: list[str]  # of our command
    config: dict[str, Any]  # what they compose
    spec: dict[str, Any]
    arrays: dict[str, np.ndarray]
    unit: Literal["epoch", "update"]
    count: int  # units timed at a time
    threads: int
    context_length: int = 0  # tokens of the context of each

    @property
    def model(self) -> dict[str, Any]:
        """The model's settings."""
        return dict(self.config["model"])

    @property
    def window(self) -> int | None:
        """Tokens of an update of a stream; None where rows are sequences."""
        return self.config["trainer"]["bptt"]["k1"] if self.config["trainer"]["bptt"] else None

    @property
    def updates(self) -> int:
        """Updates that are timed at a time."""
        rows, tokens = self.arrays["train_tokens"].shape
        if self.unit == "update":
            return self.count
        each = -(-tokens // self.window) if self.window else 1
        return self.count * each * -(-rows // self.config["trainer"]["batch_size"])

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Initial weights, by name."""
        prefix = "weights "
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    def checked(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Tokens and targets of the first updates, in their order."""
        return list(zip(self.arrays["checked_tokens"], self.arrays["checked_targets"], strict=True))

    def save(self) -> None:
        """Write all to the folder."""
        keys = ("overrides", "config", "spec", "unit", "count", "threads", "context_length")
        (self.folder / "work.json").write_text(json.dumps({k: getattr(self, k) for k in keys}))
        np.savez(self.folder / "work.npz", **self.arrays)

    @classmethod
    def read(cls, folder: Path) -> "Work":
        """What was saved."""
        told = json.loads((folder / "work.json").read_text())
        return cls(folder=folder, arrays=dict(np.load(folder / "work.npz")), **told)


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The checked configuration of a command."""
    from hydra import compose, initialize_config_dir

    from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
    from seqexp.config.check import check

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", list(overrides)))


def prepared(
    folder: Path,
    overrides: Sequence[str],
    ours: Sequence[str],
    data: "Data | None",
    unit: Literal["epoch", "update"],
    count: int,
    threads: int,
) -> Work:
    """Data (of the configuration, where none are given), their first batches and our weights.

    `ours` is what our command has beside what all sides do.
    """
    import torch

    from seqexp.build import load, parts, prepare_training
    from seqexp.seeding import stream_seed

    config = composed(overrides)
    made = parts(config, only_trains=True)
    settings = made.settings
    data = load(made) if data is None else data
    training = prepare_training(made, data, torch.device("cpu"))
    order = stream_seed(config["seed"], "order", 1)
    batches = data.train.batches(settings.batch_size, order)
    windows = (part for batch in batches for part in batch.windows(training.window))
    first = [part for part, _ in zip(windows, range(CHECKED + 1), strict=False)]
    arrays = {f"weights {name}": w.numpy() for name, w in training.model.state_dict().items()}
    for name, split in {"train": data.train, "valid": data.valid}.items():
        targets = split.targets if split.targets.is_floating_point() else split.targets.long()
        arrays[f"{name}_tokens"] = _row(split.context, split.tokens).long().numpy()
        arrays[f"{name}_targets"] = targets.numpy()
    arrays["checked_tokens"] = torch.stack([_row(p.context, p.tokens) for p in first]).numpy()
    arrays["checked_targets"] = torch.stack([part.targets for part in first]).numpy()
    told, spec = [*overrides, *ours], data.spec.to_dict()
    length = 0 if data.train.context is None else data.train.context.shape[1]
    work = Work(folder, told, config, spec, arrays, unit, count, threads, length)
    work.save()
    return work


def _row(context: "Tensor | None", tokens: "Tensor") -> "Tensor":
    """The context and the tokens of each sequence, one behind the other."""
    import torch

    return torch.cat([part for part in (context, tokens) if part is not None], dim=1)
