"""Write the target of each context, from the begin symbol to the end: greedily, or by a search.

For any model that predicts the next token and reads a context: a sentence to be translated, a word
to be pronounced, a picture to be described.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from seqexp.decode.base import WritesTargets, Writing
from seqexp.formats.ends import UNKNOWN, ends_of
from seqexp.spec import PAD, Carry, Output, ReadsContext, TaskSpec, Vocabulary, is_real

BATCH = 100
"""Contexts that are written for at once."""


@dataclass(frozen=True)
class Target:
    """Token ids without begin and end, and their log-probability in nats, with the end's."""

    tokens: tuple[int, ...]
    log_probability: float
    has_ended: bool


def how_to_write(decoder: object) -> Writing | None:
    """The way of a decoder to write targets; None where it writes none."""
    return decoder.targets() if isinstance(decoder, WritesTargets) else None


def writes_targets(spec: TaskSpec) -> bool:
    """Whether a task is to write a target for each context."""
    has_ends = ends_of(spec.vocabulary.symbols) is not None
    return spec.output is Output.NEXT_TOKEN and spec.context is not None and has_ends


def write(
    model: ReadsContext, spec: TaskSpec, contexts: Num[Tensor, "rows time ..."], how: Writing
) -> list[list[str]]:
    """The symbols of the target of each context, in their order.

    Contexts are token ids padded with 0, or features padded with NaN, at either side.
    """
    return [
        spec.vocabulary.decode(target.tokens)
        for target in write_targets(model, spec.vocabulary, contexts, how)
    ]


@torch.no_grad()
def write_targets(
    model: ReadsContext,
    vocabulary: Vocabulary,
    contexts: Num[Tensor, "rows time ..."],
    how: Writing,
    device: torch.device | None = None,
) -> list[Target]:
    """The target of each context, in their order; `device` is the model's, by default the CPU.

    Contexts of like length are read together, without the padding that they share.
    """
    model.eval()  # type: ignore[attr-defined]
    symbols = _Symbols.of(vocabulary)
    real = is_real(contexts)
    order = real.sum(dim=1).argsort(stable=True)
    found: dict[int, Target] = {}
    for rows in torch.split(order, BATCH):
        used = real[rows].any(dim=0).nonzero()[:, 0].tolist() or [0]
        context = contexts[rows, used[0] : used[-1] + 1]
        wide = context.float() if context.is_floating_point() else context.long()
        batch = wide.to(device or torch.device("cpu"))
        written = (
            _greedy(model, batch, symbols, how)
            if how.width is None
            else _search(model, batch, symbols, how, how.width)
        )
        found.update(zip(rows.tolist(), written, strict=True))
    return [found[row] for row in range(len(contexts))]


@dataclass(frozen=True)
class _Symbols:
    begin: int
    end: int
    never: tuple[int, ...]  # ids that are never written

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "_Symbols":
        ends = ends_of(vocabulary.symbols)
        assert ends is not None, "as `writes_targets` has asked"
        begin, end = vocabulary.encode(ends)
        unknown = [vocabulary.ids[UNKNOWN]] if UNKNOWN in vocabulary.ids else []
        return cls(begin, end, (PAD, begin, *unknown))


def _steps(
    model: ReadsContext, tokens: Int[Tensor, " rows"], carry: Carry, symbols: _Symbols
) -> tuple[Float[Tensor, "rows outputs"], Carry]:
    """Log-probabilities of the next symbol of each row, and the carry after it."""
    logits, carry = model(tokens[:, None], carry)  # type: ignore[operator]
    never = torch.tensor(symbols.never, device=logits.device)
    logits = logits[:, -1].float().index_fill(1, never, -torch.inf)
    return torch.log_softmax(logits, dim=1), carry


def _taken(carry: Carry, rows: Int[Tensor, " rows"]) -> Carry:
    return tuple(tensor.index_select(0, rows) for tensor in carry)


def _greedy(
    model: ReadsContext, context: Num[Tensor, "rows time ..."], symbols: _Symbols, how: Writing
) -> list[Target]:
    count, device = len(context), context.device
    carry = model.read(context)
    rows = torch.arange(count, device=device)  # that have not ended
    tokens = torch.full((count,), symbols.begin, device=device)
    totals = torch.zeros(count, dtype=torch.float64, device=device)
    written: list[list[int]] = [[] for _ in range(count)]
    has_ended = [False] * count
    for _ in range(how.max_length):
        steps, carry = _steps(model, tokens, carry, symbols)
        values, tokens = steps.max(dim=1)
        totals[rows] += values
        ended = tokens == symbols.end
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            if token == symbols.end:
                has_ended[row] = True
            else:
                written[row].append(token)
        going = (~ended).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(rows):
            rows, tokens, carry = rows[going], tokens[going], _taken(carry, going)
    sums = totals.tolist()
    return [Target(tuple(written[row]), sums[row], has_ended[row]) for row in range(count)]


@dataclass
class _Ended:
    """The best target of one context that has ended, and how many have."""

    count: int = 0
    score: float = float("-inf")
    target: Target | None = None

    def add(self, target: Target, score: float) -> None:
        self.count += 1
        if score > self.score:
            self.score, self.target = score, target


def _search(
    model: ReadsContext,
    context: Num[Tensor, "rows time ..."],
    symbols: _Symbols,
    how: Writing,
    width: int,
) -> list[Target]:
    """Beam search: of all extensions, those among the best `width` that end have ended.

    The best `width` of the others go on. A context is done when `width` have ended: the one of the
    highest log-probability a symbol (to `length_power`) is its target. With a width of 1, this is
    the greedy choice.
    """
    count, device = len(context), context.device
    carry = model.read(context)
    ended = [_Ended() for _ in range(count)]
    rows = torch.arange(count, device=device)  # contexts that are not done
    history = torch.empty(count, 1, 0, dtype=torch.long, device=device)  # (contexts, beams, time)
    totals = torch.zeros(count, 1, dtype=torch.float64, device=device)  # (contexts, beams)
    tokens = torch.full((count,), symbols.begin, device=device)
    for length in range(how.max_length):
        steps, carry = _steps(model, tokens, carry, symbols)
        beams, wanted = totals.shape[1], min(2 * width, steps.shape[1])
        values, following = steps.topk(wanted, dim=1)  # of each row no more can be among the best
        sums = totals[:, :, None] + values.view(len(rows), beams, wanted)
        best, places = sums.flatten(1).topk(min(2 * width, beams * wanted), dim=1)
        parents, chosen = places // wanted, following.view(len(rows), -1).gather(1, places)
        is_end = (chosen == symbols.end) & best.isfinite()
        power = float((length + 1) ** how.length_power)
        for at, place in is_end[:, :width].nonzero().tolist():
            total = float(best[at, place])
            own = tuple(history[at, parents[at, place]].tolist())
            ended[int(rows[at])].add(Target(own, total, True), total / power)
        totals, kept = best.masked_fill(is_end, -torch.inf).topk(min(width, best.shape[1]), dim=1)
        parents, chosen = parents.gather(1, kept), chosen.gather(1, kept)
        going = _going(rows, ended, totals, width)
        if not len(going):
            return _targets(ended)
        places = (going[:, None] * beams + parents[going]).flatten()
        before = history[going].gather(1, parents[going, :, None].expand(-1, -1, length))
        history = torch.cat([before, chosen[going, :, None]], dim=2)
        carry, tokens = _taken(carry, places), chosen[going].flatten()
        rows, totals = rows[going], totals[going]
    for at, row in enumerate(rows.tolist()):
        if ended[row].target is None:  # given up
            own = tuple(history[at, 0].tolist())
            ended[row].add(Target(own, float(totals[at, 0]), False), 0.0)
    return _targets(ended)


def _going(
    rows: Int[Tensor, " contexts"],
    ended: Sequence[_Ended],
    totals: Float[Tensor, "contexts beams"],
    width: int,
) -> Int[Tensor, " going"]:
    """Places of the contexts that are not done: too few have ended, and there is what goes on."""
    too_few: Bool[Tensor, " contexts"] = torch.tensor(
        [ended[row].count < width for row in rows.tolist()], device=rows.device
    )
    return (too_few & totals[:, 0].isfinite()).nonzero()[:, 0]


def _targets(ended: Sequence[_Ended]) -> list[Target]:
    return [found.target or Target((), float("-inf"), False) for found in ended]
