"""N-grams beside a network: a vector of each, added to the input, or straight to the logits."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Interval, Len
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.model.counting.grams import Grams, NGramSize
from seqexp.model.counting.table import NGramTable, Speaking, highest
from seqexp.ranges import Count, NotNegative, Rate
from seqexp.spec import PAD, Model, TaskSpec

Buckets = Annotated[int, Interval(ge=1, le=2**28)]

MAX_TRIED = 2000
"""N-grams that a model reads alone, to show what each adds."""

ROWS = 500
"""Of them, at a time."""


@dataclass(frozen=True)
class AddedNGrams:
    """Learned vectors of the n-grams that end at each token.

    Args:
        sizes: tokens of an n-gram, as [2] or [2, 3]; None: there are none.
        min_count: occurrences in the training sequences that an n-gram needs to have a vector.
        buckets: vectors that all n-grams share by a hash, instead of one for each that is frequent;
            None counts them.
        dropout: share of the n-grams that are dropped at their places in a pass.
        to: `input` adds them to the vectors of the tokens where they end; `logits` adds them to the
            logits, of one prediction a sequence the sum over all places. `mean`, of `model=cnn1d`
            and one prediction a sequence, predicts the mean of the network's logits and theirs;
            each learns by a loss of its own, since n-grams learn faster than filters, and would
            leave them nothing to learn.
        strength: of an L2 penalty on the vectors, nats a squared unit, beside the sum of the losses
            of all training sequences, as that of `model=ngrams`; of `model=cnn1d`.
        gaps: places that are skipped within an n-gram, at most; of `logits` and `mean`.

    Source: Cheng et al. (2016), wide and deep, for `logits`; Dietterich (2000) for `mean`; Ghandi
    et al. (2014), gkm-SVM, for gaps in DNA.
    """

    sizes: Annotated[list[NGramSize], Len(1, 16)] | None = None
    min_count: Count = 3
    buckets: Buckets | None = None
    dropout: Rate = 0.0
    to: Literal["input", "logits", "mean"] = "input"
    strength: NotNegative = 0.0
    gaps: Annotated[int, Interval(ge=0, le=16)] = 0


class VectorSum(nn.Module):
    """Vectors of tokens with what is added to them, as a module, so that a hook can change the sum.

    It has no weights.
    """

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        vectors: Float[Tensor, "batch time width"],
        added: Float[Tensor, "batch time width"],
    ) -> Float[Tensor, "batch time width"]:
        """The sum; `tokens` say where there is padding."""
        return vectors + added.to(vectors.dtype)


class NGramVectors(nn.Module):
    """The vectors, summed at each token, and the last tokens for the window after this one.

    They start at zero, so that a network starts as it would without.

    Args:
        spec: the task.
        chosen: which n-grams, and where to; its sizes are not None.
        width: numbers of a vector.
        both_strands: whether an n-gram of DNA and its reverse complement are one.

    Raises:
        InputError: for sequences without tokens, and n-grams that are longer than those.
    """

    def __init__(
        self, spec: TaskSpec, chosen: AddedNGrams, width: int, both_strands: bool = False
    ) -> None:
        super().__init__()
        sizes = tuple(chosen.sizes or ())
        if spec.features is not None:
            raise InputError(
                f"model.ngrams.sizes is {list(sizes)}, but sequences of the dataset are of numbers,"
                " not of tokens; give null"
            )
        grams = Grams(spec.vocabulary, sizes, chosen.gaps, both_strands, "model.ngrams")
        if spec.length is not None and grams.span > spec.length:
            gaps = f" with {chosen.gaps} gaps" if chosen.gaps else ""
            raise InputError(
                f"model.ngrams.sizes is {list(sizes)}{gaps}, but sequences have {spec.length}"
                f" tokens; give sizes of at most {spec.length - chosen.gaps}"
            )
        self.adds_to, self.dropout, self.span = chosen.to, chosen.dropout, grams.span
        self.strength = chosen.strength
        self.bias = nn.Parameter(torch.zeros(width)) if chosen.to == "mean" else None
        self.sum = VectorSum()
        self.table = NGramTable(grams, width, chosen.min_count, chosen.buckets)

    def logits(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch 1 outputs"]:
        """What n-grams say of sequences alone."""
        sums: Tensor = self(tokens).sum(dim=1, keepdim=True)
        return sums if self.bias is None else sums + self.bias

    def added_to(
        self,
        vectors: Float[Tensor, "batch time width"],
        tokens: Int[Tensor, "batch time"],
        before: Int[Tensor, "batch earlier"] | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Vectors of tokens with those of the n-grams that end at them."""
        summed: Tensor = self.sum(tokens, vectors, self(tokens, before))
        return summed

    def penalty(self) -> Float[Tensor, ""]:
        """What is added to the mean loss of a sequence, nats."""
        share = self.strength / max(1, self.table.counted_in)
        return 0.5 * share * self.table.table.square().sum()

    def forward(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"] | None = None
    ) -> Float[Tensor, "batch time width"]:
        """Sums of the vectors of the n-grams that end at each token."""
        rows = self.table.rows(tokens, before)
        if not self.training or not self.dropout:
            found: Tensor = self.table(rows)
            return found
        keep = torch.rand(rows.shape, device=rows.device) >= self.dropout
        kept: Tensor = self.table(rows * keep)
        return kept / (1 - self.dropout)

    @torch.no_grad()
    def contributions(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time width"]:
        """What each token adds to the sum of `forward`: of each n-gram an equal share."""
        return self.table.grams.shared(self.table.table[self.table.rows(tokens)])

    def carried(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"] | None = None
    ) -> Int[Tensor, "batch earlier"]:
        """The tokens that n-grams of the window after this one begin with, as many as there may be.

        Padding on the right is no token of the sequence: they are those before it.
        """
        earlier = self.start(tokens) if before is None else before
        joined = torch.cat([earlier.to(tokens.dtype), tokens], dim=1)
        return joined[:, joined.shape[1] - (self.span - 1) :]

    def start(self, tokens: Tensor) -> Int[Tensor, "batch earlier"]:
        """What is carried before the first token."""
        return torch.full((tokens.shape[0], self.span - 1), PAD, device=tokens.device)


def vectors_of(
    spec: TaskSpec,
    chosen: AddedNGrams | None,
    input_size: int,
    is_one_hot: bool,
    both_strands: bool = False,
) -> NGramVectors | None:
    """The n-grams of a model; None where it has none.

    Raises:
        InputError: where they would be added to one-hot vectors; as `NGramVectors`.
    """
    if chosen is None or chosen.sizes is None:
        return None
    if chosen.to != "input":
        _refuse_mean(spec, chosen)
        return NGramVectors(spec, chosen, spec.num_outputs, both_strands)
    if chosen.gaps:
        raise InputError(
            f"model.ngrams.gaps is {chosen.gaps}, but model.ngrams.to is input; give 0, or"
            " to=logits (or mean, of model=cnn1d)"
        )
    if is_one_hot and spec.features is None:
        raise InputError(
            "model.ngrams.to is input, but tokens are one-hot, which have no learned vector to add"
            " to; give model.embedding_size, or to=logits"
        )
    return NGramVectors(spec, chosen, input_size)


def _refuse_mean(spec: TaskSpec, chosen: AddedNGrams) -> None:
    if chosen.to == "mean" and spec.per_position:
        raise InputError(
            "model.ngrams.to is mean, but the dataset has a prediction at each position; give"
            " logits or input"
        )


def refuse_of_filters(chosen: AddedNGrams | None) -> None:
    """Refuse what only a model of filters does with n-grams.

    Raises:
        InputError: naming the key.
    """
    if chosen is None or chosen.sizes is None:
        return
    if chosen.to == "mean":
        raise InputError("model.ngrams.to is mean, which is of model=cnn1d; give logits or input")
    if chosen.strength:
        raise InputError(
            f"model.ngrams.strength is {chosen.strength:g}, which is of model=cnn1d; give 0"
        )


@torch.no_grad()
def top_of(
    model: Model, vectors: NGramVectors | None, spec: TaskSpec, count: int
) -> list[Speaking]:
    """The n-grams that add most to each output, by what the outputs are without them.

    Of those added to the input, the `MAX_TRIED` longest vectors are tried: the model reads the
    n-gram alone, with its vector and without. Nothing of hashed ones, which have no names.
    """
    if vectors is None or vectors.table.buckets is not None or spec.context is not None:
        return []
    table, rows = vectors.table, vectors.table.table
    if vectors.adds_to != "input":
        adds = rows[1:].detach().float().cpu()
        adds = adds - adds.mean(dim=1, keepdim=True) if adds.shape[1] > 1 else adds
        if vectors.adds_to == "mean":  # as what is predicted is the mean of both
            adds = adds / 2
        return highest(adds, None, table, spec.output_names, count)
    longest = rows[1:].norm(dim=1).topk(min(MAX_TRIED, len(rows) - 1)).indices
    ngrams = table.names((longest + 1).tolist())
    width = max(vectors.span, spec.length or 0)
    ids = spec.vocabulary.ids
    codes = [[ids[symbol] for symbol in ngram if symbol is not None] for ngram in ngrams]
    tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in codes]).to(rows.device)
    model.eval()
    logits = _alone(model, tokens)
    kept, rows.data = rows.data, torch.zeros_like(rows.data)
    try:
        adds = logits - _alone(model, tokens)
    finally:
        rows.data = kept
    adds = adds - adds.mean(dim=1, keepdim=True) if adds.shape[1] > 1 else adds
    return highest(adds, ngrams, table, spec.output_names, count)


def _alone(model: Model, tokens: Int[Tensor, "ngrams time"]) -> Float[Tensor, "ngrams outputs"]:
    """Logits of the last real place, some n-grams at a time."""
    found = []
    for part in torch.split(tokens, ROWS):
        logits, _ = model(part)
        last = (part != PAD).sum(dim=1) - 1 if logits.shape[1] > 1 else torch.zeros_like(part[:, 0])
        found.append(logits[torch.arange(len(part)), last].float().cpu())
    return torch.cat(found)
