"""What a model takes of an earlier run: by name, by shape, and by what a weight stands for."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from seqexp.errors import InputError
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.cnn1d import CNN1D
from seqexp.model.convolution import Convolution
from seqexp.model.lstm import LSTM
from seqexp.model.warm_start import Weights, start_from
from seqexp.spec import Features, Output, TaskSpec, Vocabulary


def spec_of(symbols: str, output: Output = Output.NEXT_TOKEN, names: str = "np") -> TaskSpec:
    size = len(symbols) + 1 if output is Output.NEXT_TOKEN else len(names)
    return TaskSpec(Vocabulary(tuple(symbols)), size, output, tuple(names), length=12)


def of(model: nn.Module, spec: TaskSpec) -> Weights:
    return Weights("f" * 32, spec, {k: t.clone() for k, t in model.state_dict().items()})


def test_a_model_of_the_same_task_gets_all_weights() -> None:
    spec = spec_of("abc")
    earlier, model = (LSTM(spec, embedding_size=4, hidden_size=5) for _ in range(2))
    lines = start_from(model, spec, of(earlier, spec))
    assert all(torch.equal(t, earlier.state_dict()[k]) for k, t in model.state_dict().items())
    assert [line.split(":")[0] for line in lines] == ["starts from run " + "f" * 32, "  taken"]


def test_vectors_and_next_tokens_go_by_symbol_and_new_ones_keep_their_start() -> None:
    was, now = spec_of("abc"), spec_of("cxa")
    earlier = LSTM(was, embedding_size=4, hidden_size=5)
    model = LSTM(now, embedding_size=4, hidden_size=5)
    before = {k: t.clone() for k, t in model.state_dict().items()}
    lines = start_from(model, now, of(earlier, was))
    for name in ("input.table", "head.output.weight", "head.output.bias"):
        ours, theirs = model.state_dict()[name], earlier.state_dict()[name]
        for symbol in "ca":
            row = now.vocabulary.ids[symbol]
            assert torch.equal(ours[row], theirs[was.vocabulary.ids[symbol]])
        assert torch.equal(ours[2], before[name][2])  # x
    assert "input.table (3 of 4 symbols and padding)" in lines[1]


@pytest.mark.parametrize("convolution", [None, Convolution(filters=3, width=3)])
def test_one_hot_symbols_go_by_symbol_where_they_are_read(convolution: Convolution | None) -> None:
    was, now = spec_of("abcd"), spec_of("dxa")
    given = {"embedding_size": None, "position_features": 2, "convolution": convolution}
    earlier, model = LSTM(was, **given), LSTM(now, **given)
    name = "convolutions.layers.0.conv.weight" if convolution else "forwards.0.weight_x"
    before = model.state_dict()[name].clone()
    start_from(model, now, of(earlier, was))
    ours, theirs = model.state_dict()[name], earlier.state_dict()[name]
    assert torch.equal(ours[:, 0], theirs[:, 3])  # d
    assert torch.equal(ours[:, 1], before[:, 1])  # x
    assert torch.equal(ours[:, 2], theirs[:, 0])  # a
    assert torch.equal(ours[:, 3:], theirs[:, 4:])  # the place in the sequence
    higher = "forwards.0.weight_x"
    if convolution:
        assert torch.equal(model.state_dict()[higher], earlier.state_dict()[higher])


def test_another_kind_of_task_gets_a_new_head_alone() -> None:
    was, now = spec_of("abcdefgh"), spec_of("abcdefgh", Output.SEQUENCE_CLASS)
    earlier = LSTM(was, embedding_size=4)
    model = LSTM(now, embedding_size=4, bidirectional=True)
    before = {k: t.clone() for k, t in model.state_dict().items()}
    lines = start_from(model, now, of(earlier, was))
    taken = {k for k, t in model.state_dict().items() if not torch.equal(t, before[k])}
    assert taken == {k for k in before if k.startswith("input")} | {
        f"forwards.0.weight_{end}" for end in "xh"
    }  # of the bias both start the same
    assert any("predicts sequence_class, and the run next_token" in line for line in lines)
    assert any("the run has none of this name" in line and "backwards" in line for line in lines)


def test_a_classifier_from_both_ends_gets_both_layers_of_a_language_model() -> None:
    was, now = spec_of("abcdefgh"), spec_of("abcdefgh", Output.SEQUENCE_CLASS)
    earlier = LSTM(was, embedding_size=4, hidden_size=5, bidirectional=True, tied=True)
    model = LSTM(now, embedding_size=4, hidden_size=5, bidirectional=True)
    start_from(model, now, of(earlier, was))
    same = [k for k, t in model.state_dict().items() if k.split(".")[0] != "head"]
    assert {name.split(".")[0] for name in same} == {"input", "forwards", "backwards"}
    assert all(torch.equal(model.state_dict()[k], earlier.state_dict()[k]) for k in same)


def test_outputs_go_by_their_names() -> None:
    kind = Output.SEQUENCE_CLASS
    was, now = spec_of("ACGT", kind, "xyz"), spec_of("ACGT", kind, "zw")
    earlier, model = CNN1D(was, num_filters=3), CNN1D(now, num_filters=3)
    before = model.state_dict()["head.output.weight"].clone()
    start_from(model, now, of(earlier, was))
    ours, theirs = (m.state_dict()["head.output.weight"] for m in (model, earlier))
    assert torch.equal(ours[0], theirs[2])
    assert torch.equal(ours[1], before[1])
    one = replace(now, num_outputs=1)
    model = CNN1D(one, num_filters=3)
    lines = start_from(model, one, of(earlier, was))
    assert any("predicts z, w, and the run x, y, z" in line for line in lines)


def test_features_go_by_name() -> None:
    def with_features(*names: str) -> TaskSpec:
        made_of = Features(len(names), names)
        return replace(
            spec_of("a", Output.SEQUENCE_CLASS), vocabulary=Vocabulary(()), features=made_of
        )

    was, now = with_features("x", "y", "z"), with_features("z", "q")
    for size, name in ((None, "forwards.0.weight_x"), (4, "input.linear.weight")):
        earlier, model = LSTM(was, embedding_size=size), LSTM(now, embedding_size=size)
        start_from(model, now, of(earlier, was))
        ours, theirs = model.state_dict()[name], earlier.state_dict()[name]
        assert torch.equal(ours[:, 0], theirs[:, 2])
        assert not torch.equal(ours[:, 1], theirs[:, 1])


def test_a_run_of_other_shapes_is_refused_with_them() -> None:
    was, now = spec_of("abc"), spec_of("abc", Output.SEQUENCE_CLASS)
    earlier = LSTM(was, embedding_size=4, hidden_size=5)
    model = LSTM(now, embedding_size=3, hidden_size=6)
    with pytest.raises(InputError, match=r"weight_h \(of shape \[24, 6\] here, \[20, 5\] there\)"):
        start_from(model, now, of(earlier, was))


class _Grams(nn.Module):
    """A model with a table of n-grams, as the names of its weights go."""

    def __init__(self, keys: list[int]) -> None:
        super().__init__()
        self.vectors = nn.Linear(2, 2)
        self.ngrams = nn.Linear(3, 2, bias=False)
        self.ngrams.register_buffer("keys", torch.tensor(keys))


def test_tables_of_ngrams_are_taken_where_their_rows_are_the_same_ngrams() -> None:
    spec, other = spec_of("ab"), spec_of("ba")
    cases = (([1, 2], spec, True), ([1, 3], spec, False), ([1, 2], other, False))
    for keys, of_run, is_taken in cases:
        earlier, model = _Grams(keys), _Grams([1, 2])
        lines = start_from(model, spec, of(earlier, of_run))
        assert torch.equal(model.ngrams.weight, earlier.ngrams.weight) is is_taken
        assert any("new: ngrams.weight" in line for line in lines) is not is_taken


def test_what_ngrams_add_to_other_outputs_is_not_taken() -> None:
    spec = spec_of("ab", Output.SEQUENCE_CLASS)
    earlier = LSTM(spec, hidden_size=2, ngrams=AddedNGrams([1], to="mean", buckets=3))
    torch.nn.init.ones_(earlier.ngrams.table.table)
    for names in ("np", "nq"):
        now = spec_of("ab", Output.SEQUENCE_CLASS, names)
        model = LSTM(now, hidden_size=2, ngrams=AddedNGrams([1], to="mean", buckets=3))
        start_from(model, now, of(earlier, spec))
        assert bool(model.ngrams.table.table.any()) is (names == "np")


class _Own(nn.Module):
    """A model of somebody's, with an embedding of PyTorch's."""

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.vectors = nn.Embedding(len(spec.vocabulary), 3)
        self.scale = nn.Parameter(torch.randn(()))


def test_an_own_embedding_goes_by_symbol_too() -> None:
    was, now = spec_of("ab"), spec_of("ba")
    earlier, model = _Own(was), _Own(now)
    start_from(model, now, of(earlier, was))
    assert torch.equal(model.vectors.weight, earlier.vectors.weight[[0, 2, 1]])
    assert torch.equal(model.scale, earlier.scale)


def test_clusters_go_by_rank_and_are_left_where_the_vocabulary_is_another() -> None:
    was, now = spec_of("abcde"), spec_of("edcba")
    made = [LSTM(was, embedding_size=4, hidden_size=5, output="adaptive") for _ in range(3)]
    first, same, other = made
    lines = start_from(same, was, of(first, was))
    assert all(torch.equal(t, first.state_dict()[k]) for k, t in same.state_dict().items())
    assert len(lines) == 2
    lines = start_from(other, now, of(first, was))
    name = "head.output.softmax.head.weight"
    assert not torch.equal(other.state_dict()[name], first.state_dict()[name])
    assert any(name in line and "clusters of another vocabulary" in line for line in lines)
