"""What a dataset of one's own gets wrong is said in words, before anything is trained."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqexp.data import Cluster, Data, Pattern, Sequences, WordVectors
from seqexp.dataset.motif import Motif
from seqexp.dataset.soundness import checked
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary

NAME = "my_lab.own.Own"

LETTERS = Vocabulary(("A", "C", "G", "T"))

CLASSES = TaskSpec(LETTERS, 2, Output.SEQUENCE_CLASS, ("no", "yes"), 6)

NEXT = TaskSpec(LETTERS, 5, Output.NEXT_TOKEN, ("padding", "A", "C", "G", "T"))

UNIFORM = np.full((3, 4), 0.25)

PATTERN = Pattern("p", UNIFORM)

CLUSTER = Cluster(("A",))

VECTORS = WordVectors(torch.tensor([5]), torch.ones(1, 3))


def altered(value: Any, **changed: Any) -> Any:
    """As `dataclasses.replace`, past the check of types that tests have and users have not."""
    other = copy.copy(value)
    for name, part in changed.items():
        assert hasattr(other, name)
        object.__setattr__(other, name, part)
    return other


def split(rows: int, spec: TaskSpec = CLASSES) -> Sequences:
    """Letters in turn, from another one in each row."""
    tokens = (torch.arange(rows)[:, None] + torch.arange(6)) % 4 + 1
    if spec.output is Output.NEXT_TOKEN:
        return Sequences(tokens, tokens.roll(-1, 1))
    return Sequences(tokens, torch.arange(rows)[:, None] % 2)


def sound(spec: TaskSpec = CLASSES) -> Data:
    return Data(spec, split(8, spec), split(4, spec), split(4, spec))


def with_tokens(change: Callable[[Tensor], Tensor], spec: TaskSpec = CLASSES) -> Data:
    data = sound(spec)
    return altered(data, train=altered(data.train, tokens=change(data.train.tokens.clone())))


def with_targets(change: Callable[[Tensor], Tensor], spec: TaskSpec = CLASSES) -> Data:
    data = sound(spec)
    return altered(data, train=altered(data.train, targets=change(data.train.targets.clone())))


def with_spec(spec: TaskSpec = CLASSES, **changed: Any) -> Data:
    return altered(sound(spec), spec=altered(spec, **changed))


def put(row: int, column: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(values: Tensor) -> Tensor:
        values[row, column] = value
        return values

    return change


def put_float(value: float) -> Callable[[Tensor], Tensor]:
    return lambda targets: put(5, 0, value)(targets.double())


def nowhere(rows: int = 0) -> Sequences:
    return Sequences(torch.zeros(rows, 6).long(), torch.zeros(rows, 1).long())


def stream(tokens: list[list[int]]) -> Data:
    ids = torch.tensor(tokens)
    one = Sequences(ids, ids.roll(-1, 1), is_stream=True)
    return Data(NEXT, one, one, one)


WRONG: dict[str, tuple[Any, str]] = {
    # what load() returns
    "nothing": (None, "load() returned nothing (None); return a seqexp.data.Data"),
    "a tuple": ((1, 2), "load() returned a tuple"),
    "no valid": (altered(sound(), valid=None), "valid is nothing (None); give a seqexp.data.Seq"),
    "a pair": (altered(sound(), test=(1, 2)), "test is a tuple; give a seqexp.data.Sequences"),
    "no spec": (altered(sound(), spec={}), "spec is a dict; give a seqexp.spec.TaskSpec"),
    # tokens
    "array": (
        with_tokens(Tensor.numpy),
        "train.tokens is a numpy.ndarray; give a torch.Tensor, as",
    ),
    "lists": (with_tokens(Tensor.tolist), "train.tokens is a list; give a torch.Tensor, as"),
    "sparse": (with_tokens(Tensor.to_sparse), "train.tokens is a sparse tensor"),
    "float ids": (with_tokens(Tensor.float), "train.tokens is of torch.float32; token ids are int"),
    "bool ids": (with_tokens(Tensor.bool), "train.tokens is of torch.bool"),
    "one axis": (with_tokens(lambda t: t[:, 0]), "train.tokens has shape (8,); give two axes"),
    "three axes": (with_tokens(lambda t: t[..., None]), "train.tokens has shape (8, 6, 1); give"),
    "no tokens": (with_tokens(lambda t: t[:, :0]), "has shape (8, 0), rows without a token"),
    "below 0": (with_tokens(put(3, 2, -1)), "train.tokens: -1 (row 3, column 2) is no token id"),
    "beyond": (with_tokens(put(7, 5, 5)), "5 (row 7, column 5) is no token id; ids are 1 to 4"),
    "ignored": (with_tokens(put(7, 5, IGNORE)), "-100 (row 7, column 5) is no token id"),
    "from 0": (
        altered(
            sound(), **{k: altered(s, tokens=s.tokens - 1) for k, s in sound().splits().items()}
        ),
        "ids seem to be counted from 0: there is no id 4, the last symbol's",
    ),
    "all padding": (with_tokens(lambda t: t * (torch.arange(8) != 2)[:, None]), "row 2 is padding"),
    "length": (with_spec(length=7), "shape (8, 6), but spec.length is 7: give 7 tokens a row"),
    "padded stream": (stream([[1, 2, 3], [4, 0, 2]]), "0 (row 1, column 1) is padding, and a str"),
    "beyond, stream": (stream([[1, 2, 3], [4, 9, 2]]), "9 (row 1, column 1) is no token id"),
    "planted": (
        altered(sound(), train=altered(split(8), planted=torch.ones(8, 5).bool())),
        "train.planted: give a torch.bool tensor of the tokens' shape (8, 6)",
    ),
    # targets
    "half": (with_targets(put_float(0.5)), "train.targets: 0.5 (row 5, column 0) is no whole num"),
    "nan": (with_targets(put_float(float("nan"))), "train.targets: nan (row 5, column 0) is no"),
    "inf": (with_targets(put_float(float("inf"))), "train.targets: inf (row 5, column 0) is no"),
    "whole, beyond": (with_targets(put_float(2.0)), "2 (row 5, column 0) is the number of no out"),
    "too large": (with_targets(put(1, 0, 2)), "2 (row 1, column 0) is the number of no output; g"),
    "negative": (with_targets(put(1, 0, -1)), "-1 (row 1, column 0) is the number of no output"),
    "bool": (with_targets(Tensor.bool), "train.targets is of torch.bool; targets are whole numb"),
    "complex": (with_targets(lambda t: t + 0j), "train.targets is of torch.complex64"),
    "flat": (with_targets(lambda t: t[:, 0]), "has shape (8,); give one label a row, (8, 1), as"),
    "one-hot": (with_targets(lambda t: torch.cat([t, 1 - t], 1)), "has shape (8, 2); give one lab"),
    "fewer": (with_targets(lambda t: t[:5]), "train.targets has 5 rows, but train.tokens has 8"),
    "more": (with_targets(lambda t: torch.cat([t, t])), "train.targets has 16 rows, but train.tok"),
    "no target": (with_targets(lambda t: t * 0 + IGNORE), "train.targets are all IGNORE (-100)"),
    "array of targets": (with_targets(Tensor.numpy), "train.targets is a numpy.ndarray; give a t"),
    "one a row": (with_targets(lambda t: t[:, :1], NEXT), "(8, 1); give a target a token, (8, 6)"),
    "label of a stream": (
        altered(sound(), train=altered(split(8), is_stream=True)),
        "train.is_stream is true, but a stream has no labels",
    ),
    # splits
    "no train": (altered(sound(), train=nowhere()), "train has no rows; give at least one sequen"),
    "no test": (altered(sound(), test=nowhere()), "test has no rows; give at least one sequence"),
    "only targets": (
        altered(sound(), valid=altered(split(4), tokens=torch.zeros(0, 6).long())),
        "valid has no rows of tokens, but 4 of targets",
    ),
    # the spec
    "class twice": (
        with_spec(output_names=("a", "a")),
        "spec.output_names has 'a' twice, at 0",
    ),
    "symbol twice": (
        with_spec(vocabulary=Vocabulary(("A", "C", "G", "A"))),
        "spec.vocabulary.symbols has 'A' twice, at 0 and 3",
    ),
    "no symbol": (with_spec(vocabulary=Vocabulary(())), "spec.vocabulary.symbols is empty"),
    "a string": (with_spec(output_names="no"), "spec.output_names is a str; give a tuple of str"),
    "numbers": (with_spec(output_names=(0, 1)), "spec.output_names[0] is 0, a int; give strings"),
    "no vocabulary": (with_spec(vocabulary="ACGT"), "spec.vocabulary is a str; give a seqexp.spec"),
    "output": (with_spec(output="next"), "spec.output is 'next'; give the name of a kind of"),
    "no outputs": (with_spec(num_outputs=0), "spec.num_outputs is 0; give an integer from 1"),
    "three names": (
        with_spec(output_names=("a", "b", "c")),
        "has 3 names, but spec",
    ),
    "one output": (
        with_spec(num_outputs=1, output_names=("a",)),
        "has 1 name, but spec",
    ),
    "few outputs": (
        with_spec(NEXT, num_outputs=4, output_names=tuple("ACGT")),
        "num_outputs is 4, but the next",
    ),
    "zero length": (with_spec(length=0), "spec.length is 0; give the tokens of every sequence"),
    # the rest
    "ppm": (
        altered(sound(), patterns=(altered(PATTERN, ppm=UNIFORM[:, :3]),)),
        "'p' has shape (3, 3); give",
    ),
    "no ppm": (
        altered(sound(), patterns=(altered(PATTERN, ppm=UNIFORM * 8),)),
        "has 8 as the sum of row 0",
    ),
    "patterns": (altered(sound(), patterns=("p",)), "patterns has a str; give seqexp.data.Pattern"),
    "reads": (
        altered(sound(), clusters=(altered(CLUSTER, reads="ACGT"),)),
        "clusters[0].reads: give a tuple of",
    ),
    "note": (altered(sound(), notes="a note"), "notes is a str; give a tuple"),
    "vector ids": (
        altered(sound(), vectors=VECTORS),
        "vectors.ids: 5 (row 0, column 0) is no token id",
    ),
    "vector shape": (
        altered(sound(), vectors=altered(VECTORS, ids=torch.tensor([1, 2]))),
        "vectors has ids of shape (2,) and values of (1, 3)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_data_that_are_not_sound_are_refused_in_words(case: str) -> None:
    data, message = WRONG[case]
    with pytest.raises(InputError) as refused:
        checked(data, NAME)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"dataset {NAME}")
    splits = [line.partition(".")[0] for line in str(refused.value).splitlines()[1:]]
    assert len(splits) <= 1 or {*splits} <= {"  train", "  valid", "  test"}


def test_all_faults_of_the_data_come_in_one_message() -> None:
    one = with_targets(put_float(0.5))
    data = altered(one, spec=altered(CLASSES, output_names=("a", "a")), test=nowhere())
    with pytest.raises(InputError) as refused:
        checked(data, NAME)
    head, *faults = str(refused.value).splitlines()
    assert head == f"dataset {NAME} is not sound:"
    assert [fault.split()[0] for fault in faults] == ["spec.output_names", "test"]


SOUND: dict[str, Data] = {
    "classes": sound(),
    "next": sound(NEXT),
    "stream": stream([[1, 2, 3], [4, 3, 2]]),
    "no valid": altered(sound(), valid=nowhere()),
    "narrow": with_tokens(lambda tokens: tokens.to(torch.uint8)),
    "unsigned": with_tokens(lambda tokens: tokens.to(torch.uint16)),
    "padded": with_tokens(lambda tokens: tokens * (torch.arange(6) < 4)),
    "unknown letter": with_tokens(put(3, 2, 0)),
    "ignored": with_targets(put(0, 0, IGNORE)),
    "one output": with_spec(num_outputs=1),
    "any length": with_spec(length=None),
    "pattern": altered(sound(), patterns=(PATTERN,)),
    "one symbol": Data(
        altered(CLASSES, vocabulary=Vocabulary(("A",)), length=None),
        *(Sequences(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[0], [1]])),) * 3,
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_data_are_taken_as_they_are(case: str) -> None:
    assert checked(SOUND[case], NAME) is SOUND[case]


def test_whole_numbers_are_read_from_floats() -> None:
    data = checked(with_targets(Tensor.double), NAME)
    assert data.train.targets.dtype is torch.int64
    assert data.digest() == sound().digest()


def test_padding_that_is_to_be_predicted_is_noted() -> None:
    (note,) = checked(with_targets(lambda t: t * (torch.arange(6) < 3), NEXT), NAME).notes
    assert note.startswith("50.0% of the targets in train are padding (0)")


def test_a_fault_far_down_is_found_where_it_is() -> None:
    tokens = torch.ones(5000, 400, dtype=torch.int32)
    tokens[4321, 399] = 7
    rows = Sequences(tokens, torch.zeros(5000, 1).long())
    data = altered(sound(), spec=altered(CLASSES, length=None), train=rows)
    with pytest.raises(InputError, match=re.escape("7 (row 4321, column 399)")):
        checked(data, NAME)


def test_data_of_our_own_pass() -> None:
    data = Motif(num_train=20, num_valid=4, num_test=4).load()
    assert checked(data, "seqexp.dataset.motif.Motif") is data
