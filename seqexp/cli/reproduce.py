"""Does it come out the same? Trains a run again, from what MLflow keeps of it.

python -m seqexp reproduce run=RUN [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  trusted        your packages whose classes its config may name, with commas; none. What the
                 stored config trusts counts for nothing.
  files          read: the files of this machine that the config names may be read. They are listed
                 before, always; without it, a run of a store that tracking.uri= names is refused if
                 it names any.

  tracking.uri, paths.outputs, paths.data    where runs and data are kept, as for python -m seqexp

Says whether data, code and versions are those of the run, trains in a folder and an MLflow run of
its own (tag seqexp.reproduces), and says bit-equal, or the first point that differs. Compared are
all metrics but times, at every step, and the weights of the model that was kept.

Exit status: 0 bit-equal, 1 not, 2 it cannot be tried.

  python -m seqexp reproduce run=latest
"""

import contextlib
import logging
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from mlflow.entities import Run as StoredRun
from safetensors.torch import load_file

from seqexp.build import load, parts
from seqexp.callback.kernels import TAGS as KERNELS
from seqexp.callback.pruning import TAG as PRUNED
from seqexp.checkpoint.identity import code_digest, identity
from seqexp.checkpoint.provenance import code_version
from seqexp.checkpoint.result import Start
from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.config.check import check_resolved
from seqexp.config.groups import SUPPLIED, Config
from seqexp.config.trust import refuse_other_code
from seqexp.errors import InputError
from seqexp.inference import saved_model as saved
from seqexp.run import run as train
from seqexp.sweep.grid.settings import Grid
from seqexp.utils.files import RESULT
from seqexp.utils.streams import show
from seqexp.utils.terminal import log_to_console

log = logging.getLogger("seqexp")

REPRODUCES = "seqexp.reproduces"
"""Tag with the id of the run that was trained again."""

TIMED = ("time/", "speed/")
"""Metrics that say how fast, which no two runs share."""

READING = ("dataset", "model", "interpret", "decode", "gradient_flow")
"""Parts that may name files."""

REPLACED = ("dataset.folder", "dataset.cache")
"""Places of files that are those of this machine."""

COMPUTES = ("python", "torch", "numpy")
"""Versions that bits may depend on."""

Points = dict[tuple[str, int], list[float]]
"""Values of a run by metric and step, in the order in which they were recorded."""


def reproduce(
    place: Place, one: Which, trusted: tuple[str, ...] = (), files: Literal["ask", "read"] = "ask"
) -> int:
    """Train a run again and say whether it came out the same; returns 0 if so, else 1.

    Raises:
        InputError: if there is no such run, it did not finish, or its config names other code, or
            files of this machine while the store may be another's and `files` is not `read`.
        RunError: if the training fails.
    """
    log_to_console(logging.INFO)
    store = Store(place)
    original = one.one(store)
    refuse_unfinished(original)
    stored = store.config(original)
    tell_files(stored, original.info.run_id, place, files)
    config = rebuilt(stored, original.info.run_id, place, trusted)
    show(f"run {original.info.run_id}, {original.info.run_name}: its config is sound")
    for line in compared_with_now(original, config):
        show(f"  {line}")
    print(flush=True)
    folder = place.outputs / "reproductions" / f"{original.info.run_id[:8]}-{identity(config)[:10]}"
    is_done = (folder / RESULT).is_file()
    params = original.data.params
    start = Start(
        choices={group: params[group] for group in SUPPLIED if group in params},
        overrides=overrides_of(params.get("overrides", "")),
        folder=folder,
        name=f"{original.info.run_name} again",
        tags={REPRODUCES: original.info.run_id},
    )
    result = train({**config, "force": is_done}, start)
    if result.run_id is None:
        raise InputError("the run was not recorded, so there is nothing to compare")
    store = Store(place)  # which knows the experiment, where that is new
    again = store.find(result.run_id)
    wrong = [*differing_points(points(store, original), points(store, again))]
    wrong += differing_weights(store, original, again)
    return _say(wrong, store, original, again)


def overrides_of(line: str) -> list[str]:
    """The typed overrides, from the line that a run keeps of them."""
    try:
        return shlex.split(line)
    except ValueError:  # of an earlier seqexp, which quoted nothing
        return line.split()


def tell_files(
    stored: Config, run_id: str, place: Place, files: Literal["ask", "read"] = "ask"
) -> None:
    """Say which files of this machine a stored config names, before any of them is read.

    Raises:
        InputError: if the store may be another's, and nobody said that they may be read.
    """
    named = [f"{key}: {path}" for key, path in named_files(stored)]
    if not named:
        return
    listed = "\n  ".join(named)
    if place.is_named and files != "read":
        raise InputError(
            f"run {run_id} lies in {place.uri}, and its config would have these files of this"
            f" machine read; if they may be, add files=read\n  {listed}"
        )
    log.info(f"run {run_id} reads files of this machine\n  {listed}")


def named_files(stored: Config) -> Iterator[tuple[str, str]]:
    """Key and absolute path of each file or folder that a config names, and that is there.

    Without those that `rebuilt` replaces.
    """
    for group in READING:
        for key, value in _texts(group, stored.get(group)):
            if key in REPLACED:
                continue
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # no name of a file
                for path in dict.fromkeys([Path(value), Path(value).expanduser()]):
                    if value and path.exists():
                        yield key, str(path.absolute())


def _texts(key: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from _texts(f"{key}.{name}", value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _texts(f"{key}[{place}]", value)


def refuse_unfinished(original: StoredRun) -> None:
    """Only what came to its end by itself can be compared with what does."""
    named = f"run is {original.info.run_id} ({original.info.run_name})"
    if original.info.status != "FINISHED":
        raise InputError(f"{named}, which is {original.info.status}; give one that has finished")
    if PRUNED in original.data.tags:
        raise InputError(
            f"{named}, which a search stopped {original.data.tags[PRUNED]}; give one that it let"
            " finish"
        )


# --- before the training ----------------------------------------------------------------------


def rebuilt(stored: Config, run_id: str, place: Place, trusted: Sequence[str]) -> Config:
    """The config of a run as one that may be started here: a stored config is data.

    Files go to the places of this machine.

    Raises:
        InputError: if it trusts packages that the caller does not, or names other code.
        ConfigError: if it does not pass the check.
    """
    source = f"config.json of run {run_id}"
    named = stored.get("trusted_packages")
    names = named if isinstance(named, list) else [named]
    others = [name for name in names if not isinstance(name, str) or name not in trusted]
    if others:
        shown = ",".join(map(str, others))
        raise InputError(
            f"{source}: trusted_packages names {shown}, whose code would run; if you trust it too,"
            f" add {shlex.quote(f'trusted={shown}')}"
        )
    config = {
        **stored,
        "tracking": dict(place.tracking),
        "paths": {"outputs": str(place.outputs), "data": str(place.data)},
        # a search's trial would tell the search of it again
        "sweeper": {"_target_": f"{Grid.__module__}.{Grid.__qualname__}"},
        **{"force": False, "dry_run": False, "seeds": None},
    }
    dataset = config.get("dataset")
    if isinstance(dataset, Mapping):
        ours = {"folder": str(place.data), "cache": str(place.outputs / "cache")}
        config["dataset"] = {k: ours.get(k, v) if v else v for k, v in dataset.items()}
    refuse_other_code(config, source, trusted)
    return check_resolved(config, f" in {source}")


def compared_with_now(original: StoredRun, config: Config) -> Iterator[str]:
    """One line each: data, code and versions, then and now."""
    tags, now = original.data.tags, code_version()
    data = load(parts(config, only_trains=True))
    yield _line("data", tags.get("seqexp.data_digest"), data.digest())
    code = code_digest(tuple(config["trusted_packages"]))
    yield _line("code", tags.get("seqexp.code"), code)
    for name in COMPUTES:
        yield _line(name, tags.get(f"seqexp.{name}"), now[f"seqexp.{name}"])
    if "seqexp.replicas" in tags:
        count = tags["seqexp.replicas"]
        yield f"alone   it was one of {count} runs in one go, which changes the last bits"


def _line(what: str, was: str | None, now: str) -> str:
    if was == now:
        return f"{what:8}the same   {_short(now)}"
    return f"{what:8}DIFFERENT  was {_short(was)}, is {_short(now)}"


def _short(value: str | None) -> str:
    """Digests by their beginning."""
    return "not told" if value is None else value[:16]


# --- after it ---------------------------------------------------------------------------------


def points(store: Store, found: StoredRun) -> Points:
    """All points of a run's metrics except times, in their order."""
    history = [
        point
        for key in found.data.metrics
        if not key.startswith(TIMED)
        for point in store.client.get_metric_history(found.info.run_id, key)
    ]
    by_key: Points = {}
    for point in sorted(history, key=lambda point: (point.timestamp, point.step, point.key)):
        by_key.setdefault((point.key, point.step), []).append(point.value)
    return by_key


def differing_points(before: Points, after: Points) -> Iterator[str]:
    """The points that are not the same in both, the earliest first."""
    for (key, step), values in before.items():
        others = after.get((key, step))
        if others is None:
            yield f"{key} at step {step} was {_shown(values)}, and is not there"
        elif not _same(values, others):
            yield f"{key} at step {step} was {_shown(values)}, is {_shown(others)}"
    for (key, step), values in after.items():
        if (key, step) not in before:
            yield f"{key} at step {step} was not there, and is {_shown(values)}"


def _same(values: Sequence[float], others: Sequence[float]) -> bool:
    return len(values) == len(others) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(values, others, strict=True)
    )


def _shown(values: Sequence[float]) -> str:
    return ", ".join(map(repr, values))


def differing_weights(store: Store, original: StoredRun, again: StoredRun) -> list[str]:
    """Tensors of the logged models that are not the same to the bit; none where none was kept."""
    with store.model_folder(original) as first, store.model_folder(again) as second:
        if first is None or second is None:
            return []
        was, now = (_weights(folder / saved.WEIGHTS) for folder in (first, second))
    names = {**was, **now}
    return [
        f"weights of {name} are not the same"
        for name in names
        if name not in was or name not in now or not _same_bits(was[name], now[name])
    ]


def _weights(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except Exception as error:  # safetensors has its own error type for each kind of damage
        raise InputError(f"{file.name} of a logged model: is damaged ({error})") from error


def _same_bits(was: torch.Tensor, now: torch.Tensor) -> bool:
    if was.shape != now.shape or was.dtype != now.dtype:
        return False
    return torch.equal(*(tensor.reshape(-1).view(torch.uint8) for tensor in (was, now)))


def _say(wrong: Sequence[str], store: Store, original: StoredRun, again: StoredRun) -> int:
    measured = points(store, original)
    names = {key for key, _ in measured}
    with store.model_folder(original) as folder:
        kept = "and the weights of the model" if folder is not None else "(it kept no model)"
    print()
    if not wrong:
        print(f"bit-equal: {len(measured):,} points of {len(names)} metrics {kept}")
        return 0
    print(f"NOT equal: {len(wrong):,} of {len(measured):,} points and tensors; the first is")
    show(f"  {wrong[0]}")
    for tag in KERNELS:
        was, now = (found.data.tags.get(tag) for found in (original, again))
        if was != now:
            show(f"the {tag.removeprefix('seqexp.')} was {was}, is {now}")
    print(f"this training is run {again.info.run_id}")
    return 1
