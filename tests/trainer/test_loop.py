"""The loop: what it computes, when it stops, what it leaves behind."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data import Batch, Data, Sequences
from seqexp.dataset.motif import Motif
from seqexp.errors import NonFiniteError, RunError
from seqexp.model.cnn1d import CNN1D
from seqexp.optimizer.schedule import constant, inverse_time
from seqexp.spec import IGNORE, TaskSpec
from seqexp.task.classes import ClassesOfSplit
from seqexp.task.kinds import of
from seqexp.trainer.loop import fit, train_batch
from seqexp.trainer.score import Score, evaluate
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Place, Report, Training

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Data:
    return Motif(num_train=60, num_valid=20, num_test=20).load()


def training(data: Data, seed: int = 0, lr: float = 0.05, **settings: Any) -> Training:
    torch.manual_seed(seed)
    model_settings = settings.pop("model", {})
    model = CNN1D(data.spec, num_filters=4, **model_settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Training(
        model, optimizer, constant(optimizer), Settings(**settings), seed, CPU, of(data.spec)
    )


def weights(of: Training) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in of.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def epochs(reports: list[Report]) -> list[dict[str, float]]:
    timed = ("speed/", "time/")
    return [
        {k: v for k, v in report.metrics.items() if not k.startswith(timed)}
        for report in reports
        if report.kind not in ("update", "step")
    ]


def test_the_loop_equals_one_written_out_by_hand(data: Data) -> None:
    """Three epochs of plain PyTorch on the same batches, in the same order."""
    ours = training(data, epochs=3, batch_size=50, test_weights="last", log_every_steps=None)
    start = weights(ours)
    reports = list(fit(ours, data))
    by_hand = training(data)
    by_hand.model.load_state_dict(start)
    from seqexp.seeding import stream_seed

    for epoch in (1, 2, 3):
        generator = torch.Generator().manual_seed(stream_seed(0, "order", epoch))
        order = torch.randperm(120, generator=generator)
        total = 0.0
        for rows in (order[:50], order[50:100], order[100:]):
            logits, _ = by_hand.model(data.train.tokens[rows].long())
            loss = torch.nn.functional.cross_entropy(logits[:, 0], data.train.targets[rows, 0])
            by_hand.optimizer.zero_grad()
            loss.backward()
            by_hand.optimizer.step()
            total += loss.item() * len(rows)
        assert epochs(reports)[epoch - 1]["train/loss_nats"] == pytest.approx(total / 120)
    for name, tensor in ours.model.state_dict().items():
        torch.testing.assert_close(tensor, by_hand.model.state_dict()[name])


def test_the_same_seed_gives_the_same_run_bit_for_bit_and_another_does_not(data: Data) -> None:
    dropout = {"model": {"dropout": 0.3}}
    runs = [training(data, seed, epochs=2, **dropout) for seed in (0, 0, 1)]
    reports = [epochs(list(fit(run, data))) for run in runs]
    assert same(weights(runs[0]), weights(runs[1])) and reports[0] == reports[1]
    assert not same(weights(runs[0]), weights(runs[2]))


def test_what_others_draw_between_steps_does_not_change_a_run(data: Data) -> None:
    quiet = training(data, epochs=2, model={"dropout": 0.3}, log_every_steps=1)
    list(fit(quiet, data))
    noisy = training(data, epochs=2, model={"dropout": 0.3}, log_every_steps=1)
    for _ in fit(noisy, data):
        torch.rand(7)
        noisy.model.eval() if noisy.step % 2 == 3 else None
    assert same(weights(quiet), weights(noisy))


def test_a_small_last_batch_does_not_count_more_than_its_sequences(data: Data) -> None:
    model = training(data).model
    whole = evaluate(model, of(data.spec), data.train.batches(120))
    parts = evaluate(model, of(data.spec), data.train.batches(7))
    assert parts.count == whole.count == 120
    assert parts.nats == pytest.approx(whole.nats, rel=1e-5)
    assert parts.extras == whole.extras


def test_ignored_targets_are_not_scored(next_token_spec: TaskSpec) -> None:
    model = CNN1D(next_token_spec, num_filters=2)
    tokens = torch.tensor([[1, 2, 3], [4, 1, 2]])
    targets = torch.tensor([[2, 3, IGNORE], [1, IGNORE, IGNORE]])
    score = evaluate(model, of(next_token_spec), [Batch(tokens, targets)])
    assert score.count == 3
    nothing = evaluate(
        model, of(next_token_spec), [Batch(tokens, torch.full_like(targets, IGNORE))]
    )
    assert nothing.metrics("test", of(next_token_spec)) == {}


def test_next_token_metrics_follow_from_the_loss(next_token_spec: TaskSpec) -> None:
    metrics = Score(math.log(8) * 10, 10, (4.0,)).metrics("test", of(next_token_spec))
    assert metrics == pytest.approx(
        {
            "test/loss_nats": math.log(8),
            "test/accuracy": 0.4,
            "test/perplexity": 8,
            "test/bits_per_token": 3,
        }
    )


# --- best epoch and early stopping ------------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Let validation return these losses, epoch by epoch; the test returns 9."""
    script = iter([*losses])

    def evaluate(*parts: Any, **more: Any) -> Score:
        return Score(nats=next(script, 9.0), count=1, extras=(0.0,))

    monkeypatch.setattr("seqexp.trainer.loop.evaluate", evaluate)


def test_the_best_epochs_weights_are_tested(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [3.0, 1.0, 2.0])
    run, seen = training(data, epochs=3), []
    for report in fit(run, data):
        if report.kind == "epoch":
            seen.append(weights(run))
            assert report.is_best == (report.step in (1, 2))
    assert same(weights(run), seen[1]) and not same(weights(run), seen[2])
    assert report.metrics["best/epoch"] == 2 and report.metrics["best/valid_loss_nats"] == 1.0


def test_the_best_loss_and_the_highest_accuracy_may_be_of_different_epochs(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter(
        [Score(sum_, 10, (n,)) for sum_, n in ((3.0, 7.0), (1.0, 5.0), (2.0, 6.0), (9.0, 1.0))]
    )
    monkeypatch.setattr("seqexp.trainer.loop.evaluate", lambda *_, **__: next(scores))
    metrics = list(fit(training(data, epochs=3), data))[-1].metrics
    assert metrics["best/epoch"] == 2
    assert metrics["best/valid_accuracy"] == 0.5  # at the best loss
    assert metrics["best/valid_accuracy_max"] == 0.7


def test_the_last_weights_are_tested_where_that_is_wanted(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [1.0, 3.0])
    run = training(data, epochs=2, test_weights="last")
    for report in fit(run, data):
        if report.kind == "epoch":
            last = weights(run)
    assert same(weights(run), last)


@pytest.mark.parametrize(
    ("losses", "settings", "expected"),
    [
        ([3.0, 2.0, 2.5, 2.5, 1.0, 1.0], {"patience": 2}, 4),  # two epochs after the best
        ([3.0, 2.0, 2.5, 2.5, 1.0, 1.0], {"patience": 3}, 6),
        ([3.0, 2.0, 2.5, 2.5, 2.5, 2.5], {"patience": None}, 6),
        ([3.0, 2.9, 2.8, 2.7, 2.6, 2.5], {"patience": 2, "min_delta": 0.5}, 3),
        ([3.0, 2.9, 2.8, 2.7, 2.6, 2.5], {"patience": 2, "min_delta": 0.05}, 6),
    ],
)
def test_training_stops_when_patience_ends(
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    losses: list[float],
    settings: dict[str, Any],
    expected: int,
) -> None:
    scripted(monkeypatch, losses)
    reports = list(fit(training(data, epochs=6, **settings), data))
    assert [r.step for r in reports if r.kind == "epoch"] == list(range(1, expected + 1))


def test_accuracy_is_better_when_it_is_higher(data: Data) -> None:
    run = training(data, epochs=6, monitor="valid/accuracy")
    reports = [r for r in fit(run, data) if r.kind == "epoch"]
    values = [report.metrics["valid/accuracy"] for report in reports]
    assert max(values) > min(values)
    assert run.best_epoch == values.index(max(values)) + 1


def test_without_validation_data_all_epochs_run_and_the_last_weights_are_tested(
    data: Data,
) -> None:
    empty = Sequences(data.valid.tokens[:0], data.valid.targets[:0])
    reports = list(fit(training(data, epochs=2), replace(data, valid=empty)))
    assert [report.kind for report in reports if report.kind not in ("update", "step")] == [
        "epoch",
        "epoch",
        "test",
    ]
    assert "best/epoch" not in reports[-1].metrics


# --- clipping and what must not be stepped on -------------------------------------------------


def first_batch(data: Data) -> Batch:
    return next(data.train.batches(32, 0))


def step_taken(run: Training, data: Data) -> torch.Tensor:
    before = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    list(train_batch(run, Place(), first_batch(data), 1))
    after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    return after - before


def test_clipping_by_norm_scales_the_whole_gradient(data: Data) -> None:
    free, clipped = (
        step_taken(training(data, lr=1.0, clip_norm=limit), data) for limit in (None, 0.01)
    )
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=0, atol=1e-4)


def test_clipping_by_value_limits_each_entry(data: Data) -> None:
    free, clipped = (
        step_taken(training(data, lr=1.0, clip_value=limit), data) for limit in (None, 0.001)
    )
    # a step is a difference of rounded weights
    torch.testing.assert_close(clipped, free.clamp(-0.001, 0.001), rtol=0, atol=1e-6)
    assert clipped.abs().max() <= 0.001 + 1e-6


def test_a_gradient_within_the_limits_is_left_alone_to_the_bit(data: Data) -> None:
    free = step_taken(training(data), data)
    wide = step_taken(training(data, clip_norm=1e6, clip_value=1e6), data)
    assert torch.equal(free, wide)


def test_norms_are_those_before_clipping_and_the_clipped_share_is_counted(data: Data) -> None:
    free = list(fit(training(data, epochs=1, lr=1e-6), data))[-2].metrics
    limit = free["grad/norm_mean"]
    clipped = list(fit(training(data, epochs=1, lr=1e-6, clip_norm=limit), data))[-2].metrics
    assert clipped["grad/norm_max"] == pytest.approx(free["grad/norm_max"], rel=1e-3)
    assert free["grad/clipped_fraction"] == 0
    assert 0 < clipped["grad/clipped_fraction"] < 1
    assert free["grad/clipped_norm_mean"] == free["grad/norm_mean"]


@pytest.mark.parametrize("limit", ["clip_norm", "clip_value"])
def test_norms_after_clipping_are_those_of_the_gradients_that_are_used(
    data: Data, limit: str
) -> None:
    run = training(data, lr=1.0, epochs=1, log_every_steps=1, **{limit: 0.01})
    run.optimizer.param_groups[0]["momentum"] = 0  # then a step at lr 1 is the gradient
    before = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    steps = []
    for report in itertools.islice(fit(run, data), 4):
        after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
        size = report.metrics["step/grad_norm_clipped"]
        assert size == pytest.approx((after - before).norm().item(), rel=1e-3)
        assert size <= report.metrics["step/grad_norm"]
        steps.append(report.metrics)
        before = after
    assert any(m["step/grad_norm_clipped"] < m["step/grad_norm"] for m in steps)
    epoch = list(fit(training(data, epochs=1, log_every_steps=1, **{limit: 0.01}), data))
    sizes = [r.metrics["step/grad_norm_clipped"] for r in epoch if r.kind == "step"]
    mean = epoch[-2].metrics["grad/clipped_norm_mean"]
    assert len(sizes) == 4 and mean == pytest.approx(sum(sizes) / 4)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_non_finite_gradient_is_named_and_the_weights_stay(data: Data, value: float) -> None:
    run = training(data)
    run.model.conv.weight.register_hook(lambda gradient: gradient * value)  # type: ignore[union-attr]
    before = weights(run)
    with pytest.raises(
        NonFiniteError, match=r"gradient of conv.weight is (inf|nan) at epoch 1, b.* 1"
    ):
        list(fit(run, data))
    assert same(before, weights(run))
    assert run.step == 0


def test_a_non_finite_loss_is_named_and_the_weights_stay(data: Data) -> None:
    run = training(data)
    with torch.no_grad():
        run.model.head.output.bias.fill_(math.inf)  # type: ignore[union-attr]
    before = weights(run)
    with pytest.raises(
        NonFiniteError, match="head.output.bias has inf or nan before epoch 1, b.* 1"
    ):
        list(fit(run, data))
    assert same(before, weights(run))
    assert issubclass(NonFiniteError, FloatingPointError) and issubclass(NonFiniteError, RunError)


def test_bfloat16_computes_forward_and_keeps_float32_weights(data: Data) -> None:
    exact = list(fit(training(data, epochs=1), data))[-1].metrics["test/loss_nats"]
    run = training(data, epochs=1, precision="bf16")
    rounded = list(fit(run, data))[-1].metrics["test/loss_nats"]
    assert all(p.dtype is torch.float32 for p in run.model.parameters())
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.02)


def test_step_reports_cover_their_updates(data: Data) -> None:
    run = training(data, epochs=2, batch_size=20, log_every_steps=4)
    steps = [report for report in fit(run, data) if report.kind == "step"]
    assert [report.step for report in steps] == [4, 8, 12]
    assert set(steps[0].metrics) == {
        "step/loss_nats",
        "step/grad_norm",
        "step/grad_norm_clipped",
        "step/learning_rate",
    }


def test_the_schedule_counts_updates(data: Data) -> None:
    run = training(data, epochs=2, batch_size=40, lr=0.1)
    run.scheduler = inverse_time(run.optimizer, decay=0.5)
    rates = [r.metrics["train/learning_rate"] for r in fit(run, data) if r.kind == "epoch"]
    # three updates an epoch: 0.1 / (1 + 0.5 * 3), 0.1 / (1 + 0.5 * 6)
    assert rates == pytest.approx([0.04, 0.025])


def test_fewer_sequences_are_drawn_by_class_with_the_seed(data: Data) -> None:
    few = data.at_most(10, 3)
    assert [len(split) for split in few.splits().values()] == [10, 10, 10]
    assert few.train.targets[:, 0].tolist() == [1] * 5 + [0] * 5  # in the order of all
    assert few.digest() == data.at_most(10, 3).digest() != data.at_most(10, 4).digest()
    assert data.at_most(None, 0) is data and data.at_most(10**6, 0).digest() == data.digest()
    stream = replace(data.train, is_stream=True)
    assert stream.at_most(1, 0) is stream


@pytest.mark.parametrize("labels", [[0, 1] * 50, [0] * 50 + [1] * 50, [0] * 98 + [1, 2]])
def test_a_sample_holds_classes_as_often_as_all_do(labels: list[int]) -> None:
    """Whatever their order: every second row of a table that alternates is of one class."""
    targets = torch.tensor(labels)[:, None]
    split = Sequences(torch.arange(1, 101)[:, None], targets)
    rows = split.drawn(100, 0)
    assert sorted(rows.tolist()) == [*range(100)]
    shares = targets[:, 0].bincount() / 100
    for count in (50, 51, 80):
        counts = targets[rows[:count], 0].bincount(minlength=len(shares))
        assert ((counts - shares * count).abs() <= 1).all()
    assert torch.equal(split.drawn(30, 0), rows[:30])
    assert not torch.equal(split.drawn(100, 1), rows)


def test_fewer_sequences_keep_what_was_planted_in_each(data: Data) -> None:
    few = data.at_most(10, 0).train
    assert data.train.planted is not None and few.planted is not None
    assert 0 < int(few.planted.sum()) < int(data.train.planted.sum())
    # the motif is in the centre of the positives, which come first
    assert few.planted.any(dim=1).tolist() == [True] * 5 + [False] * 5


def test_a_models_penalty_is_part_of_what_is_minimised(data: Data) -> None:
    """One step of plain SGD: an L1 norm of weight 0.5 moves each weight by 0.5 lr to zero."""
    moved = []
    for filter_l1 in (0.0, 0.5):
        torch.manual_seed(0)
        model = CNN1D(data.spec, num_filters=2, filter_width=5, filter_l1=filter_l1)
        before = model.conv.weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
        settings = Settings(epochs=1, batch_size=10**6)
        training = Training(model, optimizer, constant(optimizer), settings, 0, CPU, of(data.spec))
        list(fit(training, data))
        moved.append(model.conv.weight.detach() - before)
    torch.testing.assert_close(moved[1] - moved[0], -0.0005 * before.sign(), rtol=0, atol=1e-6)


def test_two_classes_are_tested_by_their_ranking_too(data: Data) -> None:
    *_, last = fit(training(data, epochs=3), data)
    assert 0 <= last.metrics["test/auprc"] <= 1 and 0 <= last.metrics["test/auroc"] <= 1
    whole = ClassesOfSplit(data.spec.output_names)
    logits = torch.tensor([[[0.0, 4]], [[0, 3]], [[1, 3]], [[2, 3]], [[0, 9]]])
    whole.add(logits, torch.tensor([[1], [0], [1], [0], [IGNORE]]))
    # in order of their margins 4, 3, 2, 1: right, wrong, right, wrong
    found = whole.metrics()
    assert found["auroc"] == 0.75 and found["auprc"] == pytest.approx((1 + 2 / 3) / 2)
    assert ClassesOfSplit(data.spec.output_names).metrics() == {}


def test_one_output_is_ranked_as_the_two_it_stands_for() -> None:
    whole = ClassesOfSplit(("no", "yes"))
    whole.add(torch.tensor([[[4.0]], [[3]], [[2]], [[1]]]), torch.tensor([[1], [0], [1], [0]]))
    assert whole.metrics()["auroc"] == 0.75
