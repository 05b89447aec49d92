"""Counted n-grams that predict the next token, with modified Kneser-Ney smoothing."""

from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.model.counting.grams import Grams
from seqexp.spec import PAD, Carry, Output, TaskSpec, is_scored

MAX_ORDER = 8
"""Tokens of an n-gram, at most, where validation chooses: fewer where there are many symbols."""

MEASURED = 2**22
"""Probabilities that the reported loss of training is of: its first tokens alone."""

ROOM = 2**23
"""Probabilities that are computed together."""

PLACES = 2**19
"""Tokens that are counted together."""

FALLBACK = (0.5, 0.75, 0.9)
"""Discounts of n-grams that occur once, twice, more, where too few do for an estimate."""

LEAST = 1e-30
"""Probability of padding, and what none is below: its logarithm is finite."""


class KneserNey(nn.Module):
    """P(token | the `order - 1` before it), from counts of the training sequences.

    The longest n-grams are counted as they are. Of shorter ones, it counts how many different
    tokens stand before them. A discount is taken from each count, and shared by the shorter n-gram.

    No optimizer: each order from 1 on is counted once and is an epoch, until validation is no
    better.

    Args:
        spec: the task.
        order: tokens of the longest n-grams, the predicted one among them; None chooses it on the
            validation sequences, of at most 8.

    Raises:
        InputError: where the dataset wants no next token, sequences are of numbers or have a
            context, and on n-grams that are too long to be numbered.

    Source: Chen & Goodman (1999), modified Kneser-Ney, interpolated; discounts by their eq. 26.
    """

    causal = True
    sets_others_aside = True  # what an experiment gives to a network
    chosen = "order"
    keys: Tensor

    def __init__(
        self, spec: TaskSpec, order: Annotated[int, Interval(ge=1, le=64)] | None = None
    ) -> None:
        super().__init__()
        self.spec, self.order = spec, order
        self._refuse_impossible()
        self.base = len(spec.vocabulary)
        self.longest = self._longest_numbered() if order is None else order
        sizes = tuple(range(1, self.longest + 1))
        self._refuse_unnumbered()
        self.grams = Grams(spec.vocabulary, sizes)
        # of each n-gram, in the order of the codes: P(its last token | the others), less what is
        # shared by shorter ones; row 0 is of none
        self.table = nn.Parameter(torch.zeros(1))
        self.register_buffer("keys", torch.zeros(0, dtype=torch.long))

    def _refuse_impossible(self) -> None:
        spec, what = self.spec, None
        if spec.output is not Output.NEXT_TOKEN:
            what = f"the dataset's kind of task is {spec.output}"
        elif spec.features is not None:
            what = "sequences of the dataset are of numbers"
        elif spec.context is not None:
            what = "each sequence of the dataset has a context"
        if what is not None:
            raise InputError(
                f"model is kneser-ney, which predicts the next token of sequences, but {what}; give"
                " another model"
            )

    def _longest_numbered(self) -> int:
        """The longest n-grams, of `MAX_ORDER` tokens at most, whose numbers have 63 bits."""
        return max(n for n in range(1, MAX_ORDER + 1) if self.base**n < 2**63)

    def _refuse_unnumbered(self) -> None:
        if self.base**self.longest >= 2**63:
            most = max(n for n in range(1, self.longest) if self.base**n < 2**63)
            raise InputError(
                f"model.order is {self.order}, but of {self.base - 1:,} symbols n-grams of at most"
                f" {most} tokens can be numbered; give {most} or less"
            )

    # --- rows by the data -------------------------------------------------------------------------

    def count(self, train: Sequences) -> None:
        """Make a row for each n-gram that training predicts a token by.

        Raises:
            InputError: if none is there.
        """
        counts = Counts(self.grams, train)
        if not len(counts.codes[0]):
            raise InputError(
                "model is kneser-ney, but there is no token in training whose next one is known"
            )
        keys = torch.cat(counts.codes)
        self.resize(len(keys))
        self.keys.copy_(keys)

    def resize(self, rows: int) -> None:
        """Make room for so many n-grams, all without a probability."""
        self.keys = self.keys.new_zeros(rows)
        self.table.data = self.table.data.new_zeros(1 + rows)

    # --- predictions ------------------------------------------------------------------------------

    def forward(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch time outputs"], Carry]:
        """Log-probabilities of the next token, and the last tokens."""
        batch, time = tokens.shape
        earlier = carry[0] if carry else tokens.new_full((batch, self.grams.span - 1), PAD)
        codes = self.contexts(tokens, earlier).flatten(0, 1)  # (batch * time, sizes)
        parts = torch.split(codes, max(1, ROOM // self.base))
        logits = torch.cat([self._probabilities(part) for part in parts]).log()
        joined = torch.cat([earlier.to(tokens.dtype), tokens], dim=1)
        after = joined[:, joined.shape[1] - earlier.shape[1] :]
        return logits.view(batch, time, self.base), (after,)

    def contexts(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"]
    ) -> Int[Tensor, "batch time sizes"]:
        """Codes of the 1, 2, ... tokens up to each, of as many as there are; else 0."""
        return self.grams.codes(tokens.long(), before)[:, :, : self.longest - 1]

    def _probabilities(self, codes: Int[Tensor, "places sizes"]) -> Float[Tensor, "places outputs"]:
        places, table = len(codes), self.table
        found = table.new_full((self.base,), 1 / (self.base - 1))
        shares = self._followers(codes.new_zeros(1))[0]
        found = (shares + (1 - shares.sum()).clamp(min=0) * found).expand(places, self.base)
        for column in codes.T:
            is_there = torch.nonzero(column)[:, 0]
            shares = self._followers(column[is_there])
            rest = (1 - shares.sum(dim=1, keepdim=True)).clamp(min=0)
            found = found.index_copy(0, is_there, shares + rest * found[is_there])
        is_symbol = torch.arange(self.base, device=codes.device) != PAD
        return (found * is_symbol).clamp(min=LEAST)

    def _followers(self, contexts: Int[Tensor, " places"]) -> Float[Tensor, "places outputs"]:
        """What the n-grams that begin with each context give their last tokens."""
        keys, first = self.keys, contexts * self.base
        begin, end = torch.searchsorted(keys, first), torch.searchsorted(keys, first + self.base)
        sizes = end - begin
        place = torch.arange(len(contexts), device=keys.device).repeat_interleave(sizes)
        within = torch.arange(len(place), device=keys.device) - (sizes.cumsum(0) - sizes)[place]
        rows = begin[place] + within
        symbols = keys[rows] - first[place]
        shares = self.table.new_zeros(len(contexts) * self.base)
        shares = shares.index_add(0, place * self.base + symbols, self.table[rows + 1])
        return shares.view(len(contexts), self.base)

    # --- the solver -------------------------------------------------------------------------------

    @property
    def num_fits(self) -> int:
        """Orders that are tried, at most."""
        return self.longest if self.order is None else 1

    def solver(self, train: Sequences) -> "Solver":
        """Counts once, for `num_fits` orders."""
        return Solver(self, train)


class Counts:
    """The n-grams by which training predicts, of each size: their codes in order, and how many.

    Args:
        grams: of sizes 1, 2, ...
        train: whose targets are counted, with the tokens before them.
    """

    def __init__(self, grams: Grams, train: Sequences) -> None:
        self.base = grams.base
        self.codes: list[Int[Tensor, " ngrams"]] = []
        self.counts: list[Int[Tensor, " ngrams"]] = []
        self.first: list[Int[Tensor, " ngrams"]] = []  # those that begin a sequence, once each
        for size in grams.sizes:
            found = [_events(grams, size, *piece) for piece in _pieces(grams, train)]
            codes, counts = torch.unique(torch.cat([one for one, _ in found]), return_counts=True)
            self.codes.append(codes)
            self.counts.append(counts)
            self.first.append(torch.unique(torch.cat([one for _, one in found])))

    def of(self, size: int, order: int) -> Int[Tensor, " ngrams"]:
        """What Kneser-Ney counts of the n-grams of a size in a model of an order.

        Of the longest, how often they occur; of others, how many different tokens stand before
        them, where the beginning of a sequence is one.
        """
        if size == order:
            return self.counts[size - 1]
        inner = self.codes[size] % self.base**size  # without the first token
        every = torch.cat([inner, self.first[size - 1]])
        return torch.bincount(
            torch.searchsorted(self.codes[size - 1], every), minlength=len(self.codes[size - 1])
        )


def _pieces(
    grams: Grams, train: Sequences
) -> Iterator[
    tuple[Int[Tensor, "rows time"], Int[Tensor, "rows time"], Int[Tensor, "rows before"]]
]:
    """Tokens, targets and the tokens before them, some at a time."""
    before, time = grams.span - 1, train.tokens.shape[1]
    width = min(time, PLACES)
    rows = max(1, PLACES // max(1, width))
    for top in range(0, len(train.tokens), rows):
        for start in range(0, time, width):
            stop = start + width
            tokens = train.tokens[top : top + rows, max(0, start - before) : stop].cpu().long()
            missing = before - min(before, start)
            joined = functional.pad(tokens, (missing, 0), value=PAD)
            targets = train.targets[top : top + rows, start:stop].cpu().long()
            yield joined[:, before:], targets, joined[:, :before]


def _events(
    grams: Grams,
    size: int,
    tokens: Int[Tensor, "rows time"],
    targets: Int[Tensor, "rows time"],
    before: Int[Tensor, "rows before"],
) -> tuple[Int[Tensor, " events"], Int[Tensor, " first"]]:
    """Codes of the n-grams of a size that end with a target, and of those that begin a sequence."""
    codes = grams.codes(tokens, before)
    context = codes[:, :, size - 2] if size > 1 else torch.zeros_like(targets)
    is_there = is_scored(targets) & (tokens != PAD)
    if size > 1:
        is_there = is_there & (context != 0)
    is_first = is_there & (codes[:, :, size - 1] == 0)
    events = context * grams.base + targets
    return events[is_there], events[is_first]


class Solver:
    """Fills the table of a model for one order after another.

    Args:
        model: whose.
        train: on which.
    """

    def __init__(self, model: KneserNey, train: Sequences) -> None:
        self.model, self.train = model, train
        self.counts = Counts(model.grams, train)

    @torch.no_grad()
    def fit(
        self, number: int
    ) -> tuple[Float[Tensor, "rows time outputs"], Int[Tensor, "rows time"], dict[str, float]]:
        """Fill in the probabilities of the order of this number, from 0.

        Returns logits and targets of the first tokens of training, and the order.
        """
        model = self.model
        order = number + 1 if model.order is None else model.order
        shares = [_shares(self.counts, size, order) for size in range(1, order + 1)]
        values = torch.cat(shares).to(model.table)
        model.table.zero_()
        model.table[1 : 1 + len(values)] = values
        most = max(1, MEASURED // model.base)
        rows = max(1, most // self.train.tokens.shape[1])
        tokens, targets = (
            part[:rows, :most].to(model.table.device).long()
            for part in (self.train.tokens, self.train.targets)
        )
        return model(tokens)[0], targets, {"train/order": float(order)}


def _shares(counts: Counts, size: int, order: int) -> Float[Tensor, " ngrams"]:
    """The discounted share of each n-gram of a size among those with its context."""
    found = counts.of(size, order)
    kept = found - torch.tensor([0.0, *discounts(found)], dtype=torch.double)[found.clamp(max=3)]
    _, of = torch.unique_consecutive(counts.codes[size - 1] // counts.base, return_inverse=True)
    totals = torch.zeros(len(found), dtype=torch.double).index_add(0, of, found.double())
    return kept / totals[of]


def discounts(counts: Int[Tensor, " ngrams"]) -> tuple[float, float, float]:
    """What is taken from counts of one, two, and more."""
    of = torch.bincount(counts.clamp(max=5), minlength=6).tolist()
    if not (of[1] and of[2] and of[3]):
        return FALLBACK  # too few to estimate: a large part of the counts
    share = of[1] / (of[1] + 2 * of[2])
    estimates = [n - (n + 1) * share * of[n + 1] / of[n] for n in (1, 2, 3)]
    one, two, three = (min(max(value, 0.0), n) for n, value in enumerate(estimates, start=1))
    return one, two, three
