"""Vectors of n-grams beside a network: the laws of every model hold with them."""

import copy
import math
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
from seqexp.model.added_ngrams import AddedNGrams
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
CASES += [
    ("cnn1d", "mean", Output.SEQUENCE_CLASS, {}),
    ("lstm", "mean", Output.SEQUENCE_CLASS, {}),
    ("rnn", "mean", Output.REGRESSION, {"bidirectional": True, "readout": "max"}),
    ("stacked-rnn", "mean", Output.MULTI_LABEL, {"position_features": 2}),
    # of two groups: vectors of pairs, and counted words beside
    ("lstm", "input", Output.SEQUENCE_CLASS, {"wide": AddedNGrams([2], 1, to="mean")}),
    ("stacked-rnn", "logits", Output.SEQUENCE_CLASS, {"wide": AddedNGrams([2, 4], 1, to="mean")}),
    ("cnn1d", "input", Output.SEQUENCE_CLASS, {"wide": AddedNGrams([1, 2], 1, to="logits")}),
    ("lstm", "input", Output.NEXT_TOKEN, {"wide": AddedNGrams([4], 1, to="logits")}),
]


def made(name: str, to: Any, output: Output, more: dict[str, Any], **changes: Any) -> Any:
    chosen = AddedNGrams(**{"sizes": [1, 3], "min_count": 1, "to": to, **changes})
    model = model_of(name, spec_of(output), embedding_size=5, ngrams=chosen, **more)
    for group in model.groups:
        table = group.table
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
        for group in model.groups:
            weights = group.table.table
            assert not weights.grad[0].any() and weights.grad[1:].any()
            kept = weights.data.clone()
            weights.data.zero_()
            assert not torch.allclose(model(tokens)[0], plain)
            weights.data = kept

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


LAZY = ("optimizer=lazy-adam", "trainer.adversarial=0.1", "trainer.average=swa")
WIDE = ("model.wide.sizes=[1,2]", "model.wide.min_count=1", "model.wide.strength=2.0")


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=adam",),
        ("optimizer=lazy-adam",),
        (*WIDE, *LAZY, "model.wide.weighting=nb", "model.wide.strength=0.0"),
        ("optimizer=adam", *WIDE, "trainer.bptt.k1=7", "trainer.bptt.k2=7"),
    ],
)
def test_a_training_resumes_to_the_same_bits_and_is_saved_whole(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    whole, data, config = begun(tmp_path, *overrides)
    reports = fit(whole, data)
    for _ in range(4):  # three updates and the end of an epoch
        next(reports)
    state = copy.deepcopy(state_of(whole))
    list(reports)
    resumed, _, _ = begun(tmp_path, *overrides)
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
        # a table with a penalty, which moves all its rows, is stepped as a whole
        given = (f"optimizer={optimizer}", "model.ngrams.dropout=0.0", *WIDE)
        training, data, _ = begun(tmp_path, *given)
        list(fit(training, data))
        found[optimizer] = training.model.state_dict()
    for name, tensor in found["adam"].items():
        torch.testing.assert_close(found["lazy-adam"][name], tensor, rtol=0, atol=2e-5)


# --- beside a network, by a loss of their own ---------------------------------------------------

BESIDE: dict[str, dict[str, Any]] = {
    "cnn1d": {"strands": "both"},
    "lstm": {"wide": AddedNGrams([2], 1)},  # vectors of pairs, too
}


def beside(name: str = "cnn1d", **changes: Any) -> Any:
    return made(name, "mean", Output.SEQUENCE_CLASS, BESIDE[name], **changes)


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_predicted_is_the_mean_of_a_network_and_ngrams(name: str) -> None:
    model, tokens = beside(name), sequences_of(LETTERS)
    (network, ngrams), _ = model.members(tokens)
    torch.testing.assert_close(model(tokens)[0], (network + ngrams) / 2)
    torch.testing.assert_close(ngrams, model.ngrams.logits(tokens))
    if name == "cnn1d":
        other = torch.tensor(LETTERS.complements())[tokens].flip(1)
        torch.testing.assert_close(model.members(other)[0][1], ngrams)


@pytest.mark.parametrize("name", BESIDE)
def test_what_speaks_most_is_what_is_added_to_the_mean(name: str) -> None:
    model = beside(name)
    weights = model.ngrams.table.table[1:].detach()
    halves = (weights - weights.mean(dim=1, keepdim=True)) / 2
    top = [one for one in model.top(1) if one.group == "ngrams"]
    assert max(one.nats for one in top) == pytest.approx(float(halves.max()))
    if model.wide is None:
        return
    alone, model.reads_any_length = model.top(3), False  # the same where there is padding
    assert [one[:2] for one in model.top(3)] == [one[:2] for one in alone]
    loud = next(one for one in model.top(1) if one.group == "wide")
    tokens = torch.tensor([LETTERS.encode([str(symbol) for symbol in loud.ngram])])
    both, output = model(tokens)[0].detach().squeeze(), model.spec.output_names.index(loud.output)
    model.wide.table.table.data.zero_()  # as the model says without it
    adds = both - model(tokens)[0].detach().squeeze()
    assert loud.nats == pytest.approx(float((adds - adds.mean())[output]), abs=1e-6)


@pytest.mark.parametrize(("name", "weight"), [("cnn1d", "conv.weight"), ("lstm", "input.table")])
def test_each_member_learns_as_if_it_were_alone(name: str, weight: str) -> None:
    model, tokens = beside(name), sequences_of(LETTERS)
    task = kinds.of(model.spec)
    batch = Batch(tokens, torch.tensor([[0], [1], [1], [0]]))
    losses = Losses(model, task, torch.device("cpu"), bf16=False)
    nats, extras, _ = losses([batch], None, seed=0)
    alone = [task.nats(logits, batch.targets) for logits in model.members(tokens)[0]]
    torch.testing.assert_close(nats, (alone[0] + alone[1]) / 2)
    torch.testing.assert_close(extras, task.extras(model(tokens)[0], batch.targets))
    nats.backward()
    learned = model.get_parameter(weight)
    (expected,) = torch.autograd.grad(alone[0] / 2, learned)
    torch.testing.assert_close(learned.grad, expected)


def test_windows_of_a_sequence_with_one_label_cost_what_one_pass_does() -> None:
    model = made("lstm", "mean", Output.SEQUENCE_CLASS, {"wide": AddedNGrams([3], 1)})
    batch = Batch(sequences_of(LETTERS), torch.tensor([[0], [1], [1], [0]]))
    losses = Losses(model, kinds.of(model.spec), torch.device("cpu"), bf16=False)
    whole, _, _ = losses([batch], None, seed=0)
    parts, _, _ = losses(list(batch.windows(4)), None, seed=0)
    torch.testing.assert_close(parts, whole)


def test_windows_after_a_context_that_is_attended_to_are_one_pass() -> None:
    spec = spec_of(Output.SEQUENCE_CLASS, context=LETTERS)
    groups = {"ngrams": AddedNGrams([2], buckets=9), "wide": AddedNGrams([3], buckets=9, to="mean")}
    model = model_of("lstm", spec, embedding_size=3, attention="dot", **groups)
    for group in model.groups:
        torch.nn.init.normal_(group.table.table.data[1:])
    tokens = sequences_of(LETTERS)
    start = model.read(sequences_of(LETTERS, seed=3))
    whole, carry = model(tokens, start)[0], start
    for window in torch.split(tokens, 4, dim=1):
        logits, carry = model(window, carry)
    torch.testing.assert_close(logits, whole)
    (network, ngrams), _ = model.members(tokens, start)
    torch.testing.assert_close(whole, (network + ngrams) / 2)
    torch.testing.assert_close(ngrams, model.wide.logits(tokens))


def test_losses_of_members_are_computed_in_bfloat16_too() -> None:
    model = beside("lstm").float()
    batch = Batch(sequences_of(LETTERS), torch.tensor([[0], [1], [1], [0]]))
    found = [
        Losses(model, kinds.of(model.spec), torch.device("cpu"), bf16)([batch], None, seed=0)[0]
        for bf16 in (False, True)
    ]
    torch.testing.assert_close(found[1], found[0], rtol=0.05, atol=0)


def test_the_penalty_is_that_of_all_sequences_shared_among_them() -> None:
    for name in BESIDE:
        model = beside(name, strength=3.0)
        weights = model.ngrams.table.table
        torch.testing.assert_close(model.penalty(), 1.5 * weights.square().sum() / 40)
        assert beside(name).penalty() == 0


def test_ngrams_count_as_much_more_often_as_sequences_of_an_output_have_them() -> None:
    words = AddedNGrams([1], min_count=1, to="mean", weighting="nb")
    model = model_of("lstm", spec_of(Output.SEQUENCE_CLASS), ngrams=words)
    # a symbol counts once a sequence
    tokens = torch.tensor([[1, 2, 1], [1, 2, 0], [2, 3, 3]])
    train = Sequences(tokens, torch.tensor([[0], [0], [1]]))
    model.ngrams.table.count(train)
    model.ngrams.begin_by(train)
    ratios = model.ngrams.table.ratios
    # smoothed by one: of the first class A 3, C 3, G 1 of 7, of the others A 1, C 2, G 2 of 5
    first = [math.log(a / 7) - math.log(b / 5) for a, b in ((3, 1), (3, 2), (1, 2))]
    assert ratios[1:, 0].tolist() == pytest.approx(first)
    with torch.no_grad():
        model.ngrams.table.table[1:, 0] = 1
        model.ngrams.bias.zero_()
        added = model.ngrams.logits(tokens[1:2])[0, 0]
    assert float(added[0]) == pytest.approx(first[0] + first[1]) and float(added[1]) == 0
    one = model.top(1)[0]
    assert (one.ngram, one.nats) == (("A",), pytest.approx(first[0] * (1 - 1 / len(ratios[0])) / 2))


@pytest.mark.parametrize(
    ("changes", "output", "told"),
    [
        ({"to": "input"}, Output.SEQUENCE_CLASS, "to is input, where n-grams speak for no output"),
        ({"to": "mean", "buckets": 8}, Output.MULTI_LABEL, "buckets is 8, whose n-grams are not"),
        ({"to": "mean"}, Output.REGRESSION, "regression, not classes or labels"),
        ({"to": "logits"}, Output.NEXT_TOKEN, "next_token, not classes or labels"),
    ],
)
def test_weights_by_classes_are_of_counted_words_for_classes(
    changes: dict[str, Any], output: Output, told: str
) -> None:
    words = AddedNGrams(**{"sizes": [2], "weighting": "nb", **changes})
    with pytest.raises(InputError, match=f"model.wide.weighting is nb, but .*{told}.*; give plain"):
        model_of("lstm", spec_of(output), embedding_size=3, wide=words)


def test_groups_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.ngrams\.to is mean, but .* at each position"):
        made("cnn1d", "mean", Output.TOKEN_CLASS, {})
    with pytest.raises(InputError, match=r"model\.wide\.to is mean, but .* at each position"):
        made("lstm", "input", Output.NEXT_TOKEN, {"wide": AddedNGrams([2], 1, to="mean")})
    with pytest.raises(InputError, match=r"ngrams\.to and model\.wide\.to are both logits"):
        made("lstm", "logits", Output.NEXT_TOKEN, {"wide": AddedNGrams([2], 1, to="logits")})
    wide, same = "model.wide.sizes=[2]", ("model.ngrams.sizes=[2]", "model.ngrams.to=mean")
    for told, given in (
        (r"model\.wide\.sizes is \[2\], but trainer\.replicas is 2", ("trainer.replicas=2", wide)),
        (r"model\.ngrams\.to and model\.wide\.to are both mean", (*same, wide)),
        (r"model\.wide\.to is mean, which is of one prediction", ("dataset=chars", wide)),
        (
            r"model\.wide\.to is logits, which are all",
            ("model.output=sampled", "model.wide.to=logits", wide),
        ),
    ):
        with pytest.raises(ConfigError, match=told):
            check(composed(tmp_path, *given))


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
