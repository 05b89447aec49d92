"""What a model of one's own gets wrong is said in words, before anything is trained."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.data import Data, Sequences
from seqexp.errors import InputError
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.trial import refuse_other_things, try_model, try_optimizer

NAME = "my_lab.own.Own"

CPU = torch.device("cpu")

LETTERS = Vocabulary(("A", "C", "G", "T"))

CLASSES = TaskSpec(LETTERS, 2, Output.SEQUENCE_CLASS, ("no", "yes"), 6)

NEXT = TaskSpec(LETTERS, 5, Output.NEXT_TOKEN, ("padding", "A", "C", "G", "T"))


def data(spec: TaskSpec) -> Data:
    tokens = (torch.arange(7)[:, None] + torch.arange(6)) % 3 + 1  # no T
    targets = tokens if spec.output is Output.NEXT_TOKEN else torch.arange(7)[:, None] % 2
    split = Sequences(tokens, targets)
    return Data(spec, split, split, split)


class Own(nn.Module):
    """A model of one's own, sound; what is wrong with others is what they do to its output."""

    causal: Any = True

    def __init__(self, spec: TaskSpec, ids: int = 5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ids, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, spec.num_outputs)
        self.is_label = spec.output is Output.SEQUENCE_CLASS

    def logits(self, tokens: Tensor) -> Tensor:
        vectors = self.embedding(tokens).cumsum(1)
        vectors = self.norm(vectors.transpose(1, 2)).transpose(1, 2)
        return self.head(vectors[:, -1:] if self.is_label else vectors)

    def forward(self, tokens: Tensor, carry: Any = None) -> Any:
        return self.logits(tokens), ()


def returning(change: Callable[[Tensor, Tensor], Any], causal: Any = True) -> type[Own]:
    """A model that returns something else of its logits and the tokens."""

    class Wrong(Own):
        def forward(self, tokens: Tensor, carry: Any = None) -> Any:
            return change(self.logits(tokens), tokens)

    Wrong.causal = causal
    return Wrong


def failing(logits: Tensor, tokens: Tensor) -> Any:
    raise KeyError("no such layer")


class OneArgument(Own):
    def forward(self, tokens: Tensor) -> Any:  # type: ignore[override]
        return self.logits(tokens), ()


class SmallEmbedding(Own):
    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec, ids=4)  # as if padding had no id


class Lying(Own):
    def logits(self, tokens: Tensor) -> Tensor:
        return super().logits(tokens.flip(1)).flip(1)


class Unsaid(Own):
    causal = None


class Scoring(Own):
    """Says what targets cost; what is wrong is what it makes of that."""

    scores_targets = True
    wrong: Callable[[Tensor], Any] = staticmethod(lambda cost: (cost, ()))

    def target_nats(self, tokens: Tensor, targets: Tensor, carry: Any = None) -> Any:
        logits = self.logits(tokens).flatten(0, 1)
        return self.wrong(nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum"))


class OneCost(Scoring):
    wrong = staticmethod(lambda cost: cost)


class CostOfEach(Scoring):
    wrong = staticmethod(lambda cost: (cost[None], ()))


class EndlessCost(Scoring):
    wrong = staticmethod(lambda cost: (cost * torch.inf, ()))


def forgetful(logits: Tensor, tokens: Tensor) -> Any:
    return logits.detach(), ()


WRONG: dict[str, tuple[type[Own], TaskSpec, str]] = {
    "logits only": (returning(lambda x, _: x), CLASSES, "returns a tensor of shape (4, 1, 2), but"),
    "three values": (returning(lambda x, _: (x, (), 1)), CLASSES, "forward returns 3 values, but"),
    "nothing": (returning(lambda x, _: None), CLASSES, "forward returns None, but has to return"),
    "no positions": (
        returning(lambda x, _: (x[:, 0], ())),
        CLASSES,
        "logits of the first batch have shape (4, 2) for tokens of shape (4, 6); give (4, 1, 2): 4"
        " rows, 1 prediction a sequence, 2 outputs",
    ),
    "a label": (
        returning(lambda x, _: (x[:, :1], ())),
        NEXT,
        "give (4, 6, 5): 4 rows, 6 tokens, 5",
    ),
    "more outputs": (
        returning(lambda x, _: (torch.cat([x, x], 2), ())),
        CLASSES,
        "have shape (4, 1, 4)",
    ),
    "turned": (returning(lambda x, _: (x.transpose(0, 1), ())), NEXT, "have shape (6, 4, 5) for"),
    "squeezed": (
        returning(lambda x, _: (x[0] if len(x) == 1 else x, ())),
        CLASSES,
        "logits of one row have shape (1, 2)",
    ),
    "integers": (
        returning(lambda x, _: (x.long(), ())),
        CLASSES,
        "logits are of torch.int64; give",
    ),
    "no tensor": (
        returning(lambda x, _: (x.tolist(), ())),
        CLASSES,
        "logits are a list, no tensor",
    ),
    "no carry": (
        returning(lambda x, _: (x, None)),
        CLASSES,
        "a carry that is a NoneType, or holds",
    ),
    "one state": (returning(lambda x, _: (x, x[0])), NEXT, "returns a carry that is a Tensor, or"),
    "nested": (returning(lambda x, _: (x, ((x, x),))), NEXT, "returns a carry that is a tuple, or"),
    "raises": (
        returning(failing),
        CLASSES,
        "cannot read the first batch: tokens of shape (4, 6), ids up to 3: KeyError: 'no such lay",
    ),
    "nan": (
        returning(lambda x, _: (x * torch.nan, ())),
        CLASSES,
        "of the first batch, untrained, g",
    ),
    "inf": (
        returning(lambda x, _: (x + torch.inf, ())),
        CLASSES,
        "of the first batch, untrained, g",
    ),
    "detached": (returning(forgetful), CLASSES, "depend on no parameter (requires_grad is False)"),
    "one argument": (
        OneArgument,
        CLASSES,
        "forward takes (tokens, carry), where carry may be None",
    ),
    "few ids": (SmallEmbedding, CLASSES, "cannot read token id 4, the last of the vocabulary's 5"),
    "not causal": (
        returning(lambda x, _: (x, ()), False),
        NEXT,
        "has causal = False, but the data",
    ),
    "not said": (Unsaid, NEXT, "has no attribute causal, but the dataset wants the next token"),
    "one cost": (OneCost, NEXT, "target_nats of the first batch returns tensor("),
    "a cost each": (CostOfEach, NEXT, "as a tensor without dimensions, which depends on"),
    "an endless cost": (EndlessCost, NEXT, "target_nats of the first batch is inf; give nats"),
    "lying": (Lying, NEXT, "with the token at position 5, but causal is True"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_that_breaks_its_promises_is_refused_in_words(case: str) -> None:
    kind, spec, message = WRONG[case]
    torch.manual_seed(0)
    with pytest.raises(InputError) as refused:
        try_model(kind(spec), data(spec), Settings(batch_size=4), CPU, NAME)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"model {NAME}")


def test_the_line_that_raised_is_named() -> None:
    with pytest.raises(InputError, match=r"test_trial\.py, line \d+\)"):
        try_model(returning(failing)(CLASSES), data(CLASSES), Settings(), CPU, NAME)


def test_windows_of_a_sequence_are_read_by_a_causal_model_only() -> None:
    settings = Settings(bptt=BPTT(k1=2))
    model = returning(lambda x, _: (x, ()), causal=False)(CLASSES)
    with pytest.raises(InputError, match="has causal = False, but trainer.bptt.k1=2 cuts"):
        try_model(model, data(CLASSES), settings, CPU, NAME)
    try_model(Own(CLASSES), data(CLASSES), settings, CPU, NAME)
    try_model(Scoring(NEXT), data(NEXT), settings, CPU, NAME)


@pytest.mark.parametrize("spec", [CLASSES, NEXT])
def test_a_sound_model_is_left_as_it_was(spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = Own(spec)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    try_model(model, data(spec), Settings(batch_size=4), CPU, NAME)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "is None; give a subclass of torch.nn.Module"),
        (object(), "is a builtins.object; give a subclass"),
        (nn.ReLU(), "has no parameter to train (0 in all"),
        (nn.Linear(2, 3).requires_grad_(False), "has no parameter to train (9 in all"),
    ],
)
def test_what_cannot_be_trained_is_refused(model: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        refuse_other_things(model, NAME)
    assert message in str(refused.value)


def test_an_optimizer_that_cannot_step_here_is_refused() -> None:
    with pytest.raises(InputError, match="cannot take a step on cpu: .*capturable"):
        try_optimizer(lambda weights: torch.optim.Adam(weights, capturable=True), CPU)
    with pytest.raises(InputError, match="cannot take a step on cpu: .*dense"):
        try_optimizer(torch.optim.SparseAdam, CPU)
    try_optimizer(torch.optim.AdamW, CPU)
