"""The output of models with large vocabularies: adaptive and sampled softmax, and tied vectors."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Interval, Len
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.model.layers import FeatureInput, Head, TokenInput, embedded
from seqexp.spec import IGNORE, PAD, Output, TaskSpec

OutputName = Literal["full", "adaptive", "sampled"]

OutputBias = Literal["zero", "frequencies"]

Cutoffs = Annotated[list[Annotated[int, Interval(ge=1)]], Len(1, 16)]

DIVISOR = 4.0
"""By which vectors of each further cluster are smaller. Source: Grave et al. (2017), sec. 4.3."""

FEWEST = 4
"""Outputs that two cutoffs divide."""


@dataclass(frozen=True)
class OutputChoice:
    """How targets are scored in training, and what the output's vectors are.

    Args:
        output: `full` computes all logits, `adaptive` those of frequent symbols and of the clusters
            that rare targets are in, `sampled` those of drawn symbols, in training.
        cutoffs: ids at which the clusters of `adaptive` begin; None: a 15th and a third of all.
        negatives: symbols that `sampled` compares targets with, on average.
        tied: whether the vectors are those that tokens are read by.
        bias: what the output's bias starts as: `zero`, or the log of how frequent each symbol is in
            training, which takes hundreds of updates to learn where there are many.
    """

    output: OutputName = "full"
    cutoffs: Sequence[int] | None = None
    negatives: int = 1000
    tied: bool = False
    bias: OutputBias = "zero"

    @property
    def is_plain(self) -> bool:
        """Whether the output is one linear layer with weights of its own."""
        return self.output == "full" and not self.tied


def head_for(
    spec: TaskSpec,
    size: int,
    hidden_layers: Sequence[int],
    dropout: float,
    choice: OutputChoice,
    vectors: TokenInput | FeatureInput,
) -> Head:
    """Dense layers from `size` features, and the output that was chosen.

    Args:
        spec: the task.
        size: of the features.
        hidden_layers: sizes of dense layers.
        dropout: share of features dropped before each layer.
        choice: of the output.
        vectors: the model's input, whose vectors may be tied.

    Raises:
        InputError: on a choice that the task or the input does not allow.
    """
    by_frequencies = choice.bias == "frequencies"
    if choice.is_plain and not by_frequencies:
        return Head(size, hidden_layers, spec.num_outputs, dropout)
    if spec.output is not Output.NEXT_TOKEN:
        key = "tied is true" if choice.tied else f"output is {choice.output}"
        key = "output_bias is frequencies" if by_frequencies else key
        raise InputError(
            f"model.{key}, which is for next tokens, but the dataset's kind of task is"
            f" {spec.output.value}; give output=full tied=false output_bias=zero"
        )
    head = _head_of_next_tokens(spec, size, hidden_layers, dropout, choice, vectors)
    head.by_frequencies = by_frequencies
    return head


def _head_of_next_tokens(
    spec: TaskSpec,
    size: int,
    hidden_layers: Sequence[int],
    dropout: float,
    choice: OutputChoice,
    vectors: TokenInput | FeatureInput,
) -> Head:
    if choice.is_plain:
        return Head(size, hidden_layers, spec.num_outputs, dropout)
    if choice.output == "adaptive" and choice.tied:
        raise InputError(
            "model.tied is true, but model.output is adaptive, whose clusters have vectors of other"
            " sizes; give output=full or sampled, or tied=false"
        )
    last = hidden_layers[-1] if hidden_layers else size
    scores: nn.Module
    if choice.output == "adaptive":
        scores = Adaptive(last, spec.num_outputs, choice.cutoffs)
    elif choice.tied:
        scores = Tied(last, spec.num_outputs, vectors)
    else:
        scores = OwnVectors(last, spec.num_outputs)
    if choice.output == "full":
        return Head(size, hidden_layers, spec.num_outputs, dropout, scores)
    sampling = None
    if choice.output == "sampled":
        sampling = Sampling(spec.num_outputs, choice.negatives)
    return ScoringHead(size, hidden_layers, spec.num_outputs, dropout, scores, sampling)


class ScoringHead(Head):
    """A head that says what targets cost without all logits.

    Args:
        num_inputs: size of the features.
        hidden_layers: sizes of dense layers before the output.
        num_outputs: symbols.
        dropout: share of features dropped before each layer.
        output: gives logits.
        sampling: draws the symbols that are scored; None: the output can score targets itself.
    """

    def __init__(
        self,
        num_inputs: int,
        hidden_layers: Sequence[int],
        num_outputs: int,
        dropout: float,
        output: nn.Module,
        sampling: "Sampling | None",
    ) -> None:
        super().__init__(num_inputs, hidden_layers, num_outputs, dropout, output)
        self.sampling = sampling

    def nats(
        self,
        features: Float[Tensor, "batch positions features"],
        targets: Int[Tensor, "batch positions"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over scored targets; an estimate where it is sampled."""
        scored = targets != IGNORE
        features, targets = self.dense(features[scored]), targets[scored]  # (scored, ...)
        found: Tensor
        if self.sampling is None:
            found = self.output.nats(features, targets)
        else:
            found = self.sampling.nats(self.output, features, targets)
        return found


# --- vectors of the output ----------------------------------------------------------------------


class OwnVectors(nn.Linear):
    """A linear layer of which some rows can be read alone."""

    def rows(
        self, ids: Int[Tensor, " some"]
    ) -> tuple[Float[Tensor, "some size"], Float[Tensor, " some"]]:
        """Vectors and biases."""
        return self.weight.index_select(0, ids), self.bias.index_select(0, ids)

    def read(self, features: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
        """What the vectors are multiplied with."""
        return features


class Tied(nn.Module):
    """A linear layer whose vectors are those that tokens are read by; the bias is its own.

    Features of another size than the vectors are projected to it. The vector of padding stays zero.

    Args:
        size: of the features.
        num_outputs: symbols, padding among them.
        vectors: that tokens are read by, which are initialised within 0.1.

    Raises:
        InputError: if there are no learned vectors of all outputs.

    Source: Press & Wolf (2017), sec. 3; the projection of sec. 3.2.
    """

    def __init__(self, size: int, num_outputs: int, vectors: TokenInput | FeatureInput) -> None:
        super().__init__()
        if not isinstance(vectors, TokenInput) or not isinstance(vectors.table, nn.Parameter):
            raise InputError(
                "model.tied is true, but tokens are read as one-hot: model.embedding_size is null,"
                " or auto with few symbols; give a size, or tied=false"
            )
        if len(vectors.table) != num_outputs:
            raise InputError(
                f"model.tied is true, but there are vectors of {len(vectors.table):,} token ids"
                f" for {num_outputs:,} outputs; give tied=false"
            )
        # in a tuple, so that it is no part: the vectors stand once among the model's weights
        self._vectors = (vectors,)
        fits = size == vectors.size
        self.projection = None if fits else nn.Linear(size, vectors.size, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_outputs))
        with torch.no_grad():
            nn.init.uniform_(vectors.table, -0.1, 0.1)
            vectors.table[PAD] = 0

    def forward(self, features: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch outputs"]:
        """Logits of all."""
        table = self._vectors[0].table
        # padding is read as zeros, so its vector must not be learned here
        kept = torch.cat([table[: PAD + 1].detach(), table[PAD + 1 :]])
        return functional.linear(self.read(features), kept, self.bias)

    def rows(
        self, ids: Int[Tensor, " some"]
    ) -> tuple[Float[Tensor, "some size"], Float[Tensor, " some"]]:
        """Vectors and biases."""
        # not as the module is called, where noise may be added to what is read
        read = self._vectors[0]
        vectors = embedded(read.table, ids[None], read.on_reading)[0]
        return vectors, self.bias.index_select(0, ids)

    def read(self, features: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch vector"]:
        """What the vectors are multiplied with."""
        return features if self.projection is None else self.projection(features)


# --- adaptive softmax ---------------------------------------------------------------------------


class Adaptive(nn.Module):
    """Softmax over frequent symbols and clusters of rare ones, then over those of one cluster.

    Ids are in the order of frequency in vocabularies of words; in another order it is as exact, but
    slower. The logits that it gives are log-probabilities.

    Args:
        size: of the features.
        num_outputs: symbols, padding among them.
        cutoffs: ids at which clusters begin, ascending; None: a 15th and a third of all.

    Raises:
        InputError: on cutoffs that divide nothing.

    Source: Grave et al. (2017); the weights are those of `nn.AdaptiveLogSoftmaxWithLoss`.
    """

    def __init__(self, size: int, num_outputs: int, cutoffs: Sequence[int] | None = None) -> None:
        super().__init__()
        self.cutoffs = list(cutoffs) if cutoffs is not None else usual_cutoffs(num_outputs)
        ascend = all(a < b for a, b in zip(self.cutoffs, self.cutoffs[1:], strict=False))
        if not ascend or self.cutoffs[0] < 1 or self.cutoffs[-1] >= num_outputs:
            raise InputError(
                f"model.cutoffs is {self.cutoffs}; give ascending ids above 0 and below"
                f" {num_outputs:,}, the number of symbols with padding, or null"
            )
        # at least one number a vector, whatever the size
        divisor = min(DIVISOR, size ** (1 / len(self.cutoffs)) * (1 - 1e-9))
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(
            size, num_outputs, self.cutoffs, div_value=max(1.0, divisor), head_bias=True
        )

    def forward(self, features: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch outputs"]:
        """Log-probabilities of all."""
        first = self.cutoffs[0]
        of_head = _wide(self.softmax.head(features)).log_softmax(dim=-1)
        parts = [of_head[..., :first]]
        for index, cluster in enumerate(self.softmax.tail):
            within = _wide(cluster(features)).log_softmax(dim=-1)
            parts.append(within + of_head[..., first + index, None])
        return torch.cat(parts, dim=-1)

    def start_bias(self, logs: Float[Tensor, " outputs"]) -> None:
        """Start at these log-probabilities: of frequent symbols, and of clusters as a whole."""
        ends = itertools.pairwise([*self.cutoffs, len(logs)])
        clusters = torch.stack([logs[begin:end].logsumexp(dim=0) for begin, end in ends])
        with torch.no_grad():
            self.softmax.head.bias.copy_(torch.cat([logs[: self.cutoffs[0]], clusters]))

    def nats(
        self, features: Float[Tensor, "scored size"], targets: Int[Tensor, " scored"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed; exact."""
        begins = torch.tensor(self.cutoffs, device=targets.device)
        cluster = torch.bucketize(targets, begins, right=True) - 1  # -1: in the head
        first = self.cutoffs[0]
        in_head = torch.where(cluster < 0, targets, first + cluster)
        total = _cross_entropy(self.softmax.head(features), in_head)
        # without a target in it, a cluster has zero gradients rather than none
        for index, layers in enumerate(self.softmax.tail):
            chosen = (cluster == index).nonzero()[:, 0]
            logits = layers(features.index_select(0, chosen))
            total = total + _cross_entropy(logits, targets[chosen] - self.cutoffs[index])
        return total


def usual_cutoffs(num_outputs: int) -> list[int]:
    """A 15th and a third: 2,000 and 10,000 of 30,000 symbols.

    Raises:
        InputError: of too few outputs.
    """
    if num_outputs < FEWEST:
        raise InputError(
            f"model.output is adaptive, but there are {num_outputs} symbols with padding, too few"
            " for clusters; give output=full"
        )
    return [max(1, num_outputs // 15), max(2, num_outputs // 3)]


# --- sampled softmax ----------------------------------------------------------------------------


class Sampling(nn.Module):
    """Draws the symbols that all targets of a pass are compared with.

    Each symbol is drawn by itself with its own chance, which is proportional to log-uniform
    frequencies by rank, and at most 1. A target t and the drawn symbols C then compete by
    o_c - log q_c, where q is the chance. Of the symbols {t} and C, that softmax is the probability
    that t is the true one, so it is best where the whole softmax is, for any number of them.

    Args:
        num_outputs: symbols, padding among them, which is always drawn.
        negatives: how many are drawn on average.

    Source: Jean et al. (2015), sec. 3; Bengio & Senecal (2008) for the correction.
    """

    chance: Tensor

    def __init__(self, num_outputs: int, negatives: int) -> None:
        super().__init__()
        with torch.device("cpu"):  # a stored model is first made without memory
            chance = chances(num_outputs, negatives).float()
        self.register_buffer("chance", chance, persistent=False)

    def draw(self) -> Int[Tensor, " drawn"]:
        """Ids, ascending, by the generator of dropout's masks."""
        return (torch.rand_like(self.chance) < self.chance).nonzero()[:, 0]

    def nats(
        self,
        output: OwnVectors | Tied,
        features: Float[Tensor, "scored size"],
        targets: Int[Tensor, " scored"],
    ) -> Float[Tensor, ""]:
        """An estimate of the cross-entropy in nats, summed, with the gradient of the sampled one.

        The estimate weighs each drawn symbol by 1 / q, so its sum over symbols has the right mean.
        """
        drawn = self.draw()
        needed, places = torch.unique(torch.cat([drawn, targets]), return_inverse=True)
        vectors, biases = output.rows(needed)
        features = output.read(features)
        of_drawn, of_targets = places[: len(drawn)], places[len(drawn) :]
        scores = functional.linear(features, vectors[of_drawn], biases[of_drawn])
        corrected = _wide(scores) - self.chance[drawn].log()
        together = corrected.logsumexp(dim=1)
        true = _wide((features * vectors[of_targets]).sum(dim=1) + biases[of_targets])
        chance = self.chance[targets]
        true_corrected = true - chance.log()
        is_drawn = _contains(drawn, targets)
        whole = torch.where(is_drawn, together, torch.logaddexp(together, true_corrected))
        loss = (whole - true_corrected).sum()
        with torch.no_grad():
            ratio = (true_corrected - together).clamp(max=0).exp()
            again = together + torch.log1p(-(1 - chance) * ratio)
            estimate = torch.where(is_drawn, again, torch.logaddexp(together, true)) - true
            difference = estimate.sum() - loss
        return loss + difference


def chances(num_outputs: int, negatives: int) -> Float[Tensor, " outputs"]:
    """Of each id to be drawn, in float64; their sum is `negatives`, or all are 1."""
    ranks = torch.arange(num_outputs, dtype=torch.float64)
    frequencies = torch.log1p(1 / (ranks + 1))
    if negatives >= num_outputs:
        return torch.ones(num_outputs, dtype=torch.float64)
    low, high = 0.0, num_outputs / float(frequencies.min())
    for _ in range(100):  # halves of the interval that the factor is in
        middle = (low + high) / 2
        is_small = float((frequencies * middle).clamp(max=1).sum()) < negatives
        low, high = (middle, high) if is_small else (low, middle)
    found = (frequencies * high).clamp(max=1)
    found[PAD] = 1
    return found


def _contains(ascending: Int[Tensor, " some"], ids: Int[Tensor, " ids"]) -> Bool[Tensor, " ids"]:
    places = torch.searchsorted(ascending, ids).clamp(max=len(ascending) - 1)
    return ascending[places] == ids


def _wide(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """At least in float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _cross_entropy(
    logits: Float[Tensor, "some outputs"], targets: Int[Tensor, " some"]
) -> Float[Tensor, ""]:
    return functional.cross_entropy(_wide(logits), targets, reduction="sum")
