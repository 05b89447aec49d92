"""A linear model of n-grams: what each adds to an output, wherever in a sequence it stands."""

from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval, Len
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.model.counting.features import (
    counts_of,
    inverse_frequencies,
    log_count_ratios,
    sides,
)
from seqexp.model.counting.grams import Grams, NGramSize
from seqexp.model.counting.solver import AsLogits, Problem
from seqexp.model.counting.table import NGramTable, Speaking, highest
from seqexp.ranges import Count, Positive
from seqexp.spec import Carry, Output, TaskSpec
from seqexp.task import kinds

Weighting = Literal["auto", "nb", "tf-idf", "plain"]
Counting = Literal["auto", "binary", "counts"]
Strands = Literal["auto", "forward", "both"]

STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""To choose from, the strongest first: each fit starts from the one before."""

KINDS = (Output.SEQUENCE_CLASS, Output.MULTI_LABEL, Output.REGRESSION)
"""With one prediction a sequence, of tokens."""

ROOM = 2**17
"""Tokens that are looked at together."""

OF_WORDS, OF_DNA, OF_LETTERS = (1, 2, 3), (6,), (1, 2, 3, 4)
"""Sizes by default."""


class NGrams(nn.Module):
    """Logits are a bias and the sum of the weights of the n-grams that a sequence has.

    The weights are found by a solver, not by steps of an optimizer: the loss of the task over all
    training sequences, with an L2 penalty, once for each strength of it until validation has become
    worse. Each fit is an epoch, and the best one is kept.

    Args:
        spec: the task.
        sizes: tokens of an n-gram, as [1, 2, 3]; None: 1 to 3 words, 6 letters of DNA, else 1 to 4
            letters.
        gaps: places that are skipped within an n-gram, at most.
        weighting: `nb` multiplies each n-gram by the logarithm of how much more frequent it is in
            sequences of an output than in others, before the penalty; `tf-idf` by how few sequences
            have it, with rows of length 1; `plain` does neither. `auto` is `nb` for classes and
            labels of words, else `plain`.
        counting: whether it counts that an n-gram is there (`binary`), or how often (`counts`).
            `auto` is the first for words, and the second for letters. With tf-idf, counts are
            1 + ln(count).
        strands: `both` counts an n-gram of DNA and its reverse complement as one; `auto` does
            where there is DNA.
        min_count: occurrences in the training sequences that an n-gram needs to have a weight.
        strength: of the penalty, nats a squared unit, beside the sum of the losses (1 / C of
            scikit-learn); None chooses it on the validation sequences.

    Raises:
        InputError: where predictions are not one a sequence, or sequences have no tokens or have a
            context; on both strands of what is no DNA, and on `nb` for numbers.

    Source: Wang & Manning (2012), for `nb`; Ghandi et al. (2014), gkm-SVM, for gaps in DNA.
    """

    causal = False
    sets_others_aside = True  # what an experiment gives to a network
    chosen = "strength"

    def __init__(
        self,
        spec: TaskSpec,
        sizes: Annotated[list[NGramSize], Len(1, 16)] | None = None,
        gaps: Annotated[int, Interval(ge=0, le=16)] = 0,
        weighting: Weighting = "auto",
        counting: Counting = "auto",
        strands: Strands = "auto",
        min_count: Count = 2,
        strength: Positive | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.strength = spec, strength
        self._refuse_impossible(weighting, strands)
        are_words = spec.words is not None and spec.words.unit != "letters"
        are_classes = spec.output is not Output.REGRESSION
        if weighting == "auto":
            weighting = "nb" if are_words and are_classes else "plain"
        self.weighting = weighting
        self.is_binary = are_words if counting == "auto" else counting == "binary"
        is_dna = spec.vocabulary.is_dna
        chosen = OF_WORDS if are_words else OF_DNA if is_dna else OF_LETTERS
        both = is_dna if strands == "auto" else strands == "both"
        sizes_of = tuple(sizes) if sizes is not None else chosen
        grams = Grams(spec.vocabulary, sizes_of, gaps, both)
        self._refuse_longer(grams)
        # of two classes, the logits are half the number and its negative
        is_split = spec.output is Output.SEQUENCE_CLASS and spec.num_outputs == 2
        self.width = 1 if is_split else spec.num_outputs
        self.ngrams = NGramTable(grams, self.width, min_count, has_scale=weighting == "tf-idf")
        self.bias = nn.Parameter(torch.zeros(self.width))

    def _refuse_impossible(self, weighting: Weighting, strands: Strands) -> None:
        spec = self.spec
        what = None
        if spec.output not in KINDS:
            what = f"the dataset's kind of task is {spec.output}"
        elif spec.features is not None:
            what = "sequences of the dataset are of numbers"
        elif spec.context is not None:
            what = "each sequence of the dataset has a context"
        if what is not None:
            raise InputError(
                "model is ngrams, which predicts classes, labels or numbers of sequences of tokens,"
                f" but {what}; give another model"
            )
        if weighting == "nb" and spec.output is Output.REGRESSION:
            raise InputError(
                "model.weighting is nb, which is for classes and labels, but the dataset has"
                " numbers to predict; give auto, tf-idf or plain"
            )
        if strands == "both" and not spec.vocabulary.is_dna:
            raise InputError("model.strands is both, but the dataset is no DNA; give forward")

    def _refuse_longer(self, grams: Grams) -> None:
        length = self.spec.length
        if length is not None and min(grams.sizes) > length:
            raise InputError(
                f"model.sizes is {list(grams.sizes)}, but sequences have {length} tokens; give"
                f" sizes of at most {length}"
            )

    def forward(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch 1 outputs"], Carry]:
        """Logits, and an empty carry."""
        parts = torch.split(tokens, max(1, ROOM // max(1, tokens.shape[1])))
        sums = torch.cat([self._sums(part) for part in parts])
        return self.as_logits(sums + self.bias), ()

    def _sums(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch width"]:
        rows = self.ngrams.rows(tokens.long()).flatten(1).sort(dim=1).values
        is_new = rows > 0
        is_new[:, 1:] &= rows[:, 1:] != rows[:, :-1]
        if self.weighting == "tf-idf":
            return self._scaled(rows, is_new)
        counted = is_new if self.is_binary else rows > 0
        index, places = torch.nonzero(counted, as_tuple=True)
        weights = self.ngrams.table[rows[index, places]]
        return weights.new_zeros(len(rows), self.width).index_add(0, index, weights)

    def _scaled(
        self, rows: Int[Tensor, "batch places"], is_new: Bool[Tensor, "batch places"]
    ) -> Float[Tensor, "batch width"]:
        """Rows of tf-idf of length 1, times the weights."""
        index, places = torch.nonzero(rows > 0, as_tuple=True)
        group = is_new[index, places].long().cumsum(0) - 1  # of equal ones in a sequence
        first = torch.nonzero(is_new[index, places])[:, 0]
        found, owner = rows[index, places][first], index[first]
        table = self.ngrams.table
        values = table.new_ones(len(found))
        if not self.is_binary:
            values = 1 + torch.bincount(group, minlength=len(found)).to(table.dtype).log()
        values = values * self.ngrams.scale[found].to(table.dtype)
        norm = table.new_zeros(len(rows)).index_add(0, owner, values.square()).sqrt()
        values = values / norm[owner]
        sums = table.new_zeros(len(rows), self.width)
        return sums.index_add(0, owner, values[:, None] * table[found])

    def as_logits(self, sums: Float[Tensor, "rows width"]) -> Float[Tensor, "rows 1 outputs"]:
        """From the sums of a sequence to its logits."""
        if self.width < self.spec.num_outputs:
            sums = torch.cat([-sums / 2, sums / 2], dim=1)
        return sums[:, None]

    @torch.no_grad()
    def contributions(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time outputs"]:
        """What each token adds to the logits: of each n-gram a share, the same for its tokens.

        With what the bias gives, they sum to the logits. An n-gram that is counted once, however
        often it is there, is shared by all its places.
        """
        rows = self.ngrams.rows(tokens.long())  # (batch, time, patterns)
        values = self.ngrams.table[rows] * self._values(rows)[..., None]
        added = self.ngrams.grams.shared(values)
        logits = self.as_logits(added.flatten(0, 1))[:, 0]
        return logits.view(*tokens.shape, -1)

    def _values(
        self, rows: Int[Tensor, "batch time patterns"]
    ) -> Float[Tensor, "batch time patterns"]:
        """The factor of each place's n-gram; 0 where there is none."""
        is_there = (rows > 0).to(self.ngrams.table.dtype)
        if self.weighting != "tf-idf" and not self.is_binary:
            return is_there
        number = torch.arange(len(rows), device=rows.device)[:, None, None]
        keys = rows + number * len(self.ngrams.table)
        _, places, counts = torch.unique(keys, return_inverse=True, return_counts=True)
        count = counts[places].to(is_there.dtype)
        if self.weighting != "tf-idf":
            shared: Tensor = is_there / count
            return shared
        value: Tensor = self.ngrams.scale[rows].to(is_there.dtype) * is_there
        if not self.is_binary:
            value = value * (1 + count.log())
        # the sum of squares over distinct n-grams
        squares = (value.square() / count).sum(dim=(1, 2), keepdim=True)
        length = squares.sqrt().clamp(min=torch.finfo(value.dtype).tiny)
        scaled: Tensor = value / count / length
        return scaled

    # --- the solver -------------------------------------------------------------------------------

    @property
    def num_fits(self) -> int:
        """Strengths that are tried, at most."""
        return len(STRENGTHS) if self.strength is None else 1

    def solver(self, train: Sequences) -> "Solver":
        """Counts the n-grams of all sequences, for `num_fits` fits of the weights."""
        return Solver(self, train)

    def top(self, count: int) -> list[Speaking]:
        """The n-grams that speak for each output most, the strongest first."""
        adds = self.ngrams.table[1:].detach().float().cpu()
        return highest(adds, None, self.ngrams, self.spec.output_names, count)


class Solver:
    """Finds the weights of a model for one strength of the penalty after another.

    Args:
        model: that gets them.
        train: on which.
    """

    def __init__(self, model: NGrams, train: Sequences) -> None:
        self.model, self.task = model, kinds.of(model.spec)
        features, order = counts_of(model.ngrams, train)
        self.targets = train.targets.cpu()[order]
        if not self.targets.is_floating_point():
            self.targets = self.targets.long()
        if model.is_binary:
            features.data[:] = 1
        ratios = None
        if model.weighting == "nb":
            ratios = log_count_ratios(
                features, *sides(self.targets.numpy(), model.spec, model.width)
            )
        elif model.weighting == "tf-idf":
            idf = inverse_frequencies(features)
            features.data = (1 + np.log(features.data)) * idf[features.indices]
            lengths = np.sqrt(features.multiply(features).sum(axis=1).A1)
            features.data /= np.repeat(lengths, np.diff(features.indptr))
            model.ngrams.scale[1:] = torch.from_numpy(idf)
        as_logits: AsLogits = model.as_logits
        self.problem = Problem(features, self.targets, self.task, as_logits, model.width, ratios)

    def fit(
        self, number: int
    ) -> tuple[Float[Tensor, "rows 1 outputs"], Num[Tensor, "rows labels"], dict[str, float]]:
        """Fit with the strength of this number, from 0; from the model's weights on.

        Returns logits of the training sequences, their targets, and the strength.
        """
        model, problem = self.model, self.problem
        strength = STRENGTHS[number] if model.strength is None else model.strength
        table, bias = model.ngrams.table, model.bias
        start = problem.values(table[1:].detach().cpu().numpy(), bias.detach().cpu().numpy())
        values = problem.fit(start, strength)
        with torch.no_grad():
            table[1:] = torch.from_numpy(problem.weights(values))
            bias.copy_(torch.from_numpy(values[problem.size :]))
        logits = model.as_logits(torch.from_numpy(problem.outputs(values)))
        return logits, self.targets, {"train/strength": strength}
