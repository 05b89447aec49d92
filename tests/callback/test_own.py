"""Callbacks, metrics and losses of a user's own, in whole runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from config.test_check import CONF
from hydra import compose, initialize_config_dir

from seqexp.callback.own import OwnObserved
from seqexp.checkpoint.result import Result, Start
from seqexp.cli import api
from seqexp.cli.subcommand import run_command
from seqexp.config.check import check
from seqexp.errors import InputError, StoppedError
from seqexp.run import run

HOOKS = '''
import numpy as np
import torch
from seqexp.callback.base import Callback

def share(predictions, targets, rows, above=0.5):
    assert len(rows) == len(targets) and (np.diff(rows) >= 0).all()
    return float((predictions[:, 1] > above).mean())

class Confident:
    def __init__(self, spec, times=1.0):
        self.last, self.times = len(spec.output_names) - 1, times

    def __call__(self, predictions, targets):
        return self.times * predictions[:, self.last].mean()

def missing(predictions, targets):
    return np.nan

def absolute(outputs, targets, mask, power=1.0):
    wanted = torch.nn.functional.one_hot(targets, outputs.shape[-1])
    return ((outputs - wanted).abs() ** power).sum(dim=-1)

class Weighted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

class Counts(Callback):
    """Counts what it is told, draws random numbers, and leaves the model in another mode."""
    def __init__(self, run, every=1):
        self.run, self.every, self.heard, self.norms = run, every, {}, []
    def tags(self):
        return {"who": "me"}
    def after(self, report):
        self.heard[report.kind] = self.heard.get(report.kind, 0) + 1
        torch.rand(3), np.random.rand(3)
        self.run.training.model.eval()
        if report.kind == "epoch":
            weights = self.run.training.model.parameters()
            self.norms.append(torch.stack([one.detach().norm() for one in weights]))
            self.run.log({"mine/epochs": self.heard["epoch"]}, report.step)
    def at_end(self, result):
        self.run.log({f"mine/{name}s": number for name, number in self.heard.items()}, 0)
        self.run.log({"mine/norm": float(torch.cat(self.norms).norm())}, 0)
    def state(self):
        return {"heard": self.heard, "norms": self.norms}
    def restore(self, state):
        self.heard, self.norms = state["heard"], state["norms"]

class Trains(Callback):
    def __init__(self, run):
        self.run = run
    def after(self, report):
        with torch.no_grad():
            next(self.run.training.model.parameters()).add_(1.0)

class Fails(Callback):
    def __init__(self, run, where="after"):
        self.run, self.where = run, where
    def after(self, report):
        if self.where == "after":
            {}["no such key"]
        if self.where == "log":
            self.run.log({"valid/accuracy": 1.0}, 0)
    def state(self):
        return {"run": self.run} if self.where == "state" else {}
    def tags(self):
        return {"seqexp.mine": "x"} if self.where == "tags" else {}

class NoCallback:
    pass
'''

TINY = (
    *("dataset.num_train=60", "dataset.num_test=20", "dataset.num_valid=20"),
    *("trainer.epochs=3", "trainer.batch_size=10", "interpret=none"),
)
TRUSTED = "trusted_packages=[my_hooks]"
COUNTS = "+callbacks.counts._target_=my_hooks.Counts"
SHARE = ("+metrics.share._target_=my_hooks.share", "+metrics.share.higher_is_better=true")
ABSOLUTE = "task.loss={_target_:my_hooks.absolute,power:1.5}"


@pytest.fixture(autouse=True, scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "my_hooks.py").write_text(HOOKS)
    sys.path.insert(0, str(folder))
    yield str(folder)
    sys.path.remove(str(folder))


def trained(folder: Path, *overrides: str) -> Result:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = [*TINY, "tracking=none", *overrides, f"paths.outputs={folder.parent}"]
        config = check(compose("config", given))
    return run(config, Start({"model": "cnn1d", "dataset": "motif"}, folder=folder))


def results(result: Result) -> dict[str, float]:
    """Metrics without times, and without those of a user's own."""
    others = ("time/", "speed/", "mine/")
    found = {k: v for k, v in result.metrics.items() if not k.startswith(others)}
    return {name: value for name, value in found.items() if not name.endswith("share")}


def test_a_run_with_callbacks_and_metrics_is_the_run_without_them(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain")
    result = trained(tmp_path / "own", TRUSTED, COUNTS, *SHARE)
    assert results(result) == results(plain)
    # 12 updates an epoch, of which each tenth is a point of a curve; and the test
    counted = {name: result.metrics[f"mine/{name}s"] for name in ("update", "step", "epoch")}
    assert counted == {"update": 33, "step": 3, "epoch": 3} and result.metrics["mine/tests"] == 1
    assert 0 < result.metrics["test/share"] < 1
    assert [0 < epoch["valid/share"] < 1 for epoch in result.history.values()] == [True] * 3


def test_a_run_that_is_stopped_in_an_epoch_resumes_with_the_state_of_a_callback(
    tmp_path: Path,
) -> None:
    given = (TRUSTED, COUNTS, *SHARE, ABSOLUTE, "trainer.monitor=valid/share")
    whole = trained(tmp_path / "whole", *given)
    for _ in range(2):
        with pytest.raises(StoppedError):
            trained(tmp_path / "cut", *given, "trainer.max_minutes=1e-6")
    result = trained(tmp_path / "cut", *given)
    assert {**result.metrics, **results(whole)} == result.metrics  # to the bit
    mine = [name for name in whole.metrics if name.startswith("mine/")]
    assert len(mine) == 5 and all(result.metrics[name] == whole.metrics[name] for name in mine)
    kept = max(whole.history.values(), key=lambda epoch: epoch["valid/share"])
    assert result.metrics["best/valid_share"] == kept["valid/share"]


def test_a_run_does_not_resume_as_one_of_another_class_or_argument(tmp_path: Path) -> None:
    given = (TRUSTED, COUNTS, *SHARE, ABSOLUTE)
    with pytest.raises(StoppedError):
        trained(tmp_path / "run", *given, "trainer.max_minutes=1e-6")
    for other, said in (
        ("callbacks.counts.every=2", "callbacks.counts.every: was 1, is 2"),
        ("metrics.share.above=0.7", "metrics.share.above: was 0.5, is 0.7"),
        ("metrics.share._target_=my_hooks.missing", "was my_hooks.share, is my_hooks.missing"),
        ("task.loss.power=2.0", "task.loss.power: was 1.5, is 2.0"),
    ):
        with pytest.raises(InputError, match=said):
            trained(tmp_path / "run", *given, f"++{other}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("+callbacks.a._target_=my_hooks.NoCallback", "is a NoCallback; give a subclass of"),
        ("+callbacks.a._target_=my_hooks.Trains", "after has changed .*; a callback looks"),
        ("+callbacks.a._target_=my_hooks.Fails", "after raises KeyError: 'no such key' .*line"),
        ("+callbacks.a={_target_:my_hooks.Fails,where:log}", "after: log: valid/accuracy is a m"),
        ("+callbacks.a={_target_:my_hooks.Fails,where:state}", "state/run is a OwnObserved, which"),
        ("+callbacks.a={_target_:my_hooks.Fails,where:tags}", "tags has 'seqexp.mine'; give a nam"),
    ],
)
def test_what_is_wrong_with_a_callback_is_said_with_its_name(
    tmp_path: Path, given: str, said: str
) -> None:
    with pytest.raises(InputError, match=rf"^callbacks.a \(my_hooks\.\w+\):? {said}"):
        trained(tmp_path / "run", TRUSTED, given, "trainer.checkpoint.every_steps=5")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            (ABSOLUTE, "model=ngrams"),
            "task.loss is my_hooks.absolute, but the model .* by a solver",
        ),
        (("task.loss={_target_:my_hooks.Weighted}",), r"task.loss \(my_hooks.Weighted\) has param"),
        (
            ("+metrics.a={_target_:my_hooks.missing,higher_is_better:true}",),
            r"metrics.a \(my_hooks.missing\) of validation, if predictions are random, is nan",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        trained(tmp_path / "run", TRUSTED, *given)
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_classes_of_another_persons_run_are_not_imported_until_they_are_trusted(
    hooks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [item.lstrip("+") for item in (COUNTS, *SHARE, ABSOLUTE)]
    result = api.train(*TINY, TRUSTED, *own, f"paths.outputs={tmp_path / 'runs'}")
    assert list(result.history["valid/share"].between(0, 1)) == [True] * 3
    assert result.metrics["mine/epochs"] == 3
    (tmp_path / "dna.txt").write_text("ACGT" * 10)
    place = [f"run={result.id}", f"paths.outputs={tmp_path / 'runs'}"]
    monkeypatch.delitem(sys.modules, "my_hooks")
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != hooks])
    assert run_command("predict", [*place, f"input={tmp_path / 'dna.txt'}"]) == 0
    capsys.readouterr()
    assert run_command("reproduce", place) == 2
    assert "add trusted=my_hooks" in capsys.readouterr().err
    with pytest.raises(InputError, match="if you trust its code, add trusted=my_hooks"):
        api.load(result.id, outputs=str(tmp_path / "runs"))
    assert "my_hooks" not in sys.modules


def test_a_callback_may_log_numbers_of_new_names_only() -> None:
    run: Any = OwnObserved.__new__(OwnObserved)
    for metrics, said in (
        ({"test/loss_nats": 1.0}, "is a metric of seqexp's own"),
        ({"mine/a$": 1.0}, "is no name of a metric"),
        ({"mine/a": float("nan")}, "mine/a is nan; give a finite number"),
        ({"mine/a": "high"}, "mine/a is 'high'; give a finite number"),
    ):
        with pytest.raises(InputError, match=said):
            run.log(metrics, 1)
