"""Whether a state that was saved fits a training: looked at whole, before any of it is loaded.

PyTorch takes what an optimizer's state holds as it is, and fused and compiled steps go by its sizes
alone: moments of another shape would have them read and write memory that is not theirs. So each
tensor has to have the name, shape and type of a fresh one, and each number its range.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqexp.kernels import lazy_adam_rows as rows
from seqexp.spec import Features, Input, Output, first_carry
from seqexp.task.base import Task
from seqexp.trainer.training import Training, Updates

SCHEDULED = ("lr", "momentum", "betas")
"""Options of an optimizer that a schedule of PyTorch's may change."""

MOST = 2**53
"""No counter gets so far."""

_OURS = ("torch.optim", "seqexp.")


class UnsoundError(ValueError):
    """What a state holds that does not fit: its path, what it is and what is expected."""

    def __init__(self, path: str, found: Any, expected: str) -> None:
        super().__init__(f"{path} is {shown(found)}; expected is {expected}")


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {list(value.shape)}"
    if isinstance(value, dict | list | tuple) and len(value) > 4:
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:80]


def refuse_unsound(training: Training, state: Any) -> None:
    """Refuse a state of `state_of` that is not one of a training like this one.

    Raises:
        UnsoundError: with the key, its value and what is expected.
    """
    keys = ("model", "optimizer", "scheduler", "progress", "average", "place", "generators")
    found = with_keys("training", state, keys)
    weights = training.model.state_dict()
    tensors("model", found["model"], weights)
    progress = with_keys("progress", found["progress"], None)
    _progress(progress, training, weights)
    _optimizer(found["optimizer"], training.optimizer, progress["step"])
    _scheduler("scheduler", found["scheduler"], training.scheduler.state_dict(), progress["step"])
    _average(found["average"], training, progress)
    _place(found["place"], training, progress["epoch"])
    _generators(found["generators"], training.device)


# --- plain values -----------------------------------------------------------------------------


def with_keys(path: str, value: Any, keys: Sequence[str] | None) -> dict[str, Any]:
    """A dict with exactly these keys; None are any, all of them texts."""
    if not isinstance(value, dict):
        raise UnsoundError(path, value, "a mapping")
    for key in value if keys is None else keys:
        if key not in value or not isinstance(key, str):
            raise UnsoundError(path, list(value), f"a mapping with {', '.join(keys or ['texts'])}")
    if keys is not None and len(value) != len(keys):
        other = next(key for key in value if key not in keys)
        raise UnsoundError(f"{path}/{other}", value[other], "no such key")
    return value


def whole(path: str, value: Any, low: int = 0, high: int = MOST) -> int:
    """An integer in a range."""
    if type(value) is not int or not low <= value <= high:
        most = f" to {high}" if high < MOST else ""
        raise UnsoundError(path, value, f"an integer from {low}{most}")
    return value


def number(path: str, value: Any, low: float = -math.inf, finite: bool = True) -> float:
    """A number, an integer among them."""
    is_number = type(value) in (int, float) and not (type(value) is int and abs(value) > MOST)
    if not is_number or value < low or (finite and not math.isfinite(value)):
        least = f" of at least {low:g}" if low > -math.inf else ""
        raise UnsoundError(path, value, f"a {'finite ' if finite else ''}number{least}")
    return float(value)


def numbers(path: str, value: Any) -> None:
    """Numbers by name, as metrics are."""
    for name, item in with_keys(path, value, None).items():
        number(f"{path}/{name}", item, finite=False)


def _progress(found: dict[str, Any], training: Training, weights: Mapping[str, Tensor]) -> None:
    keys = ("epoch", "step", "best_value", "best_epoch", "best_metrics", "best_weights", "seconds")
    with_keys("progress", found, keys)
    epoch = whole("progress/epoch", found["epoch"], 0, training.settings.epochs)
    most = MOST
    if training.extent is not None:
        batches, time = training.extent
        most = epoch * batches * -(-time // min(training.window or time, time))
    whole("progress/step", found["step"], 0, most)
    whole("progress/best_epoch", found["best_epoch"], 0, epoch)
    if found["best_value"] is not None:
        number("progress/best_value", found["best_value"])
    numbers("progress/best_metrics", found["best_metrics"])
    number("progress/seconds", found["seconds"], 0.0)
    if found["best_weights"] != {}:
        tensors("progress/best_weights", found["best_weights"], weights)


def _place(found: Any, training: Training, epoch: int) -> None:
    if found is None:
        return
    keys = ("batch", "token", "start", "carry", "total", "recent", "seconds")
    with_keys("place", found, keys)
    whole("place (the epoch in progress)", epoch, 1)
    batches, time = training.extent or (MOST, MOST)
    batch = whole("place/batch", found["batch"], 0, batches)
    token = whole("place/token", found["token"], 0, time if batch < batches else 0)
    whole("place/start", found["start"], 0, token)
    number("place/seconds", found["seconds"], 0.0)
    for name in ("total", "recent"):
        _updates(f"place/{name}", found[name], _num_extras(training.task))
    carries, count = found["carry"], training.processes.count
    if not isinstance(carries, list | tuple) or len(carries) != count:
        raise UnsoundError("place/carry", carries, f"a list of {count}")
    for rank, carry in enumerate(carries):
        if carry is not None:
            _carry(f"place/carry/{rank}", carry, training)


def _average(found: Any, training: Training, progress: dict[str, Any]) -> None:
    if training.average is None:
        if found is not None:
            raise UnsoundError("average", found, "none")
        return
    values = with_keys("average", found, ("count", "weights"))
    most = progress["step"] if training.average.kind == "ema" else progress["epoch"]
    whole("average/count", values["count"], 0, most)
    tensors("average/weights", values["weights"], training.average.weights)


def _num_extras(task: Task) -> int:
    """How many sums the kind has beside nats and count."""
    size = 1 if task.spec.per_position else task.spec.num_outputs
    if task.spec.output is Output.SEQUENCE_CLASS:
        size = 1
    targets = torch.zeros(1, size, dtype=task.target_type)
    return len(task.extras(torch.zeros(1, 1, task.spec.num_outputs), targets))


def _updates(path: str, found: Any, num_extras: int) -> None:
    fresh = asdict(Updates())
    values = with_keys(path, found, tuple(fresh))
    score = with_keys(f"{path}/score", values["score"], tuple(fresh["score"]))
    for place, part, like in ((path, values, fresh), (f"{path}/score", score, fresh["score"])):
        for name, value in like.items():
            if type(value) is int:
                whole(f"{place}/{name}", part[name])
            elif type(value) is float:
                number(f"{place}/{name}", part[name], 0.0 if place == path else -math.inf)
    extras = score["extras"]
    if not isinstance(extras, list | tuple) or len(extras) not in (0, num_extras):
        raise UnsoundError(f"{path}/score/extras", extras, f"none or {num_extras} numbers")
    for index, value in enumerate(extras):
        number(f"{path}/score/extras/{index}", value)


# --- tensors ----------------------------------------------------------------------------------


def tensor(path: str, found: Any, like: Tensor, finite: bool = False) -> None:
    """One of the shape and type of another; with `finite`, of numbers that are."""
    if not isinstance(found, Tensor) or found.shape != like.shape or found.dtype != like.dtype:
        raise UnsoundError(path, found, shown(like))
    if finite and found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise UnsoundError(path, f"{shown(found)} with inf or nan", "finite numbers")


def tensors(path: str, found: Any, like: Mapping[str, Tensor]) -> None:
    """Weights by name, which are finite where fresh ones are."""
    for name, value in with_keys(path, found, tuple(like)).items():
        tensor(f"{path}/{name}", value, like[name], bool(torch.isfinite(like[name]).all()))


def _carry(path: str, found: Any, training: Training) -> None:
    """The state of a batch's rows, as the model gives it for as many."""
    most = training.settings.batch_size
    if not isinstance(found, list | tuple) or not all(isinstance(item, Tensor) for item in found):
        raise UnsoundError(path, found, "tensors")
    if not found:
        return
    count = found[0].shape[0] if found[0].dim() else 0
    if not 1 <= count <= most:
        raise UnsoundError(f"{path}/0", found[0], f"a tensor of 1 to {most} rows")
    expected = _carry_of(training, count, 2)
    if len(found) != len(expected):
        raise UnsoundError(path, found, f"{len(expected)} tensors")
    others = expected if training.task.spec.context is None else _carry_of(training, count, 3)
    for index, (item, like, other) in enumerate(zip(found, expected, others, strict=True)):
        if like.shape != other.shape and item.dim() == like.dim():  # as long as the context
            sizes = zip(item.shape, like.shape, other.shape, strict=True)
            like = like.new_empty([own if a != b else a for own, a, b in sizes])
        tensor(f"{path}/{index}", item, like, finite=True)
        if not like.is_floating_point() and not bool(((item >= 0) & (item < MOST)).all()):
            raise UnsoundError(f"{path}/{index}", "out of range", f"numbers of tokens below {MOST}")


@torch.no_grad()
def _carry_of(training: Training, rows: int, context: int) -> tuple[Tensor, ...]:
    """What the model remembers of one token in so many rows, after a context of some tokens."""
    training.model.eval()
    is_bf16, spec = training.settings.precision == "bf16", training.task.spec
    with torch.autocast(training.device.type, torch.bfloat16, enabled=is_bf16):
        read = None if spec.context is None else _ones(spec.context, rows, context, training)
        carry = first_carry(training.model, read)
        return training.model(_ones(spec.input, rows, 1, training), carry)[1]


def _ones(made_of: Input, rows: int, time: int, training: Training) -> Tensor:
    if isinstance(made_of, Features):
        return torch.ones(rows, time, made_of.size, device=training.device)
    return torch.ones(rows, time, dtype=torch.int64, device=training.device)


def _generators(found: Any, device: torch.device) -> None:
    like = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        like["cuda"] = torch.cuda.get_rng_state(device)
    for name, state in with_keys("generators", found, tuple(like)).items():
        tensor(f"generators/{name}", state, like[name])
        try:
            torch.Generator(name).set_state(state)
        except RuntimeError as error:
            raise UnsoundError(f"generators/{name}", "no state", str(error)) from error


# --- the optimizer ----------------------------------------------------------------------------


def _optimizer(found: Any, optimizer: Optimizer, step: int) -> None:
    fresh = optimizer.state_dict()
    values = with_keys("optimizer", found, ("state", "param_groups"))
    groups, like = values["param_groups"], fresh["param_groups"]
    is_known = type(optimizer).__module__.startswith(_OURS)
    if not isinstance(groups, list) or len(groups) != len(like):
        raise UnsoundError("optimizer/param_groups", groups, f"a list of {len(like)}")
    for index, (group, expected) in enumerate(zip(groups, like, strict=True)):
        path = f"optimizer/param_groups/{index}"
        for name, value in with_keys(path, group, tuple(expected)).items():
            _option(f"{path}/{name}", name, value, expected[name], is_known)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = values["state"]
    if not isinstance(states, dict) or not all(
        type(key) is int and 0 <= key < len(parameters) for key in states
    ):
        keys = list(states) if isinstance(states, dict) else states
        raise UnsoundError("optimizer/state", keys, f"mappings by number below {len(parameters)}")
    stepped = _stepped(optimizer, parameters)
    if step > 0 and not states and any(stepped):
        raise UnsoundError("optimizer/state", states, f"a state after {step} steps")
    for key, state in states.items():
        path = f"optimizer/state/{key}"
        if isinstance(state, dict) and "missed" in optimizer.state.get(parameters[key], {}):
            _lazy(path, state, optimizer.state[parameters[key]], step)
        else:
            _moments(path, state, stepped[key], parameters[key], step, is_known)


def _option(path: str, name: str, value: Any, like: Any, is_known: bool) -> None:
    """A schedule may change some, an optimizer that is not PyTorch's any of its numbers."""
    if name in SCHEDULED and type(like) in (int, float):
        number(path, value, 0.0)
    elif name in SCHEDULED and isinstance(like, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(like):
            raise UnsoundError(path, value, f"{len(like)} numbers")
        for item in value:
            if number(path, item, 0.0) >= 1 and item not in like:
                raise UnsoundError(path, value, "numbers below 1")
    elif isinstance(like, Tensor):
        tensor(path, value, like, finite=True)
    elif not is_known and type(like) in (int, float):
        number(path, value, finite=False)
    elif value != like and not (is_known and _as_tuple(value) == _as_tuple(like)):
        raise UnsoundError(path, value, shown(like))


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _stepped(optimizer: Optimizer, parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """What a fresh optimizer holds of each parameter after a step on gradients of zeros.

    A copy of it makes the step, of tensors without memory where it can.
    """
    made = {number: dict(optimizer.state.get(p, {})) for number, p in enumerate(parameters)}
    for device in ("meta", "cpu"):
        try:
            found = _step_of_copy(optimizer, parameters, device)
        except Exception:  # what an optimizer of others does with such tensors is its own affair
            continue
        return [made[number] or state for number, state in enumerate(found)]
    return list(made.values())


def _step_of_copy(
    optimizer: Optimizer, parameters: Sequence[Tensor], device: str
) -> list[dict[str, Any]]:
    copies = [nn.Parameter(torch.zeros_like(p, device=device)) for p in parameters]
    memo: dict[int, Any] = {id(p): copied for p, copied in zip(parameters, copies, strict=True)}
    empty: dict[Any, Any] = type(optimizer.state)(dict)
    memo[id(optimizer.state)] = empty
    other = copy.deepcopy(optimizer, memo)
    for group in other.param_groups:
        for name in ("fused", "foreach", "capturable"):
            if name in group:
                group[name] = False
    for original, copied in zip(parameters, copies, strict=True):
        if original.requires_grad and not optimizer.state.get(original):
            copied.grad = torch.zeros_like(copied)
    other.step()
    return [dict(empty.get(copied, {})) for copied in copies]


def _moments(
    path: str,
    found: Any,
    like: Mapping[str, Any],
    parameter: Tensor,
    step: int,
    is_known: bool,
) -> None:
    """The state of a parameter, which may have more than a fresh one if others defined it."""
    exact = tuple(like) if is_known else None
    for name, value in with_keys(path, found, exact).items():
        place, expected = f"{path}/{name}", like.get(name)
        if isinstance(value, Tensor):
            shapes = [parameter.shape, torch.Size([])]
            if name in like or value.shape not in shapes:
                wanted = expected if isinstance(expected, Tensor) else parameter
                tensor(place, value, wanted)
            if value.is_floating_point() and bool(torch.isnan(value).any()):
                raise UnsoundError(place, f"{shown(value)} with nan", "numbers")
        elif isinstance(expected, Tensor):
            raise UnsoundError(place, value, shown(expected))
        elif type(value) in (int, float):
            number(place, value, finite=False)
        elif is_known and value != expected:
            raise UnsoundError(place, value, shown(expected))
        if name == "step":
            _step(place, value, step)


def _step(path: str, value: Any, most: int) -> None:
    """How often a parameter was stepped."""
    found = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if type(found) not in (int, float) or not 0 <= found <= most or found != int(found):
        raise UnsoundError(path, found, f"a number of steps up to {most}")


def _lazy(path: str, found: dict[str, Any], like: rows.State, step: int) -> None:
    """The state of a table whose rows are stepped as they are read: indices into `missed` in it."""
    with_keys(path, found, tuple(like))
    made = whole(f"{path}/step", found["step"], 0, step)
    settled = whole(f"{path}/settled", found["settled"], 0, made)
    if type(found["compiled"]) is not bool:
        raise UnsoundError(f"{path}/compiled", found["compiled"], "true or false")
    for name in ("moments", "last", "moved"):
        tensor(f"{path}/{name}", found[name], like[name], finite=name == "moved")
    if bool(torch.isnan(found["moments"]).any()):
        raise UnsoundError(f"{path}/moments", f"{shown(found['moments'])} with nan", "numbers")
    missed, least = found["missed"], max(len(like["missed"]), made - settled + 1)
    if not isinstance(missed, Tensor) or missed.dim() != 1 or not least <= len(missed) <= 4 * least:
        raise UnsoundError(f"{path}/missed", missed, f"float64 of at least {least} numbers")
    tensor(f"{path}/missed", missed, missed.double(), finite=True)
    low, high = (int(value) for value in found["last"].aminmax())
    if low < settled or high > made:
        raise UnsoundError(f"{path}/last", f"from {low} to {high}", f"from {settled} to {made}")


# --- the schedule -----------------------------------------------------------------------------


def _scheduler(path: str, found: Any, like: Any, step: int) -> None:
    """Values of the kinds that a fresh schedule has: `load_state_dict` would take any."""
    if isinstance(like, Mapping):
        if not isinstance(found, dict) or found.keys() != like.keys():
            keys = list(found) if isinstance(found, dict) else found
            raise UnsoundError(path, keys, f"a mapping with {', '.join(map(str, like))}")
        for name in like:
            _scheduler(f"{path}/{name}", found[name], like[name], step)
    elif isinstance(like, list | tuple):
        if type(found) is not type(like) or len(found) != len(like):
            raise UnsoundError(path, found, f"a {type(like).__name__} of {len(like)}")
        for index, item in enumerate(like):
            _scheduler(f"{path}/{index}", found[index], item, step)
    elif isinstance(like, Tensor):
        tensor(path, found, like)
    elif path.endswith(("/last_epoch", "/_step_count")):
        whole(path, found, 0, step + 1)
    elif type(like) in (int, float):
        number(path, found, finite=math.isfinite(like))
    elif like is None and type(found) in (int, float):  # of a rate that was not needed yet
        number(path, found)
    elif type(found) is not type(like) or (isinstance(like, str) and found != like):
        raise UnsoundError(path, found, shown(like))
