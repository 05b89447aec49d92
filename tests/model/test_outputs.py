"""Outputs of large vocabularies: adaptive and sampled softmax, and vectors that are tied."""

import copy
import functools
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.nn import functional

from seqexp.build import begin, build_model, load, parts
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import ConfigError, check
from seqexp.data import Batch, Data, Sequences
from seqexp.errors import InputError
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.cnn1d import CNN1D
from seqexp.model.layers import TokenInput
from seqexp.model.lstm import LSTM
from seqexp.model.outputs import Adaptive, OwnVectors, Sampling, Tied, chances, usual_cutoffs
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.model.weightless import weightless
from seqexp.spec import IGNORE, PAD, Output, TaskSpec, Vocabulary, scores_targets
from seqexp.task import kinds
from seqexp.trainer import score
from seqexp.trainer.loop import fit
from seqexp.trainer.score import evaluate
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

SYMBOLS, SIZE = 60, 8

WORDS = tuple(f"w{number}" for number in range(SYMBOLS - 1))
SPEC = TaskSpec(Vocabulary(WORDS), SYMBOLS, Output.NEXT_TOKEN, WORDS)

TIED = {"tied": True, "embedding_size": SIZE}


def features(count: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, SIZE, generator=generator, dtype=torch.float64, requires_grad=True)


def targets(*shape: int) -> Tensor:
    return torch.randint(1, SYMBOLS, shape, generator=torch.Generator().manual_seed(6))


def model(kind: type, **keys: Any) -> Any:
    torch.manual_seed(0)
    made = kind(SPEC, **{"embedding_size": 6, **keys}).double()
    with torch.no_grad():  # far from even
        for weight in made.head.parameters():
            weight.mul_(4)
    return made


def cost_and_gradients(made: Any, cost: Tensor) -> list[Tensor]:
    weights = list(made.parameters())
    return [cost, *torch.autograd.grad(cost, weights, materialize_grads=True)]


# --- the bias at the start ---------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["full", "tied", "sampled", "adaptive"])
@pytest.mark.parametrize("kind", [LSTM, CNN1D])
def test_a_bias_by_frequencies_predicts_them_before_anything_is_learned(
    kind: type, choice: str
) -> None:
    keys = {"tied": True} if choice == "tied" else {"output": choice}
    made = kind(SPEC, embedding_size=6, output_bias="frequencies", **keys)
    following = targets(7, 9)
    following[2, 4:] = IGNORE
    made.head.begin_by(Sequences(targets(7, 9), following))
    counts = 1 + torch.bincount(following[following != IGNORE], minlength=SYMBOLS)
    shares = counts / counts.sum()
    if choice == "adaptive":  # of frequent symbols, and of clusters as a whole
        first, second = made.head.output.cutoffs
        shares = torch.stack([*shares[:first], shares[first:second].sum(), shares[second:].sum()])
        bias = made.head.output.softmax.head.bias
    else:
        bias = made.head.output.bias
    torch.testing.assert_close(bias.detach().exp(), shares)


def test_a_plan_without_memory_makes_a_model_whose_bias_begins_by_frequencies() -> None:
    node = {
        "_target_": "seqexp.model.lstm.LSTM",
        "embedding_size": 6,
        "output_bias": "frequencies",
    }
    split = Sequences(targets(3, 5), targets(3, 5))
    with weightless():
        made = build_model(node, Data(SPEC, split, split, split), torch.device("meta"))
    assert all(weight.is_meta for weight in made.parameters())


# --- adaptive ---------------------------------------------------------------------------------


def test_adaptive_equals_the_module_of_torch() -> None:
    torch.manual_seed(0)
    ours, read, true = Adaptive(SIZE, SYMBOLS, [5, 20, 21]).double(), features(), targets(30)
    with torch.no_grad():
        ours.softmax.head.bias.normal_()
    torch.testing.assert_close(ours(read), ours.softmax.log_prob(read))
    found, expected = ours.nats(read, true), ours.softmax(read, true).loss * len(true)
    for our, theirs in zip(
        cost_and_gradients(ours, found), cost_and_gradients(ours, expected), strict=True
    ):
        torch.testing.assert_close(our, theirs)


def test_probabilities_of_adaptive_sum_to_1_and_are_those_that_targets_cost() -> None:
    ours, read, true = Adaptive(SIZE, SYMBOLS).double(), features(), targets(30)
    assert ours.cutoffs == [4, 20]
    logs = ours(read[None])
    assert logs.shape == (1, 30, SYMBOLS)
    torch.testing.assert_close(logs.exp().sum(dim=2), torch.ones(1, 30, dtype=torch.float64))
    expected = functional.cross_entropy(logs[0], true, reduction="sum")
    torch.testing.assert_close(ours.nats(read, true), expected)


def test_a_cluster_without_a_target_has_zero_gradients_rather_than_none() -> None:
    ours = Adaptive(SIZE, SYMBOLS).double()
    ours.nats(features(), torch.ones(30, dtype=torch.long)).backward()
    last = [weight.grad for weight in ours.softmax.tail[1].parameters()]
    assert all(grad is not None and not grad.any() for grad in last)


def test_usual_cutoffs_are_a_15th_and_a_third() -> None:
    assert usual_cutoffs(30_000) == [2000, 10_000] and usual_cutoffs(4) == [1, 2]
    for count in range(4, 100):
        Adaptive(2, count)  # of small features, too
    with pytest.raises(InputError, match="output is adaptive, but there are 3 symbols"):
        usual_cutoffs(3)


@pytest.mark.parametrize("cutoffs", [[20, 20], [30, 20], [0, 20], [20, 60]])
def test_cutoffs_that_divide_nothing_are_refused(cutoffs: list[int]) -> None:
    with pytest.raises(InputError, match=rf"cutoffs is \[{cutoffs[0]}, {cutoffs[1]}\].*below 60"):
        Adaptive(SIZE, SYMBOLS, cutoffs)


# --- sampled ----------------------------------------------------------------------------------


def own_vectors() -> OwnVectors:
    torch.manual_seed(3)
    output = OwnVectors(SIZE, SYMBOLS).double()
    with torch.no_grad():
        output.bias.normal_()
    return output


def test_sampled_with_all_symbols_is_the_full_softmax() -> None:
    output, read, true = own_vectors(), features(), targets(30)
    found = Sampling(SYMBOLS, SYMBOLS).double().nats(output, read, true)
    expected = functional.cross_entropy(output(read), true, reduction="sum")
    for ours, theirs in zip(
        cost_and_gradients(output, found), cost_and_gradients(output, expected), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_gradient_is_that_of_the_softmax_over_target_and_drawn_symbols() -> None:
    output, read, true = own_vectors(), features(), targets(30)
    sampling = Sampling(SYMBOLS, 12).double()
    torch.manual_seed(11)
    found = torch.autograd.grad(sampling.nats(output, read, true), [read, *output.parameters()])
    torch.manual_seed(11)
    takes_part = torch.zeros(30, SYMBOLS, dtype=torch.bool)
    takes_part[:, sampling.draw()] = True
    assert takes_part.gather(1, true[:, None]).any()  # some targets are drawn too, once each
    takes_part.scatter_(1, true[:, None], True)
    corrected = output(read) - sampling.chance.log()
    masked = corrected.masked_fill(~takes_part, -math.inf)
    cost = functional.cross_entropy(masked, true, reduction="sum")
    expected = torch.autograd.grad(cost, [read, *output.parameters()])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_its_value_estimates_the_full_cross_entropy() -> None:
    """exp of each value times the target's is a sum over symbols whose mean is right."""
    output, sampling = own_vectors(), Sampling(SYMBOLS, 15).double()
    read, true = features(1).detach(), torch.tensor([40])
    torch.manual_seed(1)
    with torch.no_grad():
        sums = torch.stack([sampling.nats(output, read, true) for _ in range(1000)]).exp()
        expected = functional.cross_entropy(output(read), true).exp()
    standard_error = sums.std() / math.sqrt(len(sums))
    assert abs(sums.mean() - expected) < 4 * standard_error < 0.2 * expected


def test_more_symbols_bring_the_value_closer() -> None:
    output, read, true = own_vectors(), features().detach(), targets(30)
    full = functional.cross_entropy(output(read), true, reduction="sum")
    errors = []
    for negatives in (5, 20, 55):
        torch.manual_seed(2)
        sampling = Sampling(SYMBOLS, negatives).double()
        values = torch.stack([sampling.nats(output, read, true).detach() for _ in range(40)])
        errors.append(float((values - full.detach()).abs().mean()))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2] > 0


@pytest.mark.parametrize("negatives", [1, 7, 50, 59])
def test_chances_sum_to_the_number_asked_for_and_fall_with_rank(negatives: int) -> None:
    chance = chances(SYMBOLS, negatives)
    assert chance[PAD] == 1 and (chance <= 1).all() and (chance.diff() <= 0).all()
    assert float(chance.sum()) == pytest.approx(negatives, abs=1)
    drawn = Sampling(SYMBOLS, negatives).draw()
    assert len(drawn) == len(drawn.unique()) >= 1 and (drawn.diff() > 0).all()


def test_a_model_made_without_memory_knows_its_chances() -> None:
    """As one that is loaded, or planned, is first made."""
    with torch.device("meta"):
        sampling = Sampling(SYMBOLS, 5)
        made = LSTM(SPEC, output="sampled", negatives=5, embedding_size=SIZE)
    assert torch.equal(sampling.chance, Sampling(SYMBOLS, 5).chance)
    assert all(weight.is_meta for weight in made.parameters())


def test_the_same_seed_draws_the_same_symbols_and_another_one_others() -> None:
    sampling, drawn = Sampling(SYMBOLS, 20), []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        drawn.append(sampling.draw().tolist())
    assert drawn[0] == drawn[1] != drawn[2]


# --- tied -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "extra"), [(SIZE, 0), (11, 1)])
def test_tied_vectors_are_one_weight_and_padding_stays_zero(hidden: int, extra: int) -> None:
    ours = LSTM(SPEC, hidden_size=hidden, init="torch", **TIED)
    names = [name for name, _ in ours.named_parameters() if not name.startswith("forwards")]
    projection = ["head.output.projection.weight"] * extra
    assert names == ["input.table", "head.output.bias", *projection]
    assert set(ours.state_dict()) == set(dict(ours.named_parameters()))
    optimizer = torch.optim.SGD(ours.parameters(), lr=1.0)
    before = ours.input.table.detach().clone()
    assert before.abs().max() <= 0.1
    functional.cross_entropy(ours(targets(2, 5))[0].flatten(0, 1), targets(10)).backward()
    optimizer.step()
    after = ours.input.table.detach()
    assert not after[PAD].any() and (after[1:] != before[1:]).any(dim=1).all()
    assert ours.head.output.bias[PAD] != 0


@pytest.mark.parametrize("kind", [LSTM, CNN1D])
def test_tied_vectors_stay_one_in_a_copy_and_after_they_are_loaded(kind: type) -> None:
    first, second = model(kind, tied=True), model(kind, tied=True)
    with torch.no_grad():
        first.input.table[1:].normal_()
    second.load_state_dict(first.state_dict())
    tokens = targets(3, 7)
    for other in (second, copy.deepcopy(first)):
        torch.testing.assert_close(other(tokens)[0], first(tokens)[0])
        with torch.no_grad():
            before = other(tokens)[0]
            other.input.table[5] += 1  # an output, which is read nowhere
            after = other(tokens)[0]
        assert not (tokens == 5).any() and (before[..., 5] != after[..., 5]).any()


def test_gradients_of_tied_vectors_are_those_of_both_uses() -> None:
    ours, tokens = model(LSTM, tied=True, hidden_size=6), targets(1, 4)
    with torch.no_grad():
        ours.input.table[1:].normal_()

    found = torch.autograd.grad(ours(tokens)[0].square().sum(), ours.input.table)[0]
    row = int(tokens[0, 0])
    for column in range(2):
        before, values = ours.input.table.detach().clone(), []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                ours.input.table[row, column] += step
                values.append(float(ours(tokens)[0].square().sum()))
        with torch.no_grad():
            ours.input.table.copy_(before)
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(found[row, column]), rel=1e-4)


def test_vectors_that_cannot_be_tied_are_refused() -> None:
    with pytest.raises(InputError, match="tied is true, but tokens are read as one-hot"):
        LSTM(SPEC, embedding_size=None, tied=True)
    with pytest.raises(InputError, match="tied is true, but model.output is adaptive"):
        LSTM(SPEC, embedding_size=4, tied=True, output="adaptive")
    with pytest.raises(InputError, match="vectors of 60 token ids for 61 outputs"):
        Tied(4, SYMBOLS + 1, TokenInput(SPEC.vocabulary, 4))
    labels = TaskSpec(Vocabulary(WORDS), 2, Output.SEQUENCE_CLASS, ("a", "b"))
    for keys in ({"tied": True}, {"output": "sampled"}):
        with pytest.raises(InputError, match="is for next tokens, but .* is sequence_class"):
            LSTM(labels, embedding_size=4, **keys)


# --- in a model -------------------------------------------------------------------------------

EXACT = {
    "adaptive": {"output": "adaptive"},
    "sampled": {"output": "sampled", "negatives": SYMBOLS},
    "sampled-tied": {"output": "sampled", "negatives": SYMBOLS, **TIED},
}

KINDS = {"lstm": LSTM, "stacked": StackedRNN, "cnn1d": CNN1D}


@pytest.mark.parametrize("choice", EXACT)
@pytest.mark.parametrize("kind", KINDS)
def test_targets_cost_what_their_logits_say(kind: str, choice: str) -> None:
    """From window to window, with padding and targets that are not scored."""
    ours = model(KINDS[kind], hidden_layers=[9], **EXACT[choice])
    assert scores_targets(ours)
    tokens, true = targets(3, 12), targets(3, 12).roll(1)
    tokens[0, 9:], true[0, 8:], true[2, :4] = PAD, IGNORE, IGNORE
    task = kinds.of(SPEC)
    carry, total = None, torch.zeros(())
    for part in Batch(tokens, true).windows(4):
        nats, carry = ours.target_nats(part.tokens, part.targets, carry)
        total = total + nats
    expected = task.nats(ours(tokens)[0], true)
    for found, wanted in zip(
        cost_and_gradients(ours, total), cost_and_gradients(ours, expected), strict=True
    ):
        torch.testing.assert_close(found, wanted, check_dtype=False)


def test_a_full_output_is_not_asked_for_targets() -> None:
    assert not scores_targets(model(LSTM)) and not scores_targets(model(LSTM, tied=True))
    assert not scores_targets(nn.Linear(2, 2))
    added = {"ngrams": AddedNGrams(sizes=[2], buckets=7, to="logits"), "output": "sampled"}
    assert not scores_targets(model(LSTM, **added))


@pytest.mark.parametrize("choice", EXACT)
def test_products_in_bfloat16_give_what_full_precision_gives(choice: str) -> None:
    ours = model(LSTM, hidden_size=7, **EXACT[choice]).float()
    tokens, true = targets(3, 12), targets(3, 12).roll(1)
    plain, _ = ours.target_nats(tokens, true)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = ours.target_nats(tokens, true)
    rounded.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in ours.parameters())
    assert float(rounded.detach()) == pytest.approx(float(plain.detach()), rel=0.02)


def test_scores_do_not_depend_on_how_many_logits_are_computed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = model(LSTM, output="adaptive")
    batch, task = Batch(targets(3, 12), targets(3, 12).roll(1)), kinds.of(SPEC)
    whole = evaluate(ours, task, [batch])
    widths: list[int] = []
    ours.register_forward_pre_hook(lambda _, given: widths.append(given[0].shape[1]))
    monkeypatch.setattr(score, "MOST_LOGITS", 5 * 3 * SYMBOLS)
    by_parts = evaluate(ours, task, [batch])
    assert widths == [5, 5, 2]
    assert by_parts.nats == pytest.approx(whole.nats) and by_parts.extras == whole.extras


# --- in a training ----------------------------------------------------------------------------

SMALL = (
    *("dataset=text", "dataset.num_made=30", "dataset.task=next_token", "dataset.max_length=12"),
    *("model=lstm", "model.embedding_size=6", "model.hidden_size=5", "model.dropout=0.2"),
    *("model.readout_dropout=0.2", "trainer.epochs=2", "trainer.batch_size=8"),
    *("trainer.bptt={k1:4,k2:7}", "trainer.log_every_steps=1", "model.negatives=20"),
    "interpret=none",
)

CHOICES = {
    "adaptive": ("model.output=adaptive",),
    "sampled": ("model.output=sampled",),
    "lazy": ("model.output=sampled", "model.tied=true", "optimizer=lazy-adam"),
    "tied": ("model.tied=true", "model.hidden_size=6"),
    "noise": ("model.output=sampled", "model.tied=true", "trainer.adversarial=0.1"),
}


def composed(*overrides: str) -> Any:
    given = sorted((*SMALL, *overrides), key=lambda item: "." in item.partition("=")[0])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return check(compose("config", given))


def training(*overrides: str) -> tuple[Training, Any]:
    made = parts(composed(*overrides), only_trains=True)
    data = load(made)
    return begin(made, data, torch.device("cpu"))[0], data


def metrics_of(going: Training, data: Any) -> list[Mapping[str, float]]:
    kept = [report.metrics for report in fit(going, data)]
    return [{k: v for k, v in m.items() if not k.startswith(("time", "speed"))} for m in kept]


@functools.cache
def trained(choice: str) -> tuple[Training, Any, list[Mapping[str, float]]]:
    """To the end; what is read only."""
    going, data = training(*CHOICES[choice])
    return going, data, metrics_of(going, data)


def test_a_run_begins_with_a_bias_by_frequencies_and_else_as_without() -> None:
    plain, by_frequencies = (
        training(f"model.output_bias={bias}")[0].model.state_dict()
        for bias in ("zero", "frequencies")
    )
    bias = by_frequencies.pop("head.output.bias").detach()
    assert float(bias.exp().sum()) == pytest.approx(1) and len(bias.unique()) > 3
    assert not plain.pop("head.output.bias").any()
    assert all(torch.equal(weight, plain[name]) for name, weight in by_frequencies.items())


@pytest.mark.parametrize("choice", CHOICES)
def test_a_training_that_goes_on_ends_with_the_same_bits(choice: str) -> None:
    whole, data, metrics = trained(choice)
    first, _ = training(*CHOICES[choice])
    for _, _ in zip(range(10), fit(first, data), strict=False):
        pass
    second, _ = training(*CHOICES[choice])
    restore(second, copy.deepcopy(state_of(first)))
    assert metrics_of(second, data) == metrics[10:] != []
    weights = whole.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in second.model.state_dict().items())


@pytest.mark.parametrize("choice", CHOICES)
def test_perplexity_of_validation_and_test_is_that_of_all_logits(choice: str) -> None:
    going, data, metrics = trained(choice)
    assert ("train/accuracy" in metrics[-2]) == (choice == "tied")
    assert math.isfinite(metrics[-2]["train/loss_nats"]) and "valid/accuracy" in metrics[-2]
    nats, count = 0.0, 0
    going.model.eval()
    for batch in data.test.batches(1000):
        with torch.no_grad():
            logs = going.model(batch.tokens)[0].double().log_softmax(dim=2)
        scored = batch.targets != IGNORE
        nats -= float(logs[scored].gather(1, batch.targets[scored][:, None]).sum())
        count += int(scored.sum())
    assert metrics[-1]["test/perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-5)


def test_lazy_steps_of_tied_vectors_are_those_of_adam() -> None:
    same = ("model.output=sampled", "model.tied=true", "optimizer.eps=1e-30")
    both = [metrics_of(*training(*same, f"optimizer={name}")) for name in ("lazy-adam", "adam")]
    assert len(both[0]) == len(both[1]) > 10
    for ours, adams in zip(*both, strict=True):
        assert ours == pytest.approx(adams, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("dataset.task=sequence_class", "model.output=sampled"), "output is sampled, which is"),
        (("dataset.task=sequence_class", "model.tied=true"), "tied is true, which is for next"),
        (("model.tied=true", "model.output=adaptive"), "tied is true, but model.output is adapt"),
        (("model.tied=true", "model.embedding_size=null"), "tied is true, but model.embedding_s"),
        (("model.tied=true", "optimizer=lazy-adam"), "optimizer is lazy-adam, which steps those"),
        (("model.cutoffs=[5]",), r"cutoffs is \[5\], but model.output is full"),
        (("model.cutoffs=[5,3]", "model.output=adaptive"), r"cutoffs is \[5, 3\]; give ids that"),
        (("model.cutoffs=[20000]", "model.output=adaptive"), "has at most 20000 symbols"),
        (("model.output=sampled", "trainer.replicas=2"), "output is sampled, but trainer.repl"),
        (
            ("model.output=sampled", "model.ngrams={sizes:[2],to:logits}"),
            "ngrams.to is logits, which are all computed then, but model.output is sampled",
        ),
        (("model.tied=true", "trainer.replicas=2"), "tied is true, but trainer.replicas is 2"),
        (
            ("dataset.task=sequence_class", "model.output_bias=frequencies"),
            "output_bias is frequencies, which is for next tokens, but .*; give zero",
        ),
    ],
)
def test_what_cannot_work_is_refused(overrides: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        composed(*overrides)
