"""Log-likelihoods of candidates of clusters of reads by a model of read errors, fast.

Rates of a base depend on the letters around it alone. Most candidates of a cluster differ at a few
bases, so that each window of letters goes through the network once, and once only.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqexp.decode.consensus.edits import Gains
from seqexp.formats.dna import LETTERS
from seqexp.kernels import pair_hmm
from seqexp.kernels.pair_hmm import Letters, Table
from seqexp.model import read_gains
from seqexp.model.read_errors import OUTSIDE, ReadErrors, band_of, turned
from seqexp.spec import PAD

HARDLY = 6.0
"""Nats below the best strand and quality of a read, where another does not count."""

MOST_LETTERS = 27
"""Of windows that are told apart by one number of 64 bits, of five signs."""

MANY = 1024
"""Windows that go through the network together: they stay in the cache."""

_NUMBERS = bytes(LETTERS.index(chr(c)) + 1 if chr(c) in LETTERS else PAD for c in range(256))


class Scores:
    """Scores candidates of some clusters, again and again.

    Candidates of a cluster are near each other: a strand or quality that a read hardly has by the
    first of them is left out for the others.

    Args:
        model: of the errors.
        clusters: the reads of each.
    """

    def __init__(self, model: ReadErrors, clusters: Sequence[Sequence[str]]) -> None:
        self.model = model
        sizes = torch.tensor([len(reads) for reads in clusters])
        self.size, self.first = sizes, sizes.cumsum(0) - sizes  # reads of each, and their first
        reads = ids(list(chain.from_iterable(clusters)))
        forms = [reads, turned(reads)][: model.strands]
        self.reads = torch.cat(forms) - 1  # of all on one strand, then on the other
        self.num_letters = (self.reads >= 0).sum(dim=1)
        self.count = len(reads)
        shape = (self.count, model.strands, model.qualities)
        self.wanted = torch.ones(shape, dtype=torch.bool)
        self.asked = torch.zeros(len(clusters), dtype=torch.bool)
        self.known = torch.empty(0, dtype=torch.int64)  # sorted keys of windows
        self.row = torch.empty(0, dtype=torch.int64)  # the row in the table of each
        self.table: Tensor | None = None  # (kinds, qualities, columns)

    @torch.no_grad()
    def __call__(self, candidates: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-likelihood of all reads of each cluster given each of its candidates, nats."""
        which = torch.tensor(
            [index for index, own in enumerate(candidates) for _ in own], dtype=torch.int64
        )
        texts = list(chain.from_iterable(candidates))
        if not texts:
            return [[] for _ in candidates]
        found = torch.empty(len(texts), dtype=torch.float64)
        is_first = ~self.asked[which]
        is_first[1:] &= which[1:] != which[:-1]
        for chosen in (is_first, ~is_first):
            rows = chosen.nonzero()[:, 0]
            if len(rows):
                found[rows] = self._sums([texts[row] for row in rows.tolist()], which[rows])
        values = iter(found.tolist())
        return [[next(values) for _ in own] for own in candidates]

    @torch.no_grad()
    def gains(self, drafts: Mapping[int, str]) -> dict[int, Gains]:
        """What single edits of a draft would gain, about, by the number of the cluster.

        Only of clusters that have been scored: the causes of their reads are known.
        """
        clusters = list(drafts)
        if not clusters:
            return {}
        texts = list(drafts.values())
        which = torch.arange(len(texts)).repeat_interleave(self.size[clusters])
        parts = [torch.arange(int(self.size[one])) + int(self.first[one]) for one in clusters]
        read = torch.cat(parts)
        found = read_gains.gains(
            self.model, texts, ids(texts), which, self.reads[read] + 1, self.wanted[read]
        )
        return dict(zip(clusters, found, strict=True))

    def _sums(self, texts: Sequence[str], which: Int[Tensor, " candidates"]) -> Tensor:
        """Of candidates, each of a cluster; of the first one of each, all causes count."""
        size = self.size[which]
        of = torch.arange(len(texts)).repeat_interleave(size)  # the candidate of each pair
        within = torch.arange(len(of)) - (size.cumsum(0) - size).repeat_interleave(size)
        read = self.first[which][of] + within
        by_cause = self._by_cause(texts, of, read)
        best = by_cause.amax(dim=(1, 2), keepdim=True)
        is_first = ~self.asked[which][of]
        self.wanted[read[is_first]] = (by_cause > best - HARDLY)[is_first]
        self.asked[which] = True
        totals = torch.zeros(len(texts), dtype=torch.float64)
        return totals.index_add(0, of, torch.logsumexp(by_cause, dim=(1, 2)))

    def _by_cause(
        self, texts: Sequence[str], of: Int[Tensor, " pairs"], read: Int[Tensor, " pairs"]
    ) -> Float[Tensor, "pairs strands qualities"]:
        """Log of the joint probability of read, strand and quality; -inf if it is not wanted."""
        candidates = ids(texts)
        forms = torch.cat([candidates, turned(candidates)][: self.model.strands])
        kind = self._kinds(forms)
        wanted: Bool[Tensor, "pairs strands qualities"] = self.wanted[read]
        pair, strand, quality = wanted.nonzero(as_tuple=True)
        form = strand * len(candidates) + of[pair]
        of_read = strand * self.count + read[pair]
        letters = Letters(
            (forms - 1)[form],
            (forms != PAD).sum(dim=1)[form],
            self.reads[of_read],
            self.num_letters[of_read],
        )
        assert self.table is not None
        place = kind[form] * self.model.qualities + quality[:, None]
        table = Table(self.table.flatten(0, 1), place)
        found = pair_hmm.log_likelihoods_by_place(table, letters, band_of(letters))
        nothing = torch.full(wanted.shape, -torch.inf, dtype=torch.float64)
        return nothing.masked_scatter(wanted, found) + self.model.log_shares()

    def _kinds(self, forms: Int[Tensor, "forms bases"]) -> Int[Tensor, "forms places"]:
        """The row in the table of each place, and of that after the last base."""
        base = self.model.bases(forms)
        wide = self.model.wide(base)
        letters = wide.shape[1] - base.shape[1] + 1
        windows = wide.unfold(1, letters, 1)  # (forms, places, letters)
        if letters > MOST_LETTERS:
            self.table = self._rates(windows.flatten(0, 1))
            return torch.arange(base.numel()).view(base.shape)
        key = torch.zeros_like(base)
        for start in range(letters):
            key = key * (OUTSIDE + 1) + wide[:, start : start + base.shape[1]]
        unique, inverse = torch.unique(key, return_inverse=True)
        at = torch.searchsorted(self.known, unique)
        if len(self.known):
            is_new = self.known[at.clamp(max=len(self.known) - 1)] != unique
        else:
            is_new = torch.ones_like(unique, dtype=torch.bool)
        new = unique[is_new]
        if len(new):
            # the place of any window that has the key
            place = torch.empty_like(unique).scatter_(
                0, inverse.flatten(), torch.arange(key.numel())
            )[is_new]
            order = place.argsort()  # rows of one candidate stand together in the table
            self._add(new[order], windows.flatten(0, 1)[place[order]])
            at = torch.searchsorted(self.known, unique)
        return self.row[at][inverse]

    def _add(self, keys: Int[Tensor, " new"], windows: Int[Tensor, "new letters"]) -> None:
        start = 0 if self.table is None else len(self.table)
        rates = self._rates(windows)
        self.table = rates if self.table is None else torch.cat([self.table, rates])
        rows = torch.arange(start, start + len(keys))
        self.known, order = torch.cat([self.known, keys]).sort()
        self.row = torch.cat([self.row, rows])[order]

    def _rates(
        self, windows: Int[Tensor, "kinds letters"]
    ) -> Float[Tensor, "kinds qualities columns"]:
        parts = range(0, len(windows), MANY)
        return torch.cat([self.model.table(windows[start : start + MANY]) for start in parts])


def ids(texts: Sequence[str]) -> Int[Tensor, "texts bases"]:
    """1 to 4 for A, C, G, T, padded on the right."""
    width = max(map(len, texts))
    joined = bytearray(b"".join(text.encode().ljust(width) for text in texts))
    numbers = joined.translate(_NUMBERS)
    return torch.frombuffer(numbers, dtype=torch.uint8).view(len(texts), width).long()
