"""Vectors of n-grams beside a network: the laws of every model hold with them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from forms import LETTERS, model_of, sequences_of, shifted, spec_of
from training import composed

from seqexp import build
from seqexp.config.check import check
from seqexp.data import Batch, Sequences
from seqexp.errors import ConfigError, InputError
from seqexp.inference.saved_model import load, save
from seqexp.model.added_ngrams import AddedNGrams, top_of
from seqexp.model.convolution import Convolution
from seqexp.spec import Output
from seqexp.task import kinds
from seqexp.trainer.loop import fit
from seqexp.trainer.losses import Losses
from seqexp.trainer.state import restore, state_of

CASES = [
    (name, to, output, more)
    for name, output, more in (
        ("lstm", Output.SEQUENCE_CLASS, {}),
        ("lstm", Output.NEXT_TOKEN, {}),
        ("rnn", Output.SEQUENCE_CLASS, {"bidirectional": True, "readout": "max"}),
        ("cnn1d", Output.TOKEN_CLASS, {}),
        ("cnn1d", Output.SEQUENCE_CLASS, {"padding": "valid"}),
        (
            "stacked-rnn",
            Output.NEXT_TOKEN,
            {"position_features": 2, "convolution": Convolution(filters=3, width=2)},
        ),
    )
    for to in ("input", "logits")
]
CASES.append(("cnn1d", "mean", Output.SEQUENCE_CLASS, {}))


def made(name: str, to: Any, output: Output, more: dict[str, Any], **changes: Any) -> Any:
    chosen = AddedNGrams(**{"sizes": [1, 3], "min_count": 1, "to": to, **changes})
    model = model_of(name, spec_of(output), embedding_size=5, ngrams=chosen, **more)
    table = model.ngrams.table
    if table.buckets is None:
        targets = torch.zeros(40, 1, dtype=torch.long)
        table.count(Sequences(sequences_of(LETTERS, 40, seed=5), targets))
    with torch.no_grad():  # the first row is of n-grams that are not known
        table.table.normal_(generator=torch.Generator().manual_seed(1))
        table.table[0] = 0
    return model.double()


@pytest.mark.parametrize(("name", "to", "output", "more"), CASES)
class TestEveryModel:
    def test_they_change_the_logits_and_padding_does_not(
        self, name: str, to: str, output: Output, more: dict[str, Any]
    ) -> None:
        model, tokens = made(name, to, output, more), sequences_of(LETTERS)
        plain = model(tokens)[0]
        for longer, start in shifted(tokens):
            logits = model(longer)[0]
            logits = logits[:, start : start + 9] if output.per_position else logits
            torch.testing.assert_close(logits, plain, rtol=0, atol=1e-12)
        plain.square().sum().backward()
        gradient = model.ngrams.table.table.grad
        assert gradient is not None and not gradient[0].any() and gradient[1:].any()
        with torch.no_grad():
            model.ngrams.table.table.zero_()
        assert not torch.allclose(model(tokens)[0], plain)

    def test_windows_equal_one_pass_where_a_model_is_causal(
        self, name: str, to: str, output: Output, more: dict[str, Any]
    ) -> None:
        model, tokens = made(name, to, output, more, buckets=70), sequences_of(LETTERS)
        if not model.causal:
            return
        whole = model(tokens)[0]
        for size in (1, 2, 4):
            carry, parts = None, []
            for window in Batch(tokens, torch.ones(4, 9, dtype=torch.long)).windows(size):
                logits, carry = model(window.tokens, carry)
                parts.append(logits)
            found = torch.cat(parts, dim=1) if output.per_position else parts[-1]
            torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "to"), [("lstm", "input"), ("lstm", "logits"), ("cnn1d", "logits")]
)
def test_the_ngram_with_the_largest_vector_speaks_loudest(name: str, to: str) -> None:
    model = made(name, to, Output.SEQUENCE_CLASS, {})
    table = model.ngrams.table
    with torch.no_grad():
        table.table.zero_()
        table.table[7] = torch.linspace(-3, 3, table.width)
    before = table.table.clone()
    (found,) = model.top(5) if to == "logits" else model.top(5)[:1]
    assert list(found[1]) == table.names([7])[0] and found[2] > 0
    assert torch.equal(table.table, before)  # as it was


def test_both_strands_of_dna_have_the_same_logits() -> None:
    more = {"strands": "both", "readout": "max"}
    model = made("cnn1d", "logits", Output.SEQUENCE_CLASS, more)
    tokens = sequences_of(LETTERS)
    turned = torch.tensor(LETTERS.complements())[tokens].flip(1)
    torch.testing.assert_close(model(turned)[0], model(tokens)[0], rtol=0, atol=1e-12)


def test_dropped_ngrams_are_other_ones_in_each_pass_and_none_in_a_test() -> None:
    model = made("lstm", "logits", Output.SEQUENCE_CLASS, {}, dropout=0.5)
    tokens = sequences_of(LETTERS)
    assert torch.equal(model(tokens)[0], model(tokens)[0])
    model.train()
    assert not torch.equal(model(tokens)[0], model(tokens)[0])


@pytest.mark.parametrize(
    ("changes", "more", "told"),
    [
        ({"sizes": [12]}, {"embedding_size": 4}, r"sizes is \[12\], but sequences have 9 tokens"),
        ({}, {"embedding_size": None}, "tokens are one-hot"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    changes: dict[str, Any], more: dict[str, Any], told: str
) -> None:
    chosen = AddedNGrams(**{"sizes": [2], **changes})
    with pytest.raises(InputError, match=told):
        model_of("lstm", spec_of(length=9), ngrams=chosen, **more)


def test_a_causal_filter_and_a_stack_have_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model.padding is causal"):
        model_of("cnn1d", spec_of(), ngrams=AddedNGrams([2]), padding="causal")
    with pytest.raises(ConfigError, match=r"ngrams.sizes is \[2\], but trainer.replicas is 2"):
        check(composed(tmp_path, "model.ngrams.sizes=[2]", "trainer.replicas=2"))


KEYS = (
    *("dataset=text", "model=lstm", "model.hidden_size=4", "model.embedding_size=4"),
    *("model.ngrams.sizes=[2]", "model.ngrams.min_count=1", "model.ngrams.dropout=0.2"),
    *("trainer.epochs=2", "trainer.max_sequences=24", "trainer.batch_size=8", "tracking=none"),
)


def begun(folder: Path, *overrides: str) -> tuple[Any, Any, Any]:
    config = check(composed(folder, *KEYS, *overrides))
    parts = build.parts(config)
    data = build.load(parts)
    return build.prepare_training(parts, data, torch.device("cpu")), data, config


@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam"])
def test_a_training_resumes_to_the_same_bits_and_is_saved_whole(
    tmp_path: Path, optimizer: str
) -> None:
    whole, data, config = begun(tmp_path, f"optimizer={optimizer}")
    reports = fit(whole, data)
    for _ in range(4):  # three updates and the end of an epoch
        next(reports)
    state = copy.deepcopy(state_of(whole))
    list(reports)
    resumed, _, _ = begun(tmp_path, f"optimizer={optimizer}")
    restore(resumed, state)
    list(fit(resumed, data))
    expected = whole.model.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert expected["ngrams.table.table"][1:].any()
    save(tmp_path / "model", whole.model, data.spec, config)
    tokens = data.test.tokens.long()
    assert torch.equal(load(tmp_path / "model").model(tokens)[0], whole.model.eval()(tokens)[0])


def test_lazy_steps_of_two_tables_are_those_of_adam(tmp_path: Path) -> None:
    found = {}
    for optimizer in ("adam", "lazy-adam"):
        training, data, _ = begun(tmp_path, f"optimizer={optimizer}", "model.ngrams.dropout=0.0")
        list(fit(training, data))
        found[optimizer] = training.model.state_dict()
    for name, tensor in found["adam"].items():
        torch.testing.assert_close(found["lazy-adam"][name], tensor, rtol=0, atol=2e-5)


# --- beside filters, by a loss of their own -----------------------------------------------------


def beside(**changes: Any) -> Any:
    return made("cnn1d", "mean", Output.SEQUENCE_CLASS, {"strands": "both"}, **changes)


def test_what_is_predicted_is_the_mean_of_filters_and_ngrams_on_either_strand() -> None:
    model, tokens = beside(), sequences_of(LETTERS)
    (filters, ngrams), _ = model.members(tokens)
    torch.testing.assert_close(model(tokens)[0], (filters + ngrams) / 2)
    other = torch.tensor(LETTERS.complements())[tokens].flip(1)
    torch.testing.assert_close(model.members(other)[0][1], ngrams)


def test_what_speaks_most_is_what_is_added_to_the_mean() -> None:
    model = beside()
    weights = model.ngrams.table.table[1:].detach()
    halves = (weights - weights.mean(dim=1, keepdim=True)) / 2
    top = top_of(model, model.ngrams, model.spec, 1)
    assert max(adds for _, _, adds in top) == pytest.approx(float(halves.max()))


def test_each_member_learns_as_if_it_were_alone() -> None:
    model, tokens = beside(), sequences_of(LETTERS)
    task = kinds.of(model.spec)
    batch = Batch(tokens, torch.tensor([[0], [1], [1], [0]]))
    losses = Losses(model, task, torch.device("cpu"), bf16=False)
    nats, extras, _ = losses([batch], None, seed=0)
    alone = [task.nats(logits, batch.targets) for logits in model.members(tokens)[0]]
    torch.testing.assert_close(nats, (alone[0] + alone[1]) / 2)
    torch.testing.assert_close(extras, task.extras(model(tokens)[0], batch.targets))
    nats.backward()
    (expected,) = torch.autograd.grad(alone[0] / 2, model.conv.weight)
    torch.testing.assert_close(model.conv.weight.grad, expected)


def test_the_penalty_is_that_of_all_sequences_shared_among_them() -> None:
    model = beside(strength=3.0)
    weights = model.ngrams.table.table
    torch.testing.assert_close(model.penalty(), 1.5 * weights.square().sum() / 40)
    assert beside().penalty() == 0


def test_what_only_filters_do_is_refused_elsewhere() -> None:
    with pytest.raises(InputError, match=r"model\.ngrams\.to is mean, which is of model=cnn1d"):
        made("lstm", "mean", Output.SEQUENCE_CLASS, {})
    with pytest.raises(InputError, match=r"model\.ngrams\.strength is 2, which is of model=cnn1d"):
        made("lstm", "logits", Output.SEQUENCE_CLASS, {}, strength=2.0)
    with pytest.raises(InputError, match=r"model\.ngrams\.to is mean, but .* at each position"):
        made("cnn1d", "mean", Output.TOKEN_CLASS, {})


def test_words_with_gaps_are_counted_where_they_are_added_to_logits() -> None:
    spec = spec_of(Output.SEQUENCE_CLASS)
    tokens = torch.tensor([[1, 2, 3, 4, 1, 1]])  # ACGTAA
    words = AddedNGrams(sizes=[2], min_count=1, gaps=1, to="logits")
    model = model_of("cnn1d", spec, ngrams=words)
    model.ngrams.table.count(Sequences(tokens, torch.zeros(1, 1, dtype=torch.long)))
    names = model.ngrams.table.names(range(1, len(model.ngrams.table.keys) + 1))
    assert ["A", "C"] in names and ["A", None, "G"] in names and len(names) == 5 + 4
    with torch.no_grad():
        model.ngrams.table.table[1:] = 1
        before = model.ngrams.logits(tokens)
        assert before.tolist() == [[[9.0] * spec.num_outputs]]
        # without the second letter: neither AC and CG, nor C.T
        assert float(model.ngrams.logits(torch.tensor([[1, 0, 3, 4, 1, 1]]))[0, 0, 0]) == 6
    with pytest.raises(InputError, match="model.ngrams.gaps is 1, but model.ngrams.to is input"):
        model_of("lstm", spec, embedding_size=3, ngrams=AddedNGrams(sizes=[2], gaps=1))
    short = spec_of(Output.SEQUENCE_CLASS, length=2)
    with pytest.raises(InputError, match=r"sizes is \[2\] with 1 gaps, .*2 tokens; .* at most 1"):
        model_of("cnn1d", short, ngrams=words)
