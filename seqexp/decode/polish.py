"""Repair of a draft by single edits, as long as it explains the reads better."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from seqexp.decode.consensus.baselines import medoid
from seqexp.decode.consensus.edits import DELETE, INSERT, SUBSTITUTE, Edit, Gains, apply, gains
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.typical import typical
from seqexp.formats.dna import LETTERS
from seqexp.ranges import Count

_LEAST = 1e-6
"""Nats that an edit must gain: above rounding, far below what a read can say."""

_APART = 6
"""Bases between edits that are made at once; nearer ones may repair the same error twice."""

_TRIED = 2
"""Edits of each kind that are tried as one half of a pair."""


@dataclass(frozen=True)
class Polish:
    """Decode reads without a network, by repairing the best of them.

    Args:
        length: letters of the sequence, where that is known; None finds it too.
    """

    length: Count | None = None

    @property
    def method(self) -> str:
        """The row of the table of methods."""
        return "polish" if self.length is None else f"polish, length {self.length}"

    def consensus(self, reads: Sequence[str], rates: Channel) -> str:
        """The best single read, repaired."""
        return polish(medoid(reads), reads, rates, self.length).draft


Climb = Generator[list[str], list[Gains], Gains]
"""A search: asks for the gains of some drafts, again and again, and returns the best draft's."""


def polish(draft: str, reads: Sequence[str], channel: Channel, length: int | None = None) -> Gains:
    """Hill-climb from a draft until no single edit raises the score of draft and reads.

    With a length, the draft is brought to it, and edits that keep it are tried: substitutions, and
    pairs of an insertion and a deletion.
    """
    return polish_all([draft], [reads], [channel], length)[0]


def polish_all(
    drafts: Sequence[str],
    clusters: Sequence[Sequence[str]],
    channels: Sequence[Channel],
    length: int | None = None,
) -> list[Gains]:
    """The same for many clusters, each with its draft: one batch a round.

    Reads of foreign length are left out.
    """
    clusters = [typical(reads) for reads in clusters]
    climbs = [_climb(draft, length) for draft in drafts]
    done: dict[int, Gains] = {}
    wanted = {index: next(climb) for index, climb in enumerate(climbs)}
    while wanted:
        order = [(index, draft) for index, asked in wanted.items() for draft in asked]
        found = gains(
            [draft for _, draft in order],
            [clusters[index] for index, _ in order],
            [channels[index] for index, _ in order],
        )
        answers: dict[int, list[Gains]] = {index: [] for index in wanted}
        for (index, _), answer in zip(order, found, strict=True):
            answers[index].append(answer)
        wanted = {}
        for index, own in answers.items():
            try:
                wanted[index] = climbs[index].send(own)
            except StopIteration as stop:
                done[index] = stop.value
    return [done[index] for index in range(len(climbs))]


def _climb(draft: str, length: int | None) -> Climb:
    (at,) = yield [draft]
    at = yield from _improve(at, (SUBSTITUTE, DELETE, INSERT))
    if length is None:
        return at
    while len(at.draft) != length:
        edit, _ = at.best(INSERT if len(at.draft) < length else DELETE)
        (at,) = yield [apply(at.draft, [edit])]
    while True:
        at = yield from _improve(at, (SUBSTITUTE,))
        better = yield from _try_pairs(at)
        if better is None:
            return at
        at = better


def _improve(at: Gains, kinds: Sequence[int]) -> Climb:
    """Make edits of these kinds while one gains."""
    while edits := _apart(at, kinds):
        (after,) = yield [apply(at.draft, edits)]
        if after.score < at.score + at.best(*kinds)[1] - _LEAST:
            # together they did less than the best alone
            (after,) = yield [apply(at.draft, edits[:1])]
        at = after
    return at


def _apart(at: Gains, kinds: Sequence[int]) -> list[Edit]:
    """Edits that gain, best first, none near a better one."""
    table, chosen = at.table.clone(), list[Edit]()
    while True:
        edit, gain = Gains(at.draft, at.log_likelihood, table).best(*kinds)
        if gain <= _LEAST:
            return chosen
        chosen.append(edit)
        table[max(0, edit.place - _APART) : edit.place + _APART + 1] = -float("inf")


def _try_pairs(at: Gains) -> Generator[list[str], list[Gains], Gains | None]:
    """The best insertion with a deletion that gains; None if there is none.

    Each half is one of the best single edits of its kind, the other the best to follow it.
    """
    halves = [*_several(at, INSERT), *_several(at, DELETE)]
    found = yield [apply(at.draft, [edit]) for edit in halves]
    best, draft = at.score + _LEAST, None
    for edit, after in zip(halves, found, strict=True):
        other, gain = after.best(INSERT if edit.column == DELETE else DELETE)
        if after.score + gain > best:
            best, draft = after.score + gain, apply(after.draft, [other])
    if draft is None:
        return None
    (better,) = yield [draft]
    return better


def _several(at: Gains, kind: int) -> list[Edit]:
    """The best edits of a kind, at different places."""
    columns = slice(kind, kind + (1 if kind == DELETE else len(LETTERS)))
    best, column = at.table[:, columns].max(dim=1)
    places = best.topk(min(_TRIED, len(at.draft))).indices.tolist()
    return [Edit(place, kind + int(column[place])) for place in places]
