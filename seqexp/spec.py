"""What the parts say to each other: vocabulary, features, task, carry, and the model's protocol.

Every dataset turns its data into sequences of token ids or of real-valued features, targets, and
perhaps a context; a `TaskSpec` is all that a model knows of a dataset.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

import torch
from jaxtyping import Bool, Float, Integer, Num
from torch import Tensor, nn

PAD = 0
"""Token id of padding in every vocabulary."""

IGNORE = -100
"""A target that is not scored; among numbers, NaN is."""

Carry = tuple[Tensor, ...]
"""What a model needs of the tokens before: a value that is passed and returned."""


class Output(enum.StrEnum):
    """The kind of prediction; each is a file of this name in `seqexp/task`."""

    SEQUENCE_CLASS = "sequence_class"  # one label a sequence
    MULTI_LABEL = "multi_label"  # several labels a sequence, each there or not
    REGRESSION = "regression"  # one or several numbers a sequence
    TOKEN_CLASS = "token_class"  # a label at each position
    NEXT_TOKEN = "next_token"  # the token after each position
    READ_ERRORS = "read_errors"  # how a read differs from the sequence that it is of

    @classmethod
    def _missing_(cls, value: object) -> "Output | None":
        """The kind of an old name, as `next-token`."""
        new = str(value).replace("-", "_")
        return next((kind for kind in cls if kind.value == new != value), None)

    @property
    def per_position(self) -> bool:
        """Whether there is a prediction at each position, rather than one a sequence."""
        return self in (Output.TOKEN_CLASS, Output.NEXT_TOKEN)

    @property
    def causal(self) -> bool:
        """Whether a prediction must not see later tokens."""
        return self is Output.NEXT_TOKEN

    @property
    def has_numbers(self) -> bool:
        """Whether targets are real numbers, of which NaN is not scored, rather than integers."""
        return self is Output.REGRESSION


COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
"""What stands opposite of a letter on the other strand of DNA."""


@dataclass(frozen=True)
class Vocabulary:
    """The symbols that token ids stand for; id 0 is padding and has no symbol."""

    symbols: tuple[str, ...]

    def __len__(self) -> int:
        """Number of ids, padding among them."""
        return len(self.symbols) + 1

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Token ids.

        Raises:
            KeyError: on a symbol that the vocabulary lacks.
        """
        return [self.ids[symbol] for symbol in symbols]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each symbol."""
        return {symbol: index for index, symbol in enumerate(self.symbols, start=1)}

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The symbols of token ids; padding is left out."""
        return [self.symbols[index - 1] for index in ids if index != PAD]

    @property
    def is_dna(self) -> bool:
        """Whether the symbols have complements."""
        return set(self.symbols) == set(COMPLEMENT)

    def complements(self) -> list[int]:
        """Of each id that of its complement, for DNA; padding stays padding."""
        return [PAD, *self.encode([COMPLEMENT[symbol] for symbol in self.symbols])]


@dataclass(frozen=True)
class WordEncoding:
    """How the words of a text become a row of tokens, where symbols are words.

    Args:
        truncate: the end that is cut off a text that is too long.
        pad: the side on which a text that is too short is filled up.
        unit: `english` is lower-case words and punctuation of English; the others, which label
            positions, are those of `dataset/tagged/units.py`.
        lower: whether words become lower case, where they are not of `english`.
    """

    truncate: Literal["head", "tail"]
    pad: Literal["left", "right"]
    unit: Literal["english", "letters", "words", "characters", "pieces"] = "english"
    lower: bool = False

    def row(self, ids: Sequence[int], length: int) -> list[int]:
        """Exactly `length` ids, of which missing ones are padding."""
        kept = list(ids[-length:] if self.truncate == "head" else ids[:length])
        padding = [PAD] * (length - len(kept))
        return padding + kept if self.pad == "left" else kept + padding


@dataclass(frozen=True)
class Features:
    """Real numbers at each position of a sequence, as the coordinates of a frame of a video.

    Args:
        size: how many at each position.
        names: of them; empty where they have none.
        scale: mean and deviation by which the dataset has standardised each, as `predict` does;
            None leaves them as they are.
        by_sequence: whether each sequence is standardised by its own mean and deviation instead.
    """

    size: int
    names: tuple[str, ...] = ()
    scale: "Scale | None" = None
    by_sequence: bool = False


Input = Vocabulary | Features
"""What a sequence is made of: token ids of a vocabulary, or features."""

NO_SYMBOLS = Vocabulary(())


@dataclass(frozen=True)
class Scale:
    """How numbers of targets or features are standardised: `(value - mean) / deviation`.

    Args:
        mean: of the training split, a value each.
        deviation: standard deviation of the training split, a value each.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Scoring:
    """How predictions are scored, where the kind of task has a choice.

    Args:
        loss: of a regression: `gaussian`, `huber` or `poisson`.
        scale: of a regression's targets; None leaves them as they are.
        class_weights: what a target of each class counts in the loss; None is 1 each.
    """

    loss: str = "gaussian"
    scale: Scale | None = None
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TaskSpec:
    """All that a model knows of a dataset.

    Args:
        vocabulary: symbols of tokens; empty where sequences are of features.
        num_outputs: logits of each prediction. May be 1 for two classes: the logit of the second
            against the first. For NEXT_TOKEN, the size of the vocabulary.
        output: kind of prediction.
        output_names: names of classes, labels, or numbers.
        length: tokens of every sequence, padding included; None where they differ.
        words: how words become a row of tokens; None unless symbols are words.
        features: what each position holds instead of a token; None where there are tokens.
        context: what a second input of each sequence is made of; None where there is none.
        scoring: choices of the kind of task.
    """

    vocabulary: Vocabulary
    num_outputs: int
    output: Output
    output_names: tuple[str, ...]
    length: int | None = None
    words: WordEncoding | None = None
    features: Features | None = None
    context: Input | None = None
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        if isinstance(self.output, str):  # an old or a plain name of a kind
            with suppress(ValueError):
                object.__setattr__(self, "output", Output(self.output))

    @property
    def input(self) -> Input:
        """What a sequence is made of."""
        return self.vocabulary if self.features is None else self.features

    @property
    def per_position(self) -> bool:
        """Whether there is a prediction at each position, rather than one a sequence."""
        return self.output.per_position

    @property
    def causal(self) -> bool:
        """Whether a prediction must not see later tokens."""
        return self.output.causal

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON file."""
        values = {
            "vocabulary": list(self.vocabulary.symbols),
            "num_outputs": self.num_outputs,
            "output": self.output.value,
            "output_names": list(self.output_names),
            "length": self.length,
        }
        if self.words is not None:
            defaults = {field.name: field.default for field in fields(WordEncoding)}
            words = asdict(self.words).items()
            values["words"] = {key: value for key, value in words if value != defaults[key]}
        if self.features is not None:
            values["features"] = _plain(self.features)
        if self.context is not None:
            values["context"] = _plain(self.context)
        if self.scoring != Scoring():
            values["scoring"] = _lists(asdict(self.scoring))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TaskSpec":
        """The spec that `to_dict` wrote."""
        return cls(
            vocabulary=Vocabulary(tuple(values["vocabulary"])),
            num_outputs=values["num_outputs"],
            output=Output(values["output"]),
            output_names=tuple(values["output_names"]),
            length=values["length"],
            words=WordEncoding(**values["words"]) if "words" in values else None,
            features=_features(values["features"]) if "features" in values else None,
            context=_input(values["context"]) if "context" in values else None,
            scoring=_scoring(values["scoring"]) if "scoring" in values else Scoring(),
        )


def _plain(made_of: Input) -> dict[str, Any]:
    if isinstance(made_of, Features):
        values = {"size": made_of.size, "names": list(made_of.names)}
        scale = {} if made_of.scale is None else {"scale": _lists(asdict(made_of.scale))}
        return {**values, **scale, **({"by_sequence": True} if made_of.by_sequence else {})}
    return {"vocabulary": list(made_of.symbols)}


def _lists(value: Any) -> Any:
    """The same with lists for tuples, as JSON gives it back."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _features(values: Mapping[str, Any]) -> Features:
    scale = _scale(values["scale"]) if "scale" in values else None
    return Features(values["size"], tuple(values["names"]), scale, "by_sequence" in values)


def _input(values: Mapping[str, Any]) -> Input:
    if "vocabulary" in values:
        return Vocabulary(tuple(values["vocabulary"]))
    return _features(values)


def _scale(values: Mapping[str, Any]) -> Scale:
    return Scale(tuple(values["mean"]), tuple(values["deviation"]))


def _scoring(values: Mapping[str, Any]) -> Scoring:
    weights, scale = values["class_weights"], values["scale"]
    return Scoring(
        loss=values["loss"],
        scale=None if scale is None else _scale(scale),
        class_weights=None if weights is None else tuple(weights),
    )


def is_real(tokens: Num[Tensor, "batch time ..."]) -> Bool[Tensor, "batch time"]:
    """Where there is something rather than padding: id 0 of tokens, NaN of features."""
    return ~tokens[..., 0].isnan() if tokens.is_floating_point() else tokens != PAD


def is_scored(targets: Num[Tensor, "*batch positions"]) -> Bool[Tensor, "*batch positions"]:
    """Which targets count: all but IGNORE, and of numbers all but NaN."""
    return ~targets.isnan() if targets.is_floating_point() else targets != IGNORE


def unscored(targets: Num[Tensor, "..."]) -> float | int:
    """What stands among such targets where nothing is to be scored: IGNORE, or NaN of numbers."""
    return float("nan") if targets.is_floating_point() else IGNORE


@runtime_checkable
class Model(Protocol):
    """What the loop needs of a model: `(tokens, carry) -> (logits, carry)`.

    Logits are `(batch, time, outputs)` where the task is per position, else `(batch, 1, outputs)`.
    Of features, `tokens` is `(batch, time, size)`, NaN where a sequence is padded. `causal` says
    whether logits are free of later tokens.
    """

    causal: bool

    def __call__(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits of a window, and what the next window needs of it; None starts a sequence."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Trainable tensors."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Trainable tensors by name."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any:
        """Take these tensors."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""
        ...

    def eval(self) -> Any:
        """Switch dropout off."""
        ...


@runtime_checkable
class ReadsContext(Protocol):
    """A model that reads a second input of each sequence, once, before its first token."""

    def read(self, context: Num[Tensor, "batch time ..."]) -> Carry:
        """The carry that a sequence with this context begins with."""
        ...


@runtime_checkable
class ReadsVectors(Protocol):
    """A model that reads vectors in the place of tokens, so that it has a derivative by them."""

    def as_vectors(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time channels"]:
        """What the model makes of tokens, and reads as well; NaN where there is padding."""
        ...

    def symbol_vectors(self) -> Float[Tensor, "symbols channels"]:
        """The vector of each symbol."""
        ...

    def why_no_vectors(self) -> str | None:
        """Why this model reads none after all; None if it does."""
        ...

    def contributions(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time outputs"] | None:
        """What adds to the logits beside the vectors, at each token; None where nothing does."""
        ...


@runtime_checkable
class Attends(Protocol):
    """A model with attention over its context."""

    def read(self, context: Num[Tensor, "batch time ..."]) -> Carry:
        """The carry that a sequence begins with."""
        ...

    def attention_weights(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry
    ) -> Float[Tensor, "batch positions context"]:
        """What each position of the context counts for each prediction."""
        ...

    def attended_shape(self, context: Num[Tensor, "batch time ..."]) -> tuple[int, ...]:
        """How the positions of a context lie: in a row, or in rows and columns."""
        ...


def attends(model: object) -> TypeGuard[Attends]:
    """Whether a model has weights of attention; `model.attention` of ours may be off."""
    return isinstance(model, Attends) and getattr(model, "attention", True) is not None


def first_carry(model: Model, context: Num[Tensor, "batch time ..."] | None) -> Carry | None:
    """The carry that sequences begin with: what a model has read of their context.

    Raises:
        TypeError: if there is a context and the model reads none.
    """
    if context is None:
        return None
    if not isinstance(model, ReadsContext):
        raise TypeError(f"{type(model).__name__} has no method read(context)")
    return model.read(context)


@runtime_checkable
class Represents(Protocol):
    """A model that gives what it makes of sequences before its output."""

    def representation(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch positions size"]:
        """What predictions are made from: of one a sequence, a single position."""
        ...

    def states(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch positions size"]:
        """Hidden states, or activations of filters, at each position."""
        ...


@runtime_checkable
class ScoresTargets(Protocol):
    """A model that says what targets cost in training, without all logits.

    `scores_targets` says whether it does; validation, test and predictions ask for all logits.
    """

    @property
    def scores_targets(self) -> bool:
        """Whether training is to ask `target_nats`."""
        ...

    def target_nats(
        self,
        tokens: Num[Tensor, "batch time ..."],
        targets: Integer[Tensor, "batch positions"],
        carry: Carry | None = None,
    ) -> tuple[Float[Tensor, ""], Carry]:
        """The loss in nats, summed over scored targets, and what the next window needs.

        What it draws, it draws by PyTorch's generators, which the loop seeds by the place.
        """
        ...


def scores_targets(model: object) -> TypeGuard[ScoresTargets]:
    """Whether a model is to be asked what targets cost; `model.output` of ours may be full."""
    return isinstance(model, ScoresTargets) and bool(model.scores_targets)


@runtime_checkable
class HasMembers(Protocol):
    """A model of members that learn by a loss each, and predict the mean of their logits.

    `has_members` says whether it is one.
    """

    @property
    def has_members(self) -> bool:
        """Whether training is to ask `members`."""
        ...

    def members(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[list[Float[Tensor, "batch positions outputs"]], Carry]:
        """Logits of each member, and what the next window needs."""
        ...


def has_members(model: object) -> TypeGuard[HasMembers]:
    """Whether a model is to be trained by the mean loss of its members."""
    return isinstance(model, HasMembers) and model.has_members


@runtime_checkable
class HasPenalty(Protocol):
    """A model that adds something to the loss it is trained by."""

    def penalty(self) -> Float[Tensor, ""]:
        """Nats, whatever the batch."""
        ...


@runtime_checkable
class SizedByData(Protocol):
    """A part of a model with a row for each thing of a kind that the training data hold."""

    keys: Tensor  # one each

    def count(self, train: Any) -> None:
        """Make the rows, from the training sequences."""
        ...

    def resize(self, rows: int) -> None:
        """Make room for so many, as a saved model has them."""
        ...


@runtime_checkable
class BegunByData(Protocol):
    """A part of a model with initial weights that depend on the training data."""

    def begin_by(self, train: Any) -> None:
        """Set them, from the training sequences."""
        ...


def other_strand(
    tokens: Num[Tensor, "batch time ..."], vocabulary: Vocabulary
) -> Num[Tensor, "batch time ..."]:
    """The reverse complement of DNA; padding on the right comes to stand on the left.

    Of one-hot vectors, or weights of each base, (batch, time, symbols), too.
    """
    complements = torch.tensor(vocabulary.complements(), device=tokens.device)
    if tokens.is_floating_point():
        return tokens.flip(1)[..., complements[1:] - 1]
    return complements.to(tokens.dtype)[tokens.long().flip(1)]
