"""The linear model of n-grams: its features, its solver, and a run of it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from training import composed

from seqexp import build
from seqexp.config.check import check, set_aside
from seqexp.data import Sequences
from seqexp.errors import ConfigError, InputError
from seqexp.inference.saved_model import load, save
from seqexp.model.counting.features import counts_of, log_count_ratios
from seqexp.model.counting.grams import Grams
from seqexp.model.counting.table import NGramTable, hashed
from seqexp.model.ngrams import STRENGTHS, NGrams
from seqexp.spec import IGNORE, Output, Scale, Scoring, TaskSpec, Vocabulary, WordEncoding
from seqexp.trainer.loop import fit
from seqexp.trainer.state import restore, state_of

DNA = Vocabulary(("A", "C", "G", "T"))
WORDS = Vocabulary(tuple("abcdefgh"))


def spec_of(
    vocabulary: Vocabulary, outputs: int = 2, output: Output = Output.SEQUENCE_CLASS, **more: Any
) -> TaskSpec:
    names = tuple(f"c{index}" for index in range(outputs))
    return TaskSpec(vocabulary, outputs, output, names, **more)


def sequences(vocabulary: Vocabulary, rows: int, time: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, len(vocabulary), (rows, time), generator=generator)
    ends = torch.randint(time // 2, time + 1, (rows, 1), generator=generator)
    return tokens * (torch.arange(time) < ends)


def solved(model: NGrams, train: Sequences, fits: int = 1) -> NGrams:
    model.ngrams.count(train)
    solver = model.solver(train)
    for number in range(fits):
        solver.fit(number)
    return model


def test_codes_are_the_ngrams_that_end_at_each_token_with_gaps_and_padding() -> None:
    grams = Grams(DNA, (1, 2), gaps=1)
    assert grams.patterns == ((0,), (0, 1), (0, 2))
    codes = grams.codes(torch.tensor([[1, 2, 0, 3]]))[0]
    shown = [["".join(s or "-" for s in grams.named(int(c))) for c in row] for row in codes]
    assert shown == [["A", "", ""], ["C", "AC", ""], ["", "", ""], ["G", "", "C-G"]]


def test_windows_with_the_tokens_before_have_the_codes_of_one_pass() -> None:
    grams, tokens = Grams(DNA, (1, 3), gaps=2), sequences(DNA, 3, 20)
    whole = grams.codes(tokens)
    first, second = tokens[:, :11], tokens[:, 11:]
    before = first[:, -(grams.span - 1) :]
    assert torch.equal(grams.codes(second, before), whole[:, 11:])


@pytest.mark.parametrize("gaps", [0, 2])
def test_both_strands_have_the_same_counts(gaps: int) -> None:
    tokens = sequences(DNA, 6, 30)
    turned = torch.tensor(DNA.complements())[tokens].flip(1)
    table = NGramTable(Grams(DNA, (3,), gaps, both_strands=True), 1)
    split = Sequences(tokens, torch.zeros(6, 1, dtype=torch.long))
    table.count(split)
    one, order = counts_of(table, split)
    other, order_of_other = counts_of(table, Sequences(turned, split.targets))
    assert one.sum() > 100 and np.array_equal(
        one.toarray()[order.argsort()], other.toarray()[order_of_other.argsort()]
    )


def test_a_split_in_many_pieces_is_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Sequences(sequences(WORDS, 40, 12), torch.zeros(40, 1, dtype=torch.long))
    grams = Grams(WORDS, (1, 2, 7))
    whole = [grams.count(split, 2), grams.count(split, 1)]
    for name, value in (("PLACES", 60), ("PENDING", 100)):
        monkeypatch.setattr(f"seqexp.model.counting.grams.{name}", value)
    assert all(
        torch.equal(a, b)
        for found, expected in zip(
            [grams.count(split, 2), grams.count(split, 1)], whole, strict=True
        )
        for a, b in zip(found, expected, strict=True)
    )
    strings = ["".join(WORDS.decode(row)) for row in split.tokens.tolist()]
    expected = sum(text.count("ab") for text in strings)  # no overlaps of its own
    keys, counts = whole[1]
    assert counts[keys == 1 * 9 + 2].sum() == expected


def test_ngrams_that_cannot_be_numbered_are_refused() -> None:
    with pytest.raises(InputError, match=r"model\.sizes has 40.*at most 27 places"):
        Grams(DNA, (2, 40))


def test_hashes_are_even_and_not_negative() -> None:
    rows = hashed(torch.arange(1, 100_001)) % 10
    counts = torch.bincount(rows)
    assert (rows >= 0).all() and counts.min() > 9_700 and counts.max() < 10_300


@pytest.mark.parametrize("strength", [0.5, 20.0])
def test_weights_are_those_of_scikit_learn(
    strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqexp.model.counting.solver.TOLERANCE", 1e-10)
    tokens = sequences(WORDS, 80, 15)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (80, 1)))
    spec = spec_of(WORDS)
    model = NGrams(spec, [1, 2], weighting="plain", counting="counts", strength=strength)
    solved(model, Sequences(tokens, labels), fits=1)
    counts, order = counts_of(model.ngrams, Sequences(tokens, labels))
    reference = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000)
    reference.fit(counts, labels[order, 0].numpy())
    logits = model(tokens)[0][:, 0]
    expected = reference.decision_function(counts)[order.argsort().numpy()]
    np.testing.assert_allclose((logits[:, 1] - logits[:, 0]).detach(), expected, atol=2e-3)


def test_log_count_ratios_are_by_hand() -> None:
    from scipy.sparse import csr_matrix

    counts = csr_matrix(np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32))
    is_in = np.array([[True], [True], [False]])
    # in: 2 + 1, 1 + 1 of 5; out: 0 + 1, 1 + 1 of 3
    expected = np.log([[(3 / 5) / (1 / 3)], [(2 / 5) / (2 / 3)]])
    np.testing.assert_allclose(log_count_ratios(counts, is_in, ~is_in), expected, rtol=1e-6)


def test_rows_of_tf_idf_are_those_of_scikit_learn() -> None:
    tokens = sequences(WORDS, 30, 12)
    texts = [WORDS.decode(row) for row in tokens.tolist()]
    vectorizer = TfidfVectorizer(analyzer=list, sublinear_tf=True, smooth_idf=True)
    expected = vectorizer.fit_transform(texts)
    labels = torch.arange(30)[:, None] % 2
    model = NGrams(spec_of(WORDS), [1], weighting="tf-idf", counting="counts", strength=1.0)
    solved(model, Sequences(tokens, labels))
    weights = model.ngrams.table[1:, 0].detach().double().numpy()
    sums = model(tokens)[0].detach()[:, 0, 1].double().numpy() * 2
    found = expected @ weights + model.bias.item()
    np.testing.assert_allclose(sums, found, atol=1e-4)


@pytest.mark.parametrize("weighting", ["nb", "tf-idf", "plain"])
@pytest.mark.parametrize("output", [Output.SEQUENCE_CLASS, Output.MULTI_LABEL, Output.REGRESSION])
def test_the_model_and_its_solver_give_the_same_logits(weighting: Any, output: Output) -> None:
    tokens, count = sequences(WORDS, 60, 10), 3
    generator = torch.Generator().manual_seed(2)
    size = 1 if output is Output.SEQUENCE_CLASS else count
    targets = torch.randint(0, count if size == 1 else 2, (60, size), generator=generator)
    more: dict[str, Any] = {}
    if output is Output.REGRESSION:
        more["scoring"] = Scoring(scale=Scale((0.0,) * count, (1.0,) * count))
        targets = targets.float()
        targets[3, 1] = torch.nan
    else:
        targets[3, 0] = IGNORE
    spec = spec_of(WORDS, count, output, **more)
    if weighting == "nb" and output is Output.REGRESSION:
        with pytest.raises(InputError, match="weighting is nb"):
            NGrams(spec, [1, 2], weighting=weighting)
        return
    model = NGrams(spec, [1, 2], weighting=weighting)
    train = Sequences(tokens, targets)
    model.ngrams.count(train)
    logits, found, told = model.solver(train).fit(2)
    order = counts_of(model.ngrams, train)[1]
    torch.testing.assert_close(model(tokens)[0][order], logits, rtol=0, atol=1e-5)
    assert len(found) == 60 and told == {"train/strength": 30.0}
    padded = torch.nn.functional.pad(tokens, (3, 4))
    torch.testing.assert_close(model(padded)[0], model(tokens)[0], rtol=0, atol=1e-5)


def test_what_was_planted_speaks_for_its_class() -> None:
    tokens = sequences(WORDS, 200, 20)
    labels = torch.arange(200)[:, None] % 2
    tokens[labels[:, 0] == 1, 3:6] = torch.tensor([3, 1, 2])
    spec = spec_of(WORDS, words=WordEncoding("tail", "right"))
    model = solved(NGrams(spec, strength=3.0), Sequences(tokens, labels))
    assert model.weighting == "nb" and model.is_binary
    (_, symbols, nats, _), *_ = [item for item in model.top(3) if item.output == "c1"]
    assert symbols == ("c", "a", "b") and nats > 0.3


def test_a_saved_state_is_loaded_by_a_model_that_has_made_room() -> None:
    tokens, labels = sequences(WORDS, 40, 10), torch.arange(40)[:, None] % 2
    spec = spec_of(WORDS)
    model = solved(NGrams(spec, [1, 2], weighting="tf-idf"), Sequences(tokens, labels))
    other = NGrams(spec, [1, 2], weighting="tf-idf")
    other.ngrams.resize(len(model.ngrams.keys))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(tokens)[0], model(tokens)[0])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (spec_of(DNA, 4, Output.TOKEN_CLASS), "kind of task is token_class"),
        (spec_of(DNA, context=WORDS), "has a context"),
        (spec_of(DNA, length=5), r"sizes is \[6\], but sequences have 5 tokens"),
    ],
)
def test_what_it_cannot_do_is_refused_in_words(spec: TaskSpec, told: str) -> None:
    with pytest.raises(InputError, match=told):
        NGrams(spec)


def test_sizes_that_no_sequence_has_are_refused() -> None:
    data = Sequences(torch.tensor([[1, 2, 0], [2, 1, 0]]), torch.tensor([[0], [1]]))
    with pytest.raises(InputError, match=r"sizes is \[3\] and model.min_count is 2"):
        NGrams(spec_of(WORDS), [3]).ngrams.count(data)


# --- in the loop ----------------------------------------------------------------------------------

SMALL = ("model=ngrams", "model.sizes=[3]", "tracking=none", "trainer.epochs=1")
DATA = ("dataset.num_train=60", "dataset.num_valid=40", "dataset.num_test=40")


def begun(folder: Path, *overrides: str) -> tuple[Any, Any]:
    made = build.parts(check(composed(folder, *SMALL, *DATA, *overrides)))
    data = build.load(made)
    return build.prepare_training(made, data, torch.device("cpu")), data


def test_each_strength_is_an_epoch_and_validation_chooses(tmp_path: Path) -> None:
    training, data = begun(tmp_path)
    reports = list(fit(training, data))
    epochs = [item.metrics for item in reports if item.kind == "epoch"]
    losses = [metrics["valid/loss_nats"] for metrics in epochs]
    strengths = [metrics["train/strength"] for metrics in epochs]
    assert strengths == list(STRENGTHS[: len(epochs)]) and len(epochs) > 1
    best = int(np.argmin(losses))
    assert best == len(losses) - 1 or best == len(losses) - 2  # the first worse one is the last
    assert reports[-1].metrics["best/strength"] == strengths[best]
    with torch.no_grad():
        logits = training.model(data.valid.tokens.long())[0]
        nats = float(training.task.nats(logits, data.valid.targets)) / len(data.valid)
    assert nats == pytest.approx(losses[best], rel=1e-5)
    assert training.step == 0 and training.solver is None


def test_a_training_that_was_stopped_between_two_fits_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    whole, data = begun(tmp_path, "model.weighting=nb")
    reports = fit(whole, data)
    next(reports)
    state = copy.deepcopy(state_of(whole))
    expected = list(reports)[-1].metrics
    resumed, _ = begun(tmp_path, "model.weighting=nb")
    restore(resumed, state)
    found = list(fit(resumed, data))[-1].metrics
    assert len(expected) > 5
    for name in expected.keys() - {"time/train_seconds"}:
        assert found[name] == expected[name], name
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    training, data = begun(tmp_path, "model.weighting=tf-idf")
    list(fit(training, data))
    config = check(composed(tmp_path, *SMALL, *DATA, "model.weighting=tf-idf"))
    save(tmp_path / "model", training.model, data.spec, config)
    tokens = data.test.tokens.long()
    loaded = load(tmp_path / "model").model
    assert torch.equal(loaded(tokens)[0], training.model(tokens)[0])


def test_nothing_to_choose_on_needs_a_strength(tmp_path: Path) -> None:
    made = build.parts(check(composed(tmp_path, *SMALL, *DATA)))
    data = build.load(made)
    data = replace(data, valid=data.valid.at_most(0, 0))
    with pytest.raises(InputError, match="model.strength is null.*model.strength=3"):
        build.prepare_training(made, data, torch.device("cpu"))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("trainer.bptt.k1=5",), "trainer.bptt.k1 is 5, but model=ngrams"),
        (("dataset=tagging",), "kind of task is token_class"),
        (("+model.hiden_size=5",), "hiden_size: unknown"),
    ],
)
def test_wrong_configs_are_refused_before_data_is_read(
    tmp_path: Path, overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check(composed(tmp_path, "model=ngrams", *overrides))


def test_what_an_experiment_gives_its_own_model_is_set_aside(tmp_path: Path) -> None:
    config = composed(tmp_path, "experiment=imdb", "model=ngrams")
    aside = [
        "embedding_size",
        "hidden_size",
        "bidirectional",
        "readout",
        "dropout",
        "readout_dropout",
        "ngrams",
    ]
    assert set_aside(config) == {"model": aside}
    checked = check(config)
    assert "hidden_size" not in checked["model"] and checked["model"]["min_count"] == 2
