"""Data of every kind, input and context: sound ones are taken, others refused in words."""

import copy
import math
from typing import Any

import pytest
import torch
from forms import FEATURES, LETTERS
from kinds import FORMS, data_of, name_of

from seqexp.data import Data
from seqexp.dataset.soundness import checked
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Features, Output, Vocabulary

NAME = "my_lab.data.Own"
NAN, INF = math.nan, math.inf


def changed(data: Data, **parts: Any) -> Data:
    """With other values in the training split, or another spec."""
    spec = {key[5:]: parts.pop(key) for key in list(parts) if key.startswith("spec_")}
    train = data.train
    for part, value in parts.items():
        object.__setattr__(train, part, value(getattr(train, part)) if callable(value) else value)
    other = copy.copy(data.spec)
    for key, value in spec.items():  # past the checks of types, which own datasets do not have
        object.__setattr__(other, key, value)
    object.__setattr__(data, "spec", other)
    return data


def put(place: tuple[int, ...], value: float) -> Any:
    def change(values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        values[place] = value
        return values

    return change


def labels(**parts: Any) -> Data:
    return changed(data_of(Output.MULTI_LABEL), **parts)


def numbers(**parts: Any) -> Data:
    return changed(data_of(Output.REGRESSION), **parts)


def classes(**parts: Any) -> Data:
    return changed(data_of(Output.SEQUENCE_CLASS), **parts)


def positions(**parts: Any) -> Data:
    return changed(data_of(Output.TOKEN_CLASS), **parts)


def frames(**parts: Any) -> Data:
    return changed(data_of(Output.SEQUENCE_CLASS, FEATURES), **parts)


def read(**parts: Any) -> Data:
    return changed(data_of(Output.SEQUENCE_CLASS, LETTERS, LETTERS), **parts)


def seen(**parts: Any) -> Data:
    return changed(data_of(Output.SEQUENCE_CLASS, LETTERS, FEATURES), **parts)


WRONG: dict[str, tuple[Data, str]] = {
    # numbers where classes are wanted
    "floats of a class": (
        classes(targets=lambda t: t * 0.525),
        "is no whole number; a target of the kind sequence_class is the number of an output, from"
        " 0; where numbers are to be predicted, give the kind regression",
    ),
    "floats of labels": (labels(targets=lambda t: t * 0.5), "give the kind regression"),
    "nan of a class": (
        classes(targets=lambda t: put((2, 0), NAN)(t.double())),
        "nan (row 2, column 0) is no whole number; a target of the kind sequence_class is the"
        " number of an output, from 0; where nothing is known give IGNORE (-100)",
    ),
    "several of one": (
        classes(targets=lambda t: t.expand(-1, 3).contiguous()),
        "give one label a row, (24, 1); or the kind multi_label or regression, for several a row",
    ),
    "one a position": (
        classes(targets=lambda t: t.expand(-1, 7).contiguous()),
        "or token_class, for one a position",
    ),
    # labels
    "neither": (labels(targets=put((3, 1), 2)), "2 (row 3, column 1) is neither 1, for a label"),
    "few labels": (
        labels(targets=lambda t: t[:, :2]),
        "has shape (24, 2); give 0 or 1 for each of 3 names a row, (24, 3)",
    ),
    # numbers
    "infinite": (numbers(targets=put((4, 1), INF)), "inf (row 4, column 1) is no number in float"),
    "too large": (
        numbers(targets=lambda t: put((4, 1), 1e39)(t.double())),
        "1e+39 (row 4, column 1) is no number in float32",
    ),
    "not known": (numbers(targets=lambda t: t * NAN), "train.targets of 'output 0' are all nan"),
    "one not known": (
        numbers(targets=lambda t: t * torch.tensor([1, NAN])),
        "train.targets of 'output 1' are all nan, so that nothing is scored",
    ),
    "flat numbers": (
        numbers(targets=lambda t: t[:, 0]),
        "has shape (24,); give a number for each of 2 names a row, (24, 2)",
    ),
    "bool numbers": (numbers(targets=lambda t: t > 20), "train.targets is of torch.bool"),
    # positions
    "one a row": (positions(targets=lambda t: t[:, :1]), "give a target a token, (24, 7)"),
    "label of padding": (
        positions(targets=lambda t: torch.where(t == IGNORE, 1, t)),
        "is the label of padding (0, or nan of features); give IGNORE (-100) there",
    ),
    "one name": (
        positions(spec_num_outputs=1, spec_output_names=("a",)),
        "spec.num_outputs is 1, but a label is one of several",
    ),
    "beyond": (positions(targets=put((0, 0), 3)), "3 (row 0, column 0) is the number of no output"),
    # one class
    "one class": (
        classes(targets=torch.zeros_like),
        "train.targets are all 0 (output 0), so that there is nothing to tell apart",
    ),
    "one label": (
        positions(targets=lambda t: torch.where(t == IGNORE, t, 2)),
        "train.targets are all 2 (output 2)",
    ),
    # features
    "whole features": (
        frames(tokens=lambda t: t.nan_to_num(0).long()),
        "train.tokens is of torch.int64; features are real numbers: give torch.float32",
    ),
    "flat features": (
        frames(tokens=lambda t: t[..., 0]),
        "train.tokens has shape (24, 7); features have three axes, (rows, time, size)",
    ),
    "width": (
        frames(tokens=lambda t: t[..., :4]),
        "train.tokens has shape (24, 7, 4), 4 numbers a position, but the spec says size 6",
    ),
    "inf": (frames(tokens=put((2, 0, 3), INF)), "train.tokens: row 2 has inf in value 3 at"),
    "partly nan": (
        frames(tokens=put((2, 0, 3), NAN)),
        "train.tokens: row 2 has nan in value 3 at position 0, but not in all",
    ),
    "no frames": (frames(tokens=put((5,), NAN)), "train.tokens: row 5 is padding only"),
    "two inputs": (
        frames(spec_vocabulary=LETTERS),
        "spec.features is given, and spec.vocabulary has 4 symbols",
    ),
    "no size": (frames(spec_features=Features(0)), "spec.features.size is 0; give the numbers of"),
    "names": (
        frames(spec_features=Features(6, ("x", "y"))),
        "spec.features.names has 2 names, but spec.features.size is 6",
    ),
    "features of others": (frames(spec_features=6), "spec.features is a int; give a seqexp.spec.F"),
    "next of features": (
        frames(spec_output=Output.NEXT_TOKEN),
        "spec.output is next_token, but spec.features is given, and numbers have no next token",
    ),
    # contexts
    "not said": (read(spec_context=None), "train.context is given, but spec.context is None"),
    "not given": (read(context=None), "train.context is None, but spec.context is given"),
    "fewer": (
        read(context=lambda c: c[:9]),
        "train.context has 9 rows, but train.tokens has 24; give a context a row, or context_rows",
    ),
    "out of range": (
        read(context_rows=lambda _: torch.arange(24) + 1),
        "train.context_rows: 24 (row 23, column 0) is no row of train.context; give 0 to 23",
    ),
    "rows of floats": (
        read(context_rows=lambda _: torch.zeros(24)),
        "train.context_rows is of torch.float32 with shape (24,)",
    ),
    "ids of a context": (
        read(context=put((1, 0), 9)),
        "train.context: 9 (row 1, column 0) is no token id; ids are 1 to 4 for the 4 symbols of"
        " spec.context",
    ),
    "empty context": (read(context=put((3,), 0)), "train.context: row 3 is padding only"),
    "floats of a context": (read(context=torch.Tensor.float), "train.context is of torch.float32;"),
    "picture of another size": (
        seen(context=lambda c: c[..., :5]),
        "train.context has shape (24, 5, 5), 5 numbers a position, but the spec says size 6",
    ),
    "partly nan picture": (seen(context=put((0, 0, 1), NAN)), "train.context: row 0 has nan in"),
    "other context": (seen(spec_context="a"), "spec.context is a str; give a seqexp.spec.Vocabul"),
    "symbols twice": (
        read(spec_context=Vocabulary(("A", "A", "C", "T"))),
        "spec.context.symbols has 'A' twice",
    ),
    "array": (seen(context=lambda c: c.numpy()), "train.context is a numpy.ndarray; give a torch"),
}


@pytest.mark.parametrize("case", WRONG)
def test_data_that_are_not_sound_are_refused_in_words(case: str) -> None:
    data, message = WRONG[case]
    with pytest.raises(InputError) as refused:
        checked(data, NAME)
    assert message in str(refused.value)


@pytest.mark.parametrize(("output", "made_of", "context"), FORMS, ids=name_of)
def test_sound_data_are_taken_as_they_are(output: Output, made_of: Any, context: Any) -> None:
    data = data_of(output, made_of, context)
    assert checked(data, NAME) is data


def test_numbers_stay_numbers_and_classes_become_whole() -> None:
    data = checked(numbers(targets=lambda t: t.nan_to_num(20.0).long()), NAME)
    assert data.train.targets.dtype is torch.float32
    whole = checked(numbers(targets=lambda t: t.nan_to_num(20.0).round().double()), NAME)
    assert whole.train.targets.dtype is torch.float32
    assert checked(labels(targets=torch.Tensor.double), NAME).train.targets.dtype is torch.int64


def test_rows_may_share_a_context() -> None:
    data = read(context=lambda c: c[:3], context_rows=lambda _: torch.arange(24) % 3)
    assert checked(data, NAME) is data


def test_an_old_name_of_a_kind_is_read() -> None:
    assert Output("sequence-class") is Output.SEQUENCE_CLASS
    with pytest.raises(ValueError, match="sequence-classes"):
        Output("sequence-classes")
