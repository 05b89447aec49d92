"""Counted n-grams of the next token: beside a slow count, their laws, and a run."""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, SHARED
from training import composed

from seqexp import build
from seqexp.config.check import check
from seqexp.data import Data, Sequences
from seqexp.dataset.chars import Chars
from seqexp.errors import ConfigError, InputError
from seqexp.inference.saved_model import load, save
from seqexp.model.kneser_ney import FALLBACK, KneserNey, discounts
from seqexp.spec import IGNORE, PAD, Features, Output, TaskSpec, Vocabulary
from seqexp.trainer.loop import fit

ABC = Vocabulary(("a", "b", "c"))
SPEC = TaskSpec(ABC, 4, Output.NEXT_TOKEN, ("padding", "a", "b", "c"))


def slow(text: str, order: int) -> Any:
    """The model of the yardstick, which is counted in dictionaries."""
    path = ROOT / "tests" / "baselines" / "ngram.py"
    spec = importlib.util.spec_from_file_location("ngram", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KneserNey(text, order)


def text_of(count: int, seed: int = 0) -> str:
    """Letters of which many n-grams are rare."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(count, generator=generator) ** 2
    return "".join("abcdefghijklmnopqrst"[int(20 * share)] for share in shares)


def data_of(text: str) -> Data:
    return Chars(text=text, batch_size=1, cache=None).load()


def counted(spec: TaskSpec, train: Sequences, order: int) -> KneserNey:
    model = KneserNey(spec, order)
    model.count(train)
    model.solver(train).fit(0)
    return model


def streams(*rows: list[int]) -> Sequences:
    """Rows whose next tokens are asked for; padded on the right."""
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    targets = torch.full_like(tokens, IGNORE)
    targets[:, :-1] = tokens[:, 1:].where(tokens[:, 1:] != PAD, IGNORE)
    return Sequences(tokens, targets)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_are_those_of_a_slow_count(order: int) -> None:
    text = text_of(3000)
    data = data_of(text)
    model, expected = counted(data.spec, data.train, order), slow(text[:-300], order)
    logits, _ = model(data.test.tokens.long())
    start = len(text) - 150
    nats = torch.nn.functional.cross_entropy(
        logits[0], data.test.targets[0].long(), reduction="none"
    )
    found = nats[order:].double().neg().exp()
    by_hand = [
        expected.probability(text[max(0, i - order + 1) : i], text[i])
        for i in range(start + 1 + order, len(text))
    ]
    torch.testing.assert_close(found, torch.tensor(by_hand, dtype=torch.double), rtol=0.02, atol=0)


def test_a_row_by_hand() -> None:
    # bigrams ab, bc, ca, ab: too few for an estimate, so discounts are 0.5, 0.75 and 0.9
    model = counted(SPEC, streams([1, 2, 3, 1, 2]), 2)
    logits, _ = model(torch.tensor([[1]]))
    # after a: b twice, of 2; the share 0.75 / 2 goes to the shorter n-grams, of whose three kinds
    # each stands behind one token: (1 - 0.5) / 3 each, and 0.5 is shared by all three symbols
    # (the first "ab" begins the sequence, which is not what stands before b alone)
    shorter = 0.5 / 3 + 0.5 / 3
    expected = torch.tensor([0.375 * shorter, (2 - 0.75) / 2 + 0.375 * shorter, 0.375 * shorter])
    torch.testing.assert_close(logits[0, 0, 1:].exp(), expected)


def test_the_first_tokens_of_a_sequence_stand_behind_its_beginning() -> None:
    train = streams([1, 2, 3], [1, 2, 1], [2, 2, 3])
    counts = KneserNey(SPEC, 3).solver(train).counts
    assert counts.codes[1].tolist() == [4 + 2, 8 + 1, 8 + 2, 8 + 3]
    # ab and bb stand at the beginning alone, and bc behind a and b
    assert counts.of(2, 3).tolist() == [1, 1, 1, 2]


def test_probabilities_sum_to_one_and_padding_has_none() -> None:
    data = data_of(text_of(1000))
    model = counted(data.spec, data.train, 3)
    shares = model(data.test.tokens.long())[0].double().exp()
    torch.testing.assert_close(shares.sum(2), torch.ones(shares.shape[:2], dtype=torch.double))
    assert float(shares[..., PAD].detach().max()) < 1e-20


def test_windows_and_padding_change_nothing_and_later_tokens_neither() -> None:
    model = counted(SPEC, streams([1, 2, 3, 1, 2, 2, 3, 1] * 5), 4)
    tokens = torch.tensor([[1, 2, 2, 3, 1, 2, 3], [2, 2, 1, 1, 3, 3, 1]])
    whole, _ = model(tokens)
    for cut in (1, 3, 6):
        first, carry = model(tokens[:, :cut])
        second, _ = model(tokens[:, cut:], carry)
        assert torch.equal(torch.cat([first, second], dim=1), whole)
    padded, _ = model(torch.nn.functional.pad(tokens, (2, 3), value=PAD))
    torch.testing.assert_close(padded[:, 2:9], whole)
    changed = tokens.clone()
    changed[:, 4:] = 1
    assert torch.equal(model(changed)[0][:, :4], whole[:, :4])


def test_padded_sequences_are_counted_as_each_alone() -> None:
    short, long = [1, 2, 3], [2, 3, 1, 1, 2]
    together = KneserNey(SPEC, 3).solver(streams(short, long)).counts
    apart = [KneserNey(SPEC, 3).solver(streams(row)).counts for row in (short, long)]
    for size in range(3):
        every = torch.cat([one.codes[size] for one in apart]).unique()
        assert torch.equal(together.codes[size], every)
        assert together.counts[size].sum() == sum(one.counts[size].sum() for one in apart)


def test_discounts_are_estimated_from_how_many_n_grams_are_rare() -> None:
    # five occur once, two twice, one three times: the share is 5 / 9
    counts = torch.tensor([1, 1, 1, 1, 1, 2, 2, 3])
    share = 5 / 9
    assert discounts(counts) == pytest.approx((1 - 2 * share * 2 / 5, 2 - 3 * share / 2, 3))
    assert discounts(torch.tensor([1, 1, 2])) == FALLBACK


def begun(folder: Path, *overrides: str) -> tuple[Any, Any, Any]:
    given = ("dataset=chars", "model=kneser-ney", "tracking=none", "dataset.num_chars=3000")
    config = check(composed(folder, *given, *overrides))
    made = build.parts(config)
    data = build.load(made)
    return build.prepare_training(made, data, torch.device("cpu")), data, config


def test_each_order_is_an_epoch_and_validation_chooses(tmp_path: Path) -> None:
    training, data, config = begun(tmp_path)
    reports = list(fit(training, data))
    epochs = [report.metrics for report in reports if report.kind == "epoch"]
    losses = [metrics["valid/loss_nats"] for metrics in epochs]
    assert [metrics["train/order"] for metrics in epochs] == list(range(1, len(losses) + 1))
    tested = reports[-1].metrics
    assert tested["best/order"] == losses.index(min(losses)) + 1 > 2
    assert tested["test/loss_nats"] < 0.7 * epochs[0]["valid/loss_nats"]
    save(tmp_path / "model", training.model, data.spec, config)
    tokens = data.test.tokens.long()
    loaded = load(tmp_path / "model").model
    assert torch.equal(loaded(tokens)[0], training.model(tokens)[0])


def test_an_experiment_of_a_network_runs_with_counts(tmp_path: Path) -> None:
    training, data, _ = begun(
        *(tmp_path, "trainer.bptt.k1=20", "trainer.average=ema", "model.order=2"),
        "trainer.dynamic_evaluation.rates=[0.001]",
    )
    reports = list(fit(training, data))
    assert math.isfinite(reports[-1].metrics["test/loss_nats"])
    assert not any("dynamic" in name for name in reports[-1].metrics)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("dataset=text",), "kind of task is sequence_class"),
        (("trainer.replicas=2",), "trainer.replicas is 2, but model=kneser-ney"),
        (("model.order=0",), "model.order is 0"),
        (("+model.from_run=abc",), "model.from_run is abc, but model=kneser-ney is fitted"),
    ],
)
def test_wrong_configs_are_refused(tmp_path: Path, overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(composed(tmp_path, "dataset=chars", "model=kneser-ney", *overrides))


def test_wrong_data_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="order is 64, but of 3 symbols.* at most 31 tokens"):
        KneserNey(SPEC, 64)
    for spec, told in (
        (replace(SPEC, output=Output.TOKEN_CLASS), "kind of task is token_class"),
        (replace(SPEC, features=Features(2, ("x", "y"))), "are of numbers"),
        (replace(SPEC, context=ABC), "has a context"),
    ):
        with pytest.raises(InputError, match=told):
            KneserNey(spec)
    nothing = Sequences(torch.tensor([[1]]), torch.tensor([[IGNORE]]))
    with pytest.raises(InputError, match="no token in training whose next one is known"):
        KneserNey(SPEC).count(nothing)


@pytest.mark.slow
def test_tiny_shakespeare_has_the_bits_of_the_slow_count() -> None:
    path = SHARED / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip("needs the text")
    data = Chars(path=str(path), cache=None).load()
    model = counted(data.spec, data.train, 5)
    with torch.no_grad():
        logits, _ = model(data.test.tokens.long())
    loss = torch.nn.functional.cross_entropy(logits[0], data.test.targets[0].long())
    assert float(loss) / math.log(2) == pytest.approx(2.3365, abs=5e-4)
