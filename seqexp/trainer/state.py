"""All that a training is, as nested plain values and tensors, and back: what a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from seqexp.trainer.score import Score
from seqexp.trainer.sound import refuse_unsound
from seqexp.trainer.training import Place, Training, Updates

PROGRESS = ("epoch", "step", "best_value", "best_epoch", "best_metrics", "best_weights", "seconds")
"""Fields of a `Training` that are plain values, or tensors by name."""


def state_of(training: Training) -> dict[str, Any]:
    """The state between two reports of the loop, the generators' included; it shares memory.

    Of several processes, all have to ask for it; each has rows, and so a carry, of its own.
    """
    place = training.place
    carries = training.processes.gathered(None if place is None else place.carry)
    return {
        "model": dict(training.model.state_dict()),
        "optimizer": training.optimizer.state_dict(),
        "scheduler": training.scheduler.state_dict(),
        "progress": {name: getattr(training, name) for name in PROGRESS},
        "average": None if training.average is None else training.average.state(),
        "place": None if place is None else {**vars(place), **_sums(place), "carry": carries},
        "generators": _generators(training.device),
    }


def restore(training: Training, state: Any) -> None:
    """Bring a training of the same config to a state.

    Raises:
        UnsoundError: if it is not one of such a training; nothing was loaded then.
    """
    refuse_unsound(training, state)
    training.model.load_state_dict(state["model"])
    training.optimizer.load_state_dict(state["optimizer"])
    training.scheduler.load_state_dict(state["scheduler"])
    for name, value in state["progress"].items():
        setattr(training, name, value)
    training.thaw()
    if training.average is not None:
        training.average.restore(state["average"])
    device = training.device
    training.best_weights = {name: t.to(device) for name, t in training.best_weights.items()}
    training.place = None if state["place"] is None else _place(state["place"], training)
    _seed_generators(state["generators"])


def _sums(place: Place) -> dict[str, Any]:
    return {"total": asdict(place.total), "recent": asdict(place.recent)}


def _place(values: Mapping[str, Any], training: Training) -> Place:
    sums = {
        name: Updates(**{**values[name], "score": _score(values[name]["score"])})
        for name in ("total", "recent")
    }
    carry = values["carry"][training.processes.rank]
    moved = None if carry is None else tuple(tensor.to(training.device) for tensor in carry)
    return Place(**{**values, **sums, "carry": moved})


def _score(values: Mapping[str, Any]) -> Score:
    return Score(values["nats"], values["count"], tuple(values["extras"]))


def _generators(device: torch.device) -> dict[str, Any]:
    """Torch's; the loop seeds them by the place in training, before each pass through the model."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _seed_generators(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
