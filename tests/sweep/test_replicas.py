"""Runs that are trained in one go: the same runs, in the same places, as one after the other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from sweep.grid.test_sweeper import QUICK, runs_of

from seqexp.callback.checkpoint import Checkpoints
from seqexp.checkpoint import store
from seqexp.checkpoint.encode import encode
from seqexp.checkpoint.result import Result, Start
from seqexp.cli.arguments import several
from seqexp.cli.replicas import run_together
from seqexp.config.check import check
from seqexp.config.groups import CONF
from seqexp.errors import ConfigError, NonFiniteError, StoppedError
from seqexp.kernels.recurrence_cpp import built
from seqexp.run import run
from seqexp.sweep.job import Job
from seqexp.sweep.replicas import stacks

TINY = ("dataset.num_train=40", "dataset.num_valid=20", "dataset.num_test=20")


def config(outputs: Path, *overrides: str, data: tuple[str, ...] = TINY) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        common = ["tracking=none", "interpret=none", f"paths.outputs={outputs}"]
        given = [*common, *data, *overrides]
        return check(compose("config", given))


def replicas(
    outputs: Path,
    overrides: dict[str, tuple[str, ...]],
    *shared: str,
    data: tuple[str, ...] = TINY,
) -> list[tuple[str, Any, Start]]:
    """Runs by their label, with folders of their own."""
    choices = {"model": "cnn1d", "dataset": "motif"}
    return [
        (label, config(outputs, *shared, *own, data=data), Start(choices, folder=outputs / label))
        for label, own in overrides.items()
    ]


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if not k.startswith(("time/", "speed/"))}


ADAFACTOR = (
    *(f"~optimizer.{key}" for key in ("betas", "eps", "fused")),
    "optimizer._target_=torch.optim.Adafactor",
)

SEEDS = {f"seed={seed}": (f"seed={seed}",) for seed in range(3)}


def test_runs_in_one_go_are_the_runs_of_a_sweep_over_seeds(seqexp: Command, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    done = seqexp("trainer.replicas=2", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "2 runs in one go: seed=0, seed=1" in done.stdout
    assert re.search(r"^\[seed=1\] epoch 2/2", done.stdout, re.M)
    # one more is added to what is there: the folder is that of seeds=N, and of each run
    more = seqexp("-m", "seeds=3", *QUICK)
    assert more.returncode == 0, more.stderr
    assert "sweep of 3 jobs: 2 finished before, 1 to run" in more.stdout
    assert re.findall(r"^job \d+: .*(seed=\d)$", more.stdout, re.M) == ["seed=2"]

    client, parent, children = runs_of(outputs)
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    by_seed = {run.data.params["seed"]: run for run in children}
    assert sorted(by_seed) == ["0", "1", "2"]
    assert [by_seed[s].data.tags.get("seqexp.replicas") for s in "012"] == ["2", "2", None]
    one, alone = by_seed["1"].data, by_seed["2"].data
    assert {k: v for k, v in one.params.items() if one.params[k] != alone.params.get(k)} == {
        **{"seed": "1", "dataset.seed": "1", "decode.seed": "1"},
        "overrides": one.params["overrides"],
    }
    assert one.params["overrides"] == " ".join([*QUICK, "seed=1"])
    assert every_point(client, by_seed["1"]) == every_point(client, by_seed["2"])
    (folder,) = (outputs / "sweeps").iterdir()
    jobs = json.loads((folder / "manifest.json").read_text())["jobs"]
    assert {path.parent.name for path in folder.glob("*/result.json")} == {*jobs}


def every_point(client: MlflowClient, run: Any) -> list[tuple[str, int]]:
    """Name and step of each point that a run has recorded."""
    names = sorted(run.data.metrics)
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in names}
    return [(name, point.step) for name, points in histories.items() for point in points]


@pytest.mark.parametrize("shared", [(), ("trainer.starts=2", "trainer.start_epochs=1")])
def test_each_run_is_what_it_is_by_itself(tmp_path: Path, shared: tuple[str, ...]) -> None:
    runs = replicas(tmp_path / "together", SEEDS, "trainer.epochs=2", *shared)
    found = run_together(runs)
    for (label, alone, start), result in zip(runs, found, strict=True):
        expected = run(alone, Start(start.choices, folder=tmp_path / "alone" / label))
        assert isinstance(result, Result) and result.status == "FINISHED"
        metrics = untimed(result.metrics)
        assert metrics == pytest.approx(untimed(expected.metrics), rel=1e-4, abs=1e-5)
        assert {**metrics, "x": 0} != untimed(expected.metrics)  # or the line above says nothing
        assert [*result.history] == [1, 2]
    losses = {result.metrics["test/loss_nats"] for result in found if isinstance(result, Result)}
    assert len(losses) == 3


CHARS = (
    *("dataset=chars", "dataset.num_chars=3000", "trainer=tbptt", "trainer.batch_size=4"),
    *("decode=none", "gradient_flow=none"),
)


@pytest.mark.skipif(built("rnn", "float").binary is None, reason=built("rnn", "float").reason)
@pytest.mark.parametrize("k2", [20, 30])
def test_recurrent_models_carry_their_states_on_each_its_own(
    tmp_path: Path, k2: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "seqexp")
    shared = (*CHARS, f"trainer.bptt.k2={k2}", "model.hidden_size=8", "trainer.epochs=1")
    models = {"rnn": ("model=rnn",), "gru": ("model=stacked-rnn", "model.cell=gru")}
    for name, model in models.items():
        runs = replicas(tmp_path / name, SEEDS, *model, *shared, data=())
        for (label, alone, start), result in zip(runs, run_together(runs), strict=True):
            expected = run(alone, Start(start.choices, folder=tmp_path / f"{name}-alone" / label))
            assert isinstance(result, Result)
            assert untimed(result.metrics) == pytest.approx(
                untimed(expected.metrics), rel=1e-4, abs=1e-5
            )
    shares = re.findall(r"3 runs in one go: ([\d.]+)% of", caplog.text)
    assert len(shares) == 2 and all(float(share) > 95 for share in shares)


def test_values_of_numbers_may_differ_too(tmp_path: Path) -> None:
    overrides = {f"lr={lr}": (f"optimizer.lr={lr}",) for lr in (0.1, 0.01)}
    overrides |= {"clip": ("trainer.clip_norm=0.1",), "schedule": ("schedule=cosine",)}
    runs = replicas(tmp_path / "together", overrides, "trainer.epochs=2")
    for (label, alone, start), result in zip(runs, run_together(runs), strict=True):
        expected = run(alone, Start(start.choices, folder=tmp_path / "alone" / label))
        assert isinstance(result, Result)
        assert untimed(result.metrics) == pytest.approx(
            untimed(expected.metrics), rel=1e-4, abs=1e-5
        )


def test_one_that_fails_is_recorded_and_the_others_finish(tmp_path: Path) -> None:
    explode = ("model.activation=linear", "optimizer=sgd", "optimizer.momentum=0.99")
    overrides = {"good": ("optimizer.lr=0.001",), "bad": ("optimizer.lr=1000",)}
    overrides |= {"better": ("optimizer.lr=0.002",)}
    runs = replicas(tmp_path, overrides, "trainer.epochs=20", *explode)
    good, bad, better = run_together(runs)
    assert isinstance(good, Result) and isinstance(better, Result)
    assert isinstance(bad, NonFiniteError)
    written = {
        label: json.loads((tmp_path / label / "result.json").read_text()) for label in overrides
    }
    assert {label: found["status"] for label, found in written.items()} == {
        **{"good": "FINISHED", "bad": "FAILED", "better": "FINISHED"}
    }
    assert written["bad"]["error"].startswith("NonFiniteError: ")
    assert "NonFiniteError" in written["bad"]["traceback"]
    assert len(good.history) == 20


def test_what_was_stopped_goes_on_from_checkpoints_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ("trainer.epochs=3", "trainer.checkpoint.every_steps=1")
    whole = run_together(replicas(tmp_path / "whole", SEEDS, *shared))
    stopped = run_together(
        replicas(tmp_path / "parts", SEEDS, *shared, "trainer.max_minutes=0.002")
    )
    assert all(isinstance(outcome, StoppedError) for outcome in stopped)
    states = [store.newest(tmp_path / "parts" / label / "checkpoints")[0] for label in SEEDS]
    steps = [state["training"]["progress"]["step"] for state in states if state is not None]
    assert len(steps) == 3 and all(0 < step < 9 for step in steps)
    # one of them alone, the others together
    runs = replicas(tmp_path / "parts", SEEDS, *shared)
    results = [run(*runs[0][1:]), *run_together(runs[1:])]
    for result, expected in zip(results, whole, strict=True):
        assert isinstance(result, Result) and isinstance(expected, Result)
        assert untimed(result.metrics) == pytest.approx(
            untimed(expected.metrics), rel=1e-4, abs=1e-5
        )
    # and a finished one is not trained again
    monkeypatch.setattr("seqexp.run.fit", None)
    assert [r.metrics for r in run_together(runs) if isinstance(r, Result)] == [
        r.metrics for r in results if isinstance(r, Result)
    ]


def test_a_kill_between_two_checkpoints_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five checkpoints of three runs, the third has one less than the others."""
    shared = ("trainer.epochs=2", "trainer.checkpoint.every_steps=1", "trainer.batch_size=32")
    run_together(replicas(tmp_path / "whole", SEEDS, *shared))
    save, left = Checkpoints._save, [5]

    def killed(saving: Checkpoints) -> None:
        if not left[0]:
            raise KeyboardInterrupt  # nothing more is written, as after SIGKILL
        left[0] -= 1
        save(saving)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Checkpoints, "_save", killed)
        run_together(replicas(tmp_path / "parts", SEEDS, *shared))
    run_together(replicas(tmp_path / "parts", SEEDS, *shared))
    for label in SEEDS:
        whole, parts = (
            store.newest(tmp_path / name / label / "checkpoints")[0]["training"]
            for name in ("whole", "parts")
        )
        assert whole["progress"]["step"] == parts["progress"]["step"] == 6
        for part in ("model", "optimizer", "generators"):
            assert encode(whole[part])[1] == encode(parts[part])[1]
            tensors = zip(
                *(encode(state[part])[0].items() for state in (whole, parts)), strict=True
            )
            assert all(torch.equal(a, b) for (_, a), (_, b) in tensors)


def test_ctrl_c_closes_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    runs = replicas(tmp_path, SEEDS, "trainer.epochs=3")
    monkeypatch.setattr("seqexp.trainer.replicas.Stack.update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_together(runs)
    for label in SEEDS:
        assert json.loads((tmp_path / label / "result.json").read_text())["status"] == "KILLED"


def test_jobs_are_stacked_with_those_whose_model_is_the_same(tmp_path: Path) -> None:
    def job(*overrides: str) -> Job:
        return Job(overrides, config(tmp_path, *overrides), "motif")

    jobs = [
        job(f"model.num_filters={size}", f"seed={seed}") for seed in range(5) for size in (1, 2)
    ]
    groups = stacks(jobs, 4)
    assert [len(group) for group in groups] == [2, 3, 2, 3]
    for group in groups:
        assert len({job.config["model"]["num_filters"] for job in group}) == 1
    assert [len(group) for group in stacks(jobs, None)] == [1] * 10
    assert {job.identity for group in groups for job in group} == {job.identity for job in jobs}
    # neither what a process is set to nor another optimizer's settings can differ within a stack
    assert len(stacks([job("seed=0"), job("trainer.precision=bf16")], 4)) == 2
    assert len(stacks([job("seed=0"), job("optimizer=sgd")], 4)) == 2


def test_a_number_of_replicas_is_not_part_of_what_a_run_is(tmp_path: Path) -> None:
    one, other = (Job((), config(tmp_path, f"trainer.replicas={n}"), "motif") for n in (1, 16))
    assert one.identity == other.identity


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("trainer.replicas=0",), "trainer.replicas is 0; give an integer from 1"),
        (("model.hidden_layers=[4]", "model.dropout=0.5"), "model.dropout is 0.5, but trainer.rep"),
        (("trainer.length_pool=4", "model.readout=max"), "trainer.length_pool is 4, but trainer.r"),
        ((*ADAFACTOR,), "optimizer._target_ is 'torch.optim.Adafa"),
        (("trainer.precision=bf16",), "trainer.precision is bf16, but trainer.replicas is 16"),
        (("model=lstm",), "model is LSTM of LSTM cells, but trainer.replicas is 16"),
        (("model=stacked-rnn", "model.cell=lstm"), "model is StackedRNN of LSTM cells, but"),
        (("model=rnn", "model.hidden_size=65"), "model.hidden_size is 65, but trainer.replicas"),
        (
            ("model=stacked-rnn", "model.cell=gru", "model.hidden_size=17"),
            "which is faster than one by one up to 16 GRU cells only",
        ),
        *(
            (
                ("model=rnn", "model.hidden_size=32", f"model.kernel={kernel}"),
                f"model.kernel is {kernel}, but trainer.replicas is 16",
            )
            for kernel in ("fused", "python", "reference")
        ),
        (
            ("model.padding=causal", "model.readout=last", "trainer.bptt.k1=5"),
            "trainer.bptt.k1 is 5, but trainer.replicas is 16",
        ),
        (
            ("sweeper=optuna",),
            "sweeper._target_ is 'seqexp.sweep.optuna.settings.Optuna', whose trials",
        ),
    ],
)
def test_what_cannot_be_stacked_is_refused(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, "trainer.replicas=16", *overrides)
    (fault,) = refused.value.faults
    assert message in fault


def test_replicas_make_a_sweep(seqexp: Command, tmp_path: Path) -> None:
    assert several(["trainer.replicas=4", "seed=3"]) == ["-m", "trainer.replicas=4", "seed=3"]
    for as_it_is in (["trainer.replicas=null"], ["--cfg", "job", "trainer.replicas=4"]):
        assert several(as_it_is) == as_it_is
    planned = seqexp("trainer.replicas=4", "seed=3", *QUICK, "dry_run=true")
    assert planned.returncode == 0, planned.stderr
    assert "trained in one go, as stacks of models: 4 of them" in planned.stdout
    rows = re.findall(r"^\| (seed=\d) +\| to run", planned.stdout, re.M)
    assert rows == ["seed=3", "seed=4", "seed=5", "seed=6"]
    assert list(tmp_path.iterdir()) == []
