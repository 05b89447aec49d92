"""Dynamic evaluation: it learns from what it has scored, and leaves the model as it was."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.build import refuse_dynamic_evaluation
from seqexp.data import Data
from seqexp.dataset.chars import Chars
from seqexp.dataset.text import Text
from seqexp.errors import InputError
from seqexp.model.lstm import LSTM
from seqexp.optimizer.lazy_adam import LazyAdam
from seqexp.optimizer.schedule import constant
from seqexp.task.kinds import of
from seqexp.trainer import check
from seqexp.trainer.distributed import Processes
from seqexp.trainer.dynamic import Sizes, dynamic_metrics, evaluate_dynamically, gradient_sizes
from seqexp.trainer.loop import fit
from seqexp.trainer.score import evaluate
from seqexp.trainer.settings import BPTT, DynamicEvaluation, Settings
from seqexp.trainer.training import Training

CPU = torch.device("cpu")
HABIT, OTHER = "abcd" * 60, "adcb" * 60


@pytest.fixture(scope="module")
def drifting() -> Data:
    """A text that runs the other way where it is held out."""
    return Chars(
        text=HABIT + HABIT + OTHER, batch_size=4, valid_share=1 / 6, test_share=1 / 6
    ).load()


def training(data: Data, rates: list[float] | None, **more: Any) -> Training:
    torch.manual_seed(0)
    model = LSTM(data.spec, hidden_size=16, **more)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    settings = Settings(
        epochs=2, batch_size=4, bptt=BPTT(k1=20), dynamic_evaluation=DynamicEvaluation(rates)
    )
    return Training(model, optimizer, constant(optimizer), settings, 0, CPU, of(data.spec))


def test_a_text_that_drifts_is_learned_on_and_the_test_stays_what_it_was(drifting: Data) -> None:
    plain, ours = training(drifting, None), training(drifting, [1e-9, 0.01])
    before = list(fit(plain, drifting))[-1].metrics
    found = list(fit(ours, drifting))[-1].metrics
    assert found["dynamic/rate"] == 0.01  # by validation, which drifts too
    assert found["test/dynamic_loss_nats"] < found["test/loss_nats"] - 0.1
    bits = found["test/dynamic_loss_nats"] / math.log(2)
    assert found["test/dynamic_bits_per_token"] == pytest.approx(bits)
    same = [name for name in before if name.startswith(("test/", "best/"))]
    assert {name: found[name] for name in same} == {name: before[name] for name in same}
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, ours.model.state_dict()[name])


def test_without_a_step_it_is_the_test_itself(drifting: Data) -> None:
    model, task = training(drifting, None).model, of(drifting.spec)
    weights = copy.deepcopy(model.state_dict())
    sizes = gradient_sizes(model, task, drifting.train, 20)
    still = evaluate_dynamically(model, task, drifting.test, sizes, 0.0, DynamicEvaluation())
    plain = evaluate(model, task, drifting.test.batches(1), 20)
    assert (still.nats, still.count) == (pytest.approx(plain.nats, rel=1e-6), plain.count)
    assert all(torch.equal(weights[name], t) for name, t in model.state_dict().items())


def test_two_pieces_are_those_of_a_step_by_hand(drifting: Data) -> None:
    model, task = training(drifting, None).model.eval(), of(drifting.spec)
    text = drifting.test
    tokens, targets = text.tokens[:, :8].long(), text.targets[:, :8].long()
    test = replace(text, tokens=tokens, targets=targets)
    sizes = Sizes([torch.full_like(p, 2.0) for p in model.parameters()], 2.0)
    settings = DynamicEvaluation(decay=0.5, tokens=4)
    found = evaluate_dynamically(model, task, test, sizes, 0.1, settings)
    twin = copy.deepcopy(model)
    logits, carry = twin(tokens[:, :4])
    first = task.nats(logits, targets[:, :4])
    (first / 4).backward()
    with torch.no_grad():
        for weight in twin.parameters():  # at the trained weights, decay pulls nowhere
            weight -= 0.1 / (2.0 + 0.1 * 2.0) * weight.grad
        logits, _ = twin(tokens[:, 4:], carry)
        both = float(first) + float(task.nats(logits, targets[:, 4:]))
    assert found.nats == pytest.approx(both)


def test_decay_pulls_all_the_way_at_most() -> None:
    pull = Sizes([torch.tensor([0.0, 1.0, 100.0])], 1.0).pull(0.25)
    torch.testing.assert_close(pull[0], torch.tensor([0.0, 0.25, 1.0]))


def test_tables_that_are_stepped_lazily_are_learned_on_too(drifting: Data) -> None:
    lazy = training(drifting, None, embedding_size=4)
    told = LazyAdam(lazy.model.parameters(), lr=0.01).serve(lazy.model.input.table)
    lazy.model.input.on_reading = told
    whole = dynamic_metrics(lazy.model, lazy.task, drifting, DynamicEvaluation([0.01]))
    assert lazy.model.input.on_reading is told
    lazy.model.input.on_reading = None
    assert dynamic_metrics(lazy.model, lazy.task, drifting, DynamicEvaluation([0.01])) == whole


def test_rates_that_diverge_are_left_out_and_said(
    drifting: Data, caplog: pytest.LogCaptureFixture
) -> None:
    ours = training(drifting, None)
    with torch.no_grad():
        ours.model.head.output.bias[1] = torch.nan
    with caplog.at_level("WARNING"):
        found = dynamic_metrics(ours.model, ours.task, drifting, DynamicEvaluation([0.1]))
    assert found == {} and "left out" in caplog.text


@pytest.mark.parametrize(
    ("kind", "recurrent", "more", "said"),
    [
        ("next_token", True, {}, None),
        ("sequence_class", True, {}, "the dataset's task is of the kind sequence_class, not next"),
        ("next_token", False, {}, "Own has no state that it reads on with"),
        ("next_token", True, {"replicas": 4}, "trainer.replicas is 4; give one of them null"),
    ],
)
def test_what_cannot_learn_on_is_refused(
    kind: str, recurrent: bool, more: dict[str, Any], said: str | None
) -> None:
    trainer = {"dynamic_evaluation": {"rates": [0.1]}, "replicas": None, **more}
    model = {"_target_": "my_lab.Own", "_constants_": {"recurrent": recurrent}}
    dataset = {"_target_": "my_lab.Own", "_constants_": {}, "task": kind}
    rule = check.what_learns_on_reads_a_text_and_has_a_state
    found = list(rule(trainer, model, dataset))
    assert not found if said is None else said in found[0]


def test_texts_that_are_read_each_by_itself_are_refused(drifting: Data) -> None:
    settings = Settings(dynamic_evaluation=DynamicEvaluation([0.1]))
    texts = Text(task="next_token", num_made=40).load()
    with pytest.raises(InputError, match="the test is 4 sequences of their own.*give null"):
        refuse_dynamic_evaluation(settings, texts, Processes())
    refuse_dynamic_evaluation(settings, drifting, Processes())
