"""What is monitored, and the schedule that follows it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from forms import OUTPUTS, model_of
from kinds import data_of

from seqexp.build import validated
from seqexp.data import Data, Sequences
from seqexp.errors import InputError
from seqexp.metrics import OF_KIND, higher_is_better
from seqexp.optimizer.schedule import plateau
from seqexp.spec import Output
from seqexp.task.kinds import of
from seqexp.trainer.loop import fit
from seqexp.trainer.score import Score
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training

CASES = [
    (output, measure)
    for output in OUTPUTS
    for measure in OF_KIND[output.value]
    if measure != "span_f1"  # of labels of spans alone: tests/task/test_spans.py
]


def training(data: Data, lr: float = 0.02, **settings: Any) -> Training:
    model = model_of("cnn1d", data.spec).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    given = Settings(**{"batch_size": 8, "log_every_steps": None, **settings})
    schedule = plateau(optimizer, higher_is_better(given.monitor), patience=1, min_delta=0.0)
    return Training(model, optimizer, schedule, given, 0, torch.device("cpu"), of(data.spec))


@pytest.mark.parametrize(("output", "measure"), CASES)
def test_the_best_epoch_is_that_of_the_monitored_metric(output: Output, measure: str) -> None:
    data = data_of(output)
    run = training(data, epochs=4, monitor=f"valid/{measure}")
    reports = [report for report in fit(run, data)]
    values = [r.metrics[f"valid/{measure}"] for r in reports if r.kind == "epoch"]
    best = max(values) if higher_is_better(f"valid/{measure}") else min(values)
    assert run.best_value == best and run.best_epoch == values.index(best) + 1
    assert reports[-1].metrics[f"best/valid_{measure}"] == best


def test_the_rate_is_lowered_where_validation_no_longer_gets_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = iter([3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5])
    data = data_of(Output.SEQUENCE_CLASS)
    monkeypatch.setattr(
        "seqexp.trainer.loop.evaluate", lambda *_, **__: Score(next(script), 1, (0.0,))
    )
    rates = [
        report.metrics["train/learning_rate"]
        for report in fit(training(data, lr=0.08, epochs=7), data)
        if report.kind == "epoch"
    ]
    # two epochs without a better loss than 2.0, the third and the fourth; then than 1.0
    assert rates == pytest.approx([0.08, 0.08, 0.08, 0.08, 0.04, 0.04, 0.04])


@pytest.mark.parametrize(
    ("output", "monitor", "message"),
    [
        (Output.REGRESSION, "valid/accuracy", "they have valid/loss_nats, valid/mae, valid/mse"),
        (Output.TOKEN_CLASS, "valid/auroc", "valid/auroc, which the validation data do not have"),
        (Output.NEXT_TOKEN, "valid/mcc", "valid/perplexity"),
    ],
)
def test_a_metric_that_validation_lacks_is_refused(
    output: Output, monitor: str, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        validated(data_of(output), Settings(monitor=monitor))
    assert message in str(refused.value)


def test_one_of_several_numbers_can_be_monitored_and_others_have_no_curve() -> None:
    data = data_of(Output.REGRESSION)
    assert validated(data, Settings(monitor="valid/mse.output 1")) is data
    with pytest.raises(InputError, match="trainer.monitor is valid/mse.output 7"):
        validated(data, Settings(monitor="valid/mse.output 7"))
    run = training(data, epochs=2, monitor="valid/mse.output 1")
    *_, last = [report.metrics for report in fit(run, data) if report.kind == "epoch"]
    assert {name for name in last if "." in name} == {"valid/mse.output 1"}
    assert run.best_value is not None


def test_a_metric_that_these_targets_do_not_have_is_refused() -> None:
    data = data_of(Output.REGRESSION)
    constant = torch.full_like(data.valid.targets, 2.5)
    alike = replace(data, valid=replace(data.valid, targets=constant))
    assert validated(alike, Settings(monitor="valid/mse")) is alike
    with pytest.raises(InputError, match="trainer.monitor is valid/r2, which the validation data"):
        validated(alike, Settings(monitor="valid/r2"))


def test_a_plateau_is_not_waited_for_without_validation_data() -> None:
    data = data_of(Output.SEQUENCE_CLASS)
    nothing = Sequences(torch.zeros(0, 7).long(), torch.zeros(0, 1).long())
    with pytest.raises(InputError, match="schedule is plateau, but there is nothing to validate"):
        validated(
            replace(data, valid=nothing),
            Settings(test_weights="last"),
            "seqexp.optimizer.schedule.plateau",
        )


def test_several_processes_would_merge_their_rows() -> None:
    """The whole of two shares has the metrics of all rows."""
    data = data_of(Output.MULTI_LABEL)
    task, targets = of(data.spec), data.test.targets
    logits = torch.randn(len(targets), 1, 3, generator=torch.Generator().manual_seed(0))
    whole, first, second = (task.whole() for _ in range(3))
    assert whole is not None and first is not None and second is not None
    whole.add(logits, targets)
    first.add(logits[::2], targets[::2])
    second.add(logits[1::2], targets[1::2])
    first.merge(second)
    assert first.metrics() == pytest.approx(whole.metrics())
    assert not math.isnan(first.metrics()["auroc"])
