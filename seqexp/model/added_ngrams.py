"""N-grams beside a network: a vector of each, added to the input, or straight to the logits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import Interval, Len
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.model.counting.features import counts_of, log_count_ratios, sides
from seqexp.model.counting.grams import Grams, NGramSize
from seqexp.model.counting.table import NGramTable, Speaking, highest
from seqexp.model.layers import OnVectors
from seqexp.ranges import Count, NotNegative, Rate
from seqexp.spec import PAD, Model, Output, TaskSpec

To = Literal["input", "logits", "mean"]

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
            logits, of one prediction a sequence the sum over all places. `mean`, of one prediction
            a sequence, predicts the mean of the network's logits and theirs; each learns by a loss
            of its own, since n-grams learn faster than a network, and would leave it nothing to
            learn.
        strength: of an L2 penalty on the vectors, nats a squared unit, beside the sum of the losses
            of all training sequences, as that of `model=ngrams`; beside half of it with `mean`.
        gaps: places that are skipped within an n-gram, at most; of `logits` and `mean`.
        weighting: `nb` multiplies what an n-gram adds to an output by the logarithm of how much
            more frequent the sequences that have it are in that output than in others, which is
            counted at the start: an n-gram that tells little then learns slowly. Of `logits` and
            `mean`, for classes and labels.

    Source: Cheng et al. (2016), wide and deep, for `logits`; Dietterich (2000) for `mean`; Ghandi
    et al. (2014), gkm-SVM, for gaps in DNA; Wang & Manning (2012) for `nb`.
    """

    sizes: Annotated[list[NGramSize], Len(1, 16)] | None = None
    min_count: Count = 3
    buckets: Buckets | None = None
    dropout: Rate = 0.0
    to: To = "input"
    strength: NotNegative = 0.0
    gaps: Annotated[int, Interval(ge=0, le=16)] = 0
    weighting: Literal["plain", "nb"] = "plain"


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
        key: of the model that has chosen them.

    Raises:
        InputError: for sequences without tokens, and n-grams that are longer than those.
    """

    def __init__(
        self,
        spec: TaskSpec,
        chosen: AddedNGrams,
        width: int,
        both_strands: bool = False,
        key: str = "ngrams",
    ) -> None:
        super().__init__()
        sizes = tuple(chosen.sizes or ())
        if spec.features is not None:
            raise InputError(
                f"model.{key}.sizes is {list(sizes)}, but sequences of the dataset are of numbers,"
                " not of tokens; give null"
            )
        grams = Grams(spec.vocabulary, sizes, chosen.gaps, both_strands, f"model.{key}")
        if spec.length is not None and grams.span > spec.length:
            gaps = f" with {chosen.gaps} gaps" if chosen.gaps else ""
            raise InputError(
                f"model.{key}.sizes is {list(sizes)}{gaps}, but sequences have {spec.length}"
                f" tokens; give sizes of at most {spec.length - chosen.gaps}"
            )
        self.adds_to, self.dropout, self.span = chosen.to, chosen.dropout, grams.span
        self.strength, self.key = chosen.strength, key
        # of which the sum over all places is added to one prediction a sequence
        self.is_summed = chosen.to != "input" and not spec.per_position
        self.bias = nn.Parameter(torch.zeros(width)) if chosen.to == "mean" else None
        self.sum = VectorSum()
        self.spec = spec
        self.table = NGramTable(
            grams, width, chosen.min_count, chosen.buckets, has_ratios=chosen.weighting == "nb"
        )

    def begin_by(self, train: Sequences) -> None:
        """Count how much more frequent each n-gram is in an output, where that is wanted."""
        if not self.table.has_ratios:
            return
        counts, order = counts_of(self.table, train)
        counts.data[:] = 1
        targets = train.targets.cpu()[order].numpy()
        ratios = log_count_ratios(counts, *sides(targets, self.spec, self.table.width))
        self.table.ratios[1:] = torch.from_numpy(ratios)

    def logits(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"] | None = None
    ) -> Float[Tensor, "batch positions outputs"]:
        """What n-grams say: at each position, or of a sequence as a whole."""
        added: Tensor = self(tokens, before)
        return self.of_sums(added.sum(dim=1)) if self.is_summed else added

    def of_sums(self, sums: Float[Tensor, "batch outputs"]) -> Float[Tensor, "batch 1 outputs"]:
        """What n-grams say of sequences, by the sums over all places."""
        return (sums if self.bias is None else sums + self.bias)[:, None]

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
        return self.table.grams.shared(self.table.values()[self.table.rows(tokens)])

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


class WithNGrams(OnVectors):
    """A model with n-grams beside its layers: `ngrams`, and a second group, `wide`.

    Where one group is for the mean, the model has two members, as `spec.HasMembers` has them. For
    vectors in the place of tokens there are no n-grams: what these add is in `contributions`.
    """

    spec: TaskSpec
    ngrams: NGramVectors | None
    wide: NGramVectors | None
    reads_any_length = False
    """Whether a sequence may be shorter than all others, without padding."""

    def add_ngrams(
        self,
        ngrams: AddedNGrams | None,
        wide: AddedNGrams | None,
        input_size: int,
        is_one_hot: bool,
        both_strands: bool = False,
    ) -> None:
        """Make both groups; None where there is none.

        Raises:
            InputError: where both would be added to the same, where one is to be added to one-hot
                vectors, and on a mean of predictions at each position; as `NGramVectors`.
        """
        for key, chosen in groups_of(ngrams, wide):
            width = input_size if chosen.to == "input" else self.spec.num_outputs
            _refuse_impossible(self.spec, key, chosen, is_one_hot)
            both = both_strands and chosen.to != "input"
            setattr(self, key, NGramVectors(self.spec, chosen, width, both, key))
        if self.ngrams is not None and self.wide is not None:
            place = self.wide.adds_to
            if place == self.ngrams.adds_to:
                raise InputError(
                    f"model.ngrams.to and model.wide.to are both {place}; give another place to one"
                    " of them, or all sizes to one"
                )

    @property
    def groups(self) -> list[NGramVectors]:
        """The groups that there are."""
        return [group for group in (self.ngrams, self.wide) if group is not None]

    def group_to(self, place: To) -> NGramVectors | None:
        """The group that is added there; None where none is."""
        return next((group for group in self.groups if group.adds_to == place), None)

    @property
    def has_members(self) -> bool:
        """Whether the network and n-grams learn by a loss each."""
        return self.group_to("mean") is not None

    def mean_of(
        self, members: list[Float[Tensor, "batch positions outputs"]]
    ) -> Float[Tensor, "batch positions outputs"]:
        """What is predicted, by the logits of the network, and of n-grams where there are some.

        Of vectors, the share of the network in the mean.
        """
        if len(members) == 1:
            return members[0] / 2 if self.has_members else members[0]
        return torch.stack(members).mean(dim=0)

    def penalty(self) -> Float[Tensor, ""]:
        """What is added to the loss, nats."""
        nats = torch.zeros(())
        for group in self.groups:
            if group.strength:
                nats = nats + group.penalty()
        return nats

    def why_no_vectors(self) -> str | None:
        """Why vectors are not what this model reads; None if they are."""
        group = self.group_to("input")
        if group is not None:
            return f"it adds n-grams to its input (model.{group.key}.to=input), which are counted"
        return super().why_no_vectors()

    def contributions(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time outputs"] | None:
        """What n-grams add to what is predicted, at each of their tokens; None where there are
        none.
        """
        added = [one.contributions(tokens) for one in self.groups if one.adds_to != "input"]
        if not added:
            return None
        total = added[0] if len(added) == 1 else added[0] + added[1]
        return total / 2 if self.has_members else total

    def top(self, count: int) -> list[Speaking]:
        """Of each group, the n-grams that add most to each output."""
        return [speaking for group in self.groups for speaking in self._top_of(group, count)]

    @torch.no_grad()
    def _top_of(self, group: NGramVectors, count: int) -> list[Speaking]:
        """By what the outputs are without them.

        Of those added to the input, the `MAX_TRIED` longest vectors are tried: the model reads the
        n-gram alone, with its vector and without. Nothing of hashed ones, which have no names.
        """
        if group.table.buckets is not None or self.spec.context is not None:
            return []
        table, rows = group.table, group.table.table
        outputs = self.spec.output_names
        if group.adds_to != "input":
            adds = _beside_others(table.values()[1:].float().cpu())
            return highest(
                adds / 2 if self.has_members else adds, None, table, outputs, count, group.key
            )
        longest = rows[1:].norm(dim=1).topk(min(MAX_TRIED, len(rows) - 1)).indices
        ngrams = table.names((longest + 1).tolist())
        width = 0 if self.reads_any_length else self.spec.length or 0
        width = max(width, *(one.span for one in self.groups))
        ids = self.spec.vocabulary.ids
        codes = [[ids[symbol] for symbol in ngram if symbol is not None] for ngram in ngrams]
        tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in codes]).to(rows.device)
        model = cast(Model, self)
        model.eval()
        logits = _alone(model, tokens)
        kept, rows.data = rows.data, torch.zeros_like(rows.data)
        try:
            adds = logits - _alone(model, tokens)
        finally:
            rows.data = kept
        return highest(_beside_others(adds), ngrams, table, outputs, count, group.key)


def groups_of(
    ngrams: AddedNGrams | None, wide: AddedNGrams | None
) -> Iterator[tuple[str, AddedNGrams]]:
    """The groups that are chosen, by the key of each."""
    for key, chosen in (("ngrams", ngrams), ("wide", wide)):
        if chosen is not None and chosen.sizes is not None:
            yield key, chosen


def _refuse_impossible(spec: TaskSpec, key: str, chosen: AddedNGrams, is_one_hot: bool) -> None:
    if chosen.to == "mean" and spec.per_position:
        raise InputError(
            f"model.{key}.to is mean, but the dataset has a prediction at each position; give"
            " logits or input"
        )
    if chosen.to == "input" and chosen.gaps:
        raise InputError(
            f"model.{key}.gaps is {chosen.gaps}, but model.{key}.to is input; give 0, or"
            " to=logits or mean"
        )
    if chosen.weighting == "nb":
        what = None
        if chosen.to == "input":
            what = f"model.{key}.to is input, where n-grams speak for no output"
        elif chosen.buckets is not None:
            what = f"model.{key}.buckets is {chosen.buckets}, whose n-grams are not counted"
        elif spec.output not in (Output.SEQUENCE_CLASS, Output.MULTI_LABEL):
            what = (
                f"the dataset's kind of task is {spec.output}, not classes or labels of sequences"
            )
        if what is not None:
            raise InputError(f"model.{key}.weighting is nb, but {what}; give plain")
    if chosen.to == "input" and is_one_hot and spec.features is None:
        raise InputError(
            f"model.{key}.to is input, but tokens are one-hot, which have no learned vector to add"
            " to; give model.embedding_size, or to=logits"
        )


def _beside_others(adds: Float[Tensor, "ngrams outputs"]) -> Float[Tensor, "ngrams outputs"]:
    """What is added to each output, less the mean over all outputs."""
    return adds - adds.mean(dim=1, keepdim=True) if adds.shape[1] > 1 else adds


def _alone(model: Model, tokens: Int[Tensor, "ngrams time"]) -> Float[Tensor, "ngrams outputs"]:
    """Logits of the last real place, some n-grams at a time."""
    found = []
    for part in torch.split(tokens, ROWS):
        logits, _ = model(part)
        last = (part != PAD).sum(dim=1) - 1 if logits.shape[1] > 1 else torch.zeros_like(part[:, 0])
        found.append(logits[torch.arange(len(part)), last].float().cpu())
    return torch.cat(found)
