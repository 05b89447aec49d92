"""Plans runs without starting them: `dry_run=true`. Nothing is written or downloaded.

`dry_run=timed` also says how long they take, by a few updates (see `timed.py`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqexp.build import Parts, build_model, load, parts, total_steps
from seqexp.checkpoint.folder import RunFolder
from seqexp.checkpoint.identity import REPORTING_CODE
from seqexp.checkpoint.provenance import reports_of
from seqexp.config.groups import OWN_CODE, Config
from seqexp.config.own import arguments, own_measures
from seqexp.config.trust import TARGET
from seqexp.data import Data
from seqexp.dataset.read_only import NotHereError, only_looking
from seqexp.errors import InputError
from seqexp.model.weightless import weightless
from seqexp.sweep.job import workers_of
from seqexp.sweep.timed import Timed, timed
from seqexp.trainer.solving import Solves
from seqexp.utils.files import read_json
from seqexp.utils.names import one_line
from seqexp.utils.phases import phase
from seqexp.utils.progress import in_words
from seqexp.utils.streams import show
from seqexp.utils.table import columns, filled, fitted

OF_A_LOG = 100
"""Columns of a plan in a file or a pipe, since its first cell is a command."""

TIMED = "timed"
"""Value of `dry_run` that has updates timed."""

DONE, REPORTED = "done", "to report again"
"""What a plan calls a finished run, and one whose report alone has changed."""


@dataclass(frozen=True)
class Plan:
    """Facts of a run before it starts; None is not known.

    Args:
        label: what it is.
        state: what is there already.
        parameters: of its model, trained ones.
        sequences: that it trains on; of a stream, tokens.
        steps: updates in all, if it is not stopped early.
        done: of these, updates that need not be taken again.
        fault: why it cannot start.
        seconds: that its training, validation and test take, if a few updates were timed.
    """

    label: str
    state: str
    parameters: int | None = None
    sequences: str = ""
    steps: int | None = None
    done: int = 0
    fault: str = ""
    seconds: float | None = None


class Planner:
    """Builds data and models to count them, each once.

    A model is built without memory for its weights, as PyTorch's device `meta` has it; where a plan
    is to be timed, one of each kind is trained for a moment.
    """

    def __init__(self) -> None:
        self._timed: dict[str, Timed] = {}
        self._data: dict[str, Data | InputError] = {}
        self._parameters: dict[str, tuple[int, int | None]] = {}

    def plan(self, label: str, config: Config, folder: Path | None) -> Plan:
        """The plan of a config whose run lives in `folder`."""
        state, done = _state(folder, config)
        try:
            run, data = self._load(config)
        except NotHereError:
            return Plan(label, state, sequences="data not here")
        except InputError as error:
            return Plan(label, state, fault=str(error))
        try:
            parameters, fits = self._count(run, data)
            steps = 0 if fits is not None else total_steps(run.settings, data)
            done = steps if state in (DONE, REPORTED) else min(done, steps)
            left = 1 - done / max(1, steps)
            if fits is not None:
                left = float(state not in (DONE, REPORTED))
            seconds = None
            if config["dry_run"] == TIMED:
                epochs = run.settings.epochs if fits is None else fits
                seconds = self._seconds(run, data, steps * left, epochs * left) if left else 0.0
        except InputError as error:
            return Plan(label, state, sequences=_size(data), fault=str(error))
        return Plan(label, state, parameters, _size(data), steps, done, seconds=seconds)

    def _seconds(self, run: Parts, data: Data, steps: float, epochs: float) -> float:
        """Of so many updates and epochs; runs that differ in their seeds alone are timed once.

        A model that is solved for takes no steps, but its fits take time, an epoch each.
        """
        parts = ("model", "optimizer", "schedule", "trainer")
        key = json.dumps([*(run.config[part] for part in parts), _size(data), data.spec.to_dict()])
        if key not in self._timed:
            with phase("timing a few updates"):
                self._timed[key] = timed(run, data)
        return self._timed[key].total(round(steps), epochs)

    def _load(self, config: Config) -> tuple[Parts, Data]:
        with only_looking():
            run = parts(config, only_trains=True)
        settings = run.settings
        most, patience = settings.max_sequences, settings.patience
        sample = None if most is None else [most, run.seed]
        key = json.dumps([run.config["dataset"], sample, patience is None, settings.test_weights])
        if key not in self._data:
            try:
                with only_looking():
                    self._data[key] = load(run)
            except InputError as error:
                self._data[key] = error
        data = self._data[key]
        if isinstance(data, InputError):
            raise data
        return run, data

    def _count(self, run: Parts, data: Data) -> tuple[int, int | None]:
        """Weights of a model; and the fits that a solver tries, None of a model without one."""
        key = json.dumps([run.model, data.spec.to_dict()])
        if key not in self._parameters:
            with weightless():
                model = build_model(run.model, data, torch.device("meta"))
            counts = [p.numel() for p in model.parameters() if p.requires_grad]
            fits = model.num_fits if isinstance(model, Solves) else None
            self._parameters[key] = sum(counts), fits
        return self._parameters[key]


def say_plans(runs: Sequence[tuple[str, Config, Path | None]]) -> None:
    """Print what would be done for each run: its label, config and folder.

    Raises:
        InputError: at the end, if a run could not start.
    """
    planner = Planner()
    with phase("reading the data and counting"):
        plans = [planner.plan(*run) for run in runs]
    width = columns() or OF_A_LOG
    show(_table(plans, width))
    for line in dict.fromkeys(line for _, config, _ in runs for line in own_code(config)):
        show(line)
    print(f"\n{filled(_total(plans), width)}\nNothing was started; without dry_run it is.")
    if any(plan.seconds for plan in plans):
        print(filled(_expected(plans, workers_of(runs[0][1])), width))
    faults = dict.fromkeys(plan.fault for plan in plans if plan.fault)
    if faults:
        raise InputError("\n  ".join(["some could not start:", *faults]))


def own_code(config: Config) -> Iterator[str]:
    """A line for each part of a user's own that a config names beside its groups."""
    loss = config["task"]["loss"]
    nodes = {} if isinstance(loss, str) else {"task.loss": loss}
    for section in OWN_CODE:
        nodes |= {f"{section}.{name}": node for name, node in (config.get(section) or {}).items()}
    for key, node in nodes.items():
        measure = own_measures(config).get(key.partition(".")[2]) if "metrics." in key else None
        given = {k: v for k, v in arguments(key, node).items() if k != TARGET}
        told = ", ".join(f"{name}={json.dumps(value)}" for name, value in given.items())
        line = f"{key}: {node[TARGET]}({told})"
        if measure is not None:
            line += f", {'higher' if measure.higher_is_better else 'lower'} is better"
            line += "" if measure.unit is None else f", {measure.unit}"
        yield one_line(line, 240)


def _state(folder: Path | None, config: Config) -> tuple[str, int]:
    """In words, what is there of a run; and the updates that it need not take again."""
    if folder is None or config["force"]:
        return "to run", 0
    file = folder / "result.json"
    result = read_json(file) if file.is_file() else {}
    if not isinstance(result, Mapping):
        raise InputError(f"{file}: is damaged: it is no mapping; force=true starts anew")
    if result.get("status") == "FINISHED":
        return REPORTED if _reports_otherwise(folder, config) else DONE, 0
    step = _step(folder / "checkpoints")
    failed = "failed before, " if result.get("status") == "FAILED" else ""
    if step is None:
        return f"{failed}to run", 0
    return f"{failed}to continue at step {step:,}", step


def _reports_otherwise(folder: Path, config: Config) -> bool:
    """Whether a finished run was reported by other values of its config; by other code, a run of a
    sweep is left as it is.
    """
    changes = RunFolder(folder).changed_reports(reports_of(config))
    return any(not line.startswith(REPORTING_CODE) for line in changes)


def _step(checkpoints: Path) -> int | None:
    """Updates done at the newest checkpoint."""
    if not checkpoints.is_dir():
        return None
    from seqexp.checkpoint import store

    state, _ = store.newest(checkpoints)
    try:
        return None if state is None else int(state["training"]["progress"]["step"])
    except (TypeError, ValueError, LookupError) as error:
        raise InputError(
            f"{checkpoints}: holds no state of a run; force=true starts anew"
        ) from error


def _size(data: Data) -> str:
    if data.train.is_stream:
        return f"{data.train.tokens.numel():,} tokens"
    return f"{len(data.train):,}"


def _table(plans: Sequence[Plan], width: int) -> str:
    cells = []
    for plan in plans:
        numbers = [plan.parameters, plan.steps]
        parameters, steps = ("" if number is None else f"{number:,}" for number in numbers)
        sequences = "cannot start" if plan.fault else plan.sequences
        label = one_line(plan.label, 240) or "as configured"
        time = "" if plan.seconds is None else in_words(plan.seconds)
        cells.append([label, plan.state, parameters, sequences, steps, time])
    header = ["run", "state", "parameters", "trained on", "steps", "time"]
    if all(plan.seconds is None for plan in plans):
        header, cells = header[:-1], [row[:-1] for row in cells]
    return fitted(header, cells, width)


def _expected(plans: Sequence[Plan], workers: int) -> str:
    """How long all of them take, in words."""
    total = sum(plan.seconds or 0.0 for plan in plans)
    count = sum(bool(plan.seconds) for plan in plans)
    told = f"expected: about {in_words(total)}"
    if min(count, workers) > 1:
        shared = total / min(count, workers)
        told += f" one after the other, {in_words(shared)} by {workers} workers"
    return (
        f"{told}, by a few timed updates and some of the validation. Reading the data, and what"
        " follows the test, come to that."
    )


def _total(plans: Sequence[Plan]) -> str:
    left = sum((plan.steps or 0) - plan.done for plan in plans)
    done = sum(plan.state == DONE for plan in plans)
    unknown = sum(plan.steps is None for plan in plans)
    more = f", and {unknown} whose steps are not known" if unknown else ""
    noun = "run" if len(plans) == 1 else "runs"
    return f"{len(plans)} {noun}, {done} done; {left:,} steps to train{more}, unless stopped early"
