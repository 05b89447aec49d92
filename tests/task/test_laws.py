"""Laws of every kind of task, found by listing the folder: each of its files that is a kind."""

import copy
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from forms import ANY_MODEL, LETTERS, model_of
from kinds import FORMS, data_of, name_of
from torch import Tensor

import seqexp.task
from seqexp.checkpoint.encode import decode, encode, same
from seqexp.data import Data
from seqexp.metrics import METRICS, OF_KIND
from seqexp.optimizer.schedule import plateau
from seqexp.spec import Output, is_scored, unscored
from seqexp.task.base import Task, Whole
from seqexp.task.kinds import KINDS, of
from seqexp.trainer.loop import fit
from seqexp.trainer.score import Score, evaluate
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

FOLDER = Path(seqexp.task.__file__).parent
CPU = torch.device("cpu")
BEST = {
    "loss_nats": 0.0,
    "ece": 0.0,
    "mse": 0.0,
    "mae": 0.0,
    "perplexity": 1.0,
    "bits_per_token": 0.0,
}
"""The best values of metrics; of all others, 1."""


def logits_for(data: Data, targets: Tensor) -> Tensor:
    """What a model that knows the targets would say, and says with certainty."""
    count, spec = data.spec.num_outputs, data.spec
    known = targets.nan_to_num(0.0) if spec.output.has_numbers else targets.clamp(min=0)
    if spec.output is Output.REGRESSION:
        return of(spec).standardised(known)[:, None]  # type: ignore[attr-defined]
    if spec.output is Output.MULTI_LABEL:
        return (100.0 * (2 * known - 1))[:, None]
    return 100.0 * torch.nn.functional.one_hot(known, count)


def measured(task: Task, logits: Tensor, targets: Tensor) -> tuple[Score, Whole | None]:
    whole = task.whole()
    if whole is not None:
        whole.add(logits, targets)
    nats, extras = task.nats(logits, targets), task.extras(logits, targets).double().tolist()
    return Score(float(nats), int(is_scored(targets).sum()), tuple(extras)), whole


def all_metrics(task: Task, score: Score, whole: Whole | None) -> dict[str, float]:
    found = score.metrics("test", task)
    return found | {f"test/{k}": v for k, v in (whole.metrics() if whole else {}).items()}


def random_logits(data: Data, targets: Tensor) -> Tensor:
    positions = targets.shape[1] if data.spec.per_position else 1
    shape = (len(targets), positions, data.spec.num_outputs)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_each_kind_is_a_file_of_its_name() -> None:
    files = {file.stem for file in FOLDER.glob("*.py")}
    assert {kind.value for kind in Output} <= files
    assert set(KINDS) == set(Output) and {*OF_KIND} == {kind.value for kind in Output}
    for output, kind in KINDS.items():
        assert kind.name == output.value and kind.__module__ == f"seqexp.task.{output.value}"


@pytest.mark.parametrize("output", ANY_MODEL)
class TestEveryKind:
    def test_its_metrics_stand_in_the_table(self, output: Output) -> None:
        kind = KINDS[output]
        assert {*kind.headline} <= {*kind.metrics}
        for split in ("valid/", "test/", "best/valid_"):
            assert {f"{split}{name}" for name in kind.metrics} <= {*METRICS}

    def test_all_that_it_reports_it_has_said(self, output: Output) -> None:
        data = data_of(output)
        task = of(data.spec)
        targets = data.test.targets
        found = all_metrics(task, *measured(task, random_logits(data, targets), targets))
        said = {f"test/{name}" for name in task.metrics} - {"test/span_f1"}  # of spans alone
        assert {name.partition(".")[0] for name in found} == said

    def test_a_perfect_prediction_has_the_best_of_each(self, output: Output) -> None:
        data = data_of(output)
        task, targets = of(data.spec), data.test.targets
        found = all_metrics(task, *measured(task, logits_for(data, targets), targets))
        constant = 0.5 * math.log(2 * math.pi) if output is Output.REGRESSION else 0.0
        assert found.pop("test/loss_nats") == pytest.approx(constant, abs=1e-6)
        for name, value in found.items():
            measure = name.removeprefix("test/").partition(".")[0]
            assert value == pytest.approx(BEST.get(measure, 1.0), abs=1e-5), name

    def test_what_is_not_scored_changes_nothing(self, output: Output) -> None:
        data = data_of(output)
        task, targets = of(data.spec), data.test.targets
        logits = random_logits(data, targets)
        more = torch.cat([targets, torch.full_like(targets, unscored(targets))])
        twice = torch.cat([logits, 7 * logits]).requires_grad_()
        score, whole = measured(task, logits, targets)
        again, with_more = measured(task, twice.detach(), more)
        assert again.count == score.count and again.extras == score.extras
        assert again.nats == pytest.approx(score.nats, rel=1e-6)
        assert all_metrics(task, score, whole) == pytest.approx(
            all_metrics(task, again, with_more), rel=1e-6
        )
        task.nats(twice, more).backward()
        assert twice.grad is not None and torch.isfinite(twice.grad).all()
        assert not twice.grad[len(targets) :].any()

    def test_the_sums_of_halves_are_the_sum_of_the_whole(self, output: Output) -> None:
        data = data_of(output)
        task, targets = of(data.spec), data.test.targets
        logits = random_logits(data, targets)
        halves = [
            measured(task, part, of_part)
            for part, of_part in zip(logits.split(9), targets.split(9), strict=True)
        ]
        score, whole = measured(task, logits, targets)
        total = Score()
        for part, _ in halves:
            total += part
        assert total.count == score.count
        merged = halves[0][1]
        for _, other in halves[1:]:
            if merged is not None:
                merged.merge(other)
        found, expected = all_metrics(task, total, merged), all_metrics(task, score, whole)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)

    def test_the_columns_fit_the_predictions(self, output: Output) -> None:
        data = data_of(output)
        task = of(data.spec)
        rows = task.predictions(random_logits(data, data.test.targets))
        assert len(rows) == len(data.test)
        assert {len(row) for row in rows} == {len(task.columns())}

    def test_knowing_nothing_is_the_best_constant(self, output: Output) -> None:
        """No constant logits that a search finds have a smaller loss."""
        data = data_of(output)
        task, targets = of(data.spec), data.train.targets
        bias = torch.zeros(data.spec.num_outputs, requires_grad=True)
        optimizer = torch.optim.LBFGS([bias], max_iter=200, line_search_fn="strong_wolfe")
        positions = targets.shape[1] if data.spec.per_position else 1

        def loss() -> Tensor:
            optimizer.zero_grad()
            found = task.nats(bias.expand(len(targets), positions, -1), targets)
            found = found / is_scored(targets).sum()
            torch.autograd.backward(found)
            return found

        optimizer.step(lambda: loss().item())
        assert task.ignorance(targets.split(5)) == pytest.approx(loss().item(), abs=2e-3)

    def test_its_pictures_are_drawn(self, output: Output) -> None:
        from seqexp.utils.beside import png_of

        data = data_of(output)
        task, targets = of(data.spec), data.test.targets
        _, whole = measured(task, random_logits(data, targets), targets)
        figures = {} if whole is None else whole.figures()
        assert bool(figures) == (output is not Output.NEXT_TOKEN)
        for name, make in figures.items():
            content = png_of(make())
            assert content.startswith(b"\x89PNG") and len(content) > 1000, name

    def test_an_empty_split_has_no_metrics_and_no_pictures(self, output: Output) -> None:
        data = data_of(output)
        task = of(data.spec)
        nothing = torch.full_like(data.test.targets, unscored(data.test.targets))
        score, whole = measured(task, random_logits(data, nothing), nothing)
        assert all_metrics(task, score, whole) == {}
        assert whole is None or whole.figures() == {}


# --- in a training ------------------------------------------------------------------------------


def training(data: Data, **settings: Any) -> Training:
    model = model_of("lstm", data.spec).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    patience = settings.pop("waits_for", 0)
    schedule = plateau(optimizer, higher_is_better=False, patience=patience, min_delta=0.1)
    given = {"epochs": 3, "batch_size": 7, "log_every_steps": 2, **settings}
    return Training(model, optimizer, schedule, Settings(**given), 0, CPU, of(data.spec))


def ending(run: Training) -> dict[str, Any]:
    state = copy.deepcopy(state_of(run))
    for timed in ("seconds", "best_metrics"):
        del state["progress"][timed]
    return state


@pytest.mark.parametrize(("output", "made_of", "context"), FORMS, ids=name_of)
def test_a_run_that_is_cut_off_anywhere_ends_as_if_nothing_had_been(
    output: Output, made_of: Any, context: Any
) -> None:
    data = data_of(output, made_of, context)
    whole = training(data)
    *reports, last = fit(whole, data)
    assert last.kind == "test" and math.isfinite(last.metrics["test/loss_nats"])
    for cut in (1, 6, len(reports) - 1):
        begun = training(data)
        for _ in itertools.islice(fit(begun, data), cut):
            pass
        kept = decode(*encode(state_of(begun)))
        resumed = training(data)
        restore(resumed, kept)
        *_, end = fit(resumed, data)
        assert same(ending(resumed), ending(whole))
        for name in end.metrics.keys() - {"time/train_seconds"}:
            if not name.startswith(("time/", "speed/")):
                assert end.metrics[name] == last.metrics[name]


@pytest.mark.parametrize("output", ANY_MODEL)
def test_every_kind_learns(output: Output) -> None:
    data = data_of(output, rows=60)
    run = training(data, epochs=25, batch_size=10, waits_for=100)
    reports = [report.metrics for report in fit(run, data) if report.kind == "epoch"]
    first, last = reports[0], reports[-1]
    assert last["train/loss_nats"] < first["train/loss_nats"]
    if output is not Output.NEXT_TOKEN:  # of which nothing follows
        limit = run.task.ignorance([data.train.targets])
        assert last["train/loss_nats"] < 0.95 * limit


@pytest.mark.parametrize("precision", ["bf16"])
@pytest.mark.parametrize(("output", "made_of", "context"), FORMS, ids=name_of)
def test_every_kind_is_trained_in_bf16(
    output: Output, made_of: Any, context: Any, precision: str
) -> None:
    data = data_of(output, made_of, context)
    *_, last = fit(training(data, epochs=1, precision=precision), data)
    assert math.isfinite(last.metrics["test/loss_nats"])


def test_a_context_is_learned_to_be_read() -> None:
    data = data_of(Output.SEQUENCE_CLASS, LETTERS, LETTERS)
    run = training(data, epochs=1)
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    list(fit(run, data))
    changed = {n for n, t in run.model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {*before}


def test_windows_of_a_sequence_with_a_context_go_on_from_it() -> None:
    data = data_of(Output.NEXT_TOKEN, LETTERS, LETTERS)
    model = model_of("lstm", data.spec)
    task = of(data.spec)
    scores = [evaluate(model, task, data.test.batches(10), window) for window in (None, 1, 3)]
    assert scores[1].nats == pytest.approx(scores[0].nats, rel=1e-9)
    assert scores[2].nats == pytest.approx(scores[0].nats, rel=1e-9)
    run = training(data, epochs=1, bptt=BPTT(k1=2, k2=4))
    *_, last = fit(run, data)
    assert math.isfinite(last.metrics["test/loss_nats"])
