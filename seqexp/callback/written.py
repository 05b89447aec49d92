"""Writes the target of each context: of some of validation while a model learns, then of the test.

For every task with a context whose next tokens are predicted: translations, sounds, captions.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.callback.console import is_said
from seqexp.checkpoint.result import Result
from seqexp.data import Sequences
from seqexp.decode.base import WritesTargets, Writing
from seqexp.decode.target_score import (
    EXTRA,
    TargetScore,
    edit_distance,
    has_sacrebleu,
    score_targets,
)
from seqexp.decode.targets import how_to_write, write_targets, writes_targets
from seqexp.formats.ends import ENDS, ends_of
from seqexp.spec import IGNORE, Features, Output, ReadsContext, Vocabulary, attends
from seqexp.task.intervals import of_share
from seqexp.trainer.training import Report
from seqexp.utils.names import one_line
from seqexp.utils.phases import INTERPRETING
from seqexp.utils.pixels import channels_of, picture_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

NUM_SHOWN = 10
"""Examples of a page of text."""

LONG = 400
"""Characters of a text that a page shows."""

NUM_SAID = 3
"""Of these, examples that the terminal shows."""

MAX_FIGURES = 5
"""Targets of the test whose attention is drawn."""

MAX_PICTURES = 16
"""Pictures of the test that are drawn with what is written of them."""

MAX_ROWS = 1000
"""Of the table of all that was written for the test."""


@dataclass(frozen=True)
class Row:
    """One sequence of a split, in symbols."""

    source: str
    target: tuple[str, ...]
    written: tuple[str, ...]


class Written(Callback):
    """Writes targets, scores them and keeps examples; does nothing for tasks without a context.

    Args:
        decoder: how to write; None writes nothing.
        run: whose model writes.
    """

    doing = ("writing targets of the test", INTERPRETING)
    name = "written"

    def __init__(self, decoder: object, run: Observed) -> None:
        self.run, self.decoder = run, decoder
        self.tracker, self.training, self.data = run.tracker, run.training, run.data
        how = how_to_write(decoder) if writes_targets(self.data.spec) else None
        self.how = None if how is None else replace(how, max_length=self._longest(how))
        self.pages: list[str] = []
        self.figures: dict[str, Figure] = {}
        self.final = ""
        self.said: list[str] = []

    def _longest(self, how: Writing) -> int:
        """Half as much again as the longest target of training, and some: no more is worth it."""
        longest = int((self.data.train.targets != IGNORE).sum(dim=1).max())
        return min(how.max_length, longest + longest // 2 + 10)

    def before(self) -> None:
        """Say how targets are written, or why not, where `decode` alone does not."""
        spec = self.data.spec
        if self.how is None:
            is_asked = spec.output is Output.NEXT_TOKEN and spec.context is not None
            if is_asked and self.decoder is not None and ends_of(spec.vocabulary.symbols) is None:
                known = " or ".join(" and ".join(ends) for ends in ENDS)
                log.info(f"no targets are written: the vocabulary has no begin and end ({known})")
            return
        if any(getattr(self.decoder, "temperatures", ())):  # which draw texts, not targets
            log.info("decode=sample: targets are written greedily; decode=beam searches for better")
        if not has_sacrebleu():
            log.info(f"BLEU and chrF are not measured: sacrebleu is not installed ({EXTRA})")

    def is_due(self) -> bool:
        """Whether to write after this epoch."""
        if self.how is None or not isinstance(self.decoder, WritesTargets):
            return False
        every = self.decoder.every_epochs
        return (
            every is not None
            and self.training.epoch % every == 0
            and self.decoder.num_valid > 0
            and len(self.data.valid) > 0
        )

    def after(self, report: Report) -> None:
        """After some epochs, write targets of validation, without a search."""
        if report.kind != "epoch" or not self.is_due():
            return
        assert self.how is not None and isinstance(self.decoder, WritesTargets)
        valid = self.data.valid.at_most(self.decoder.num_valid, self.training.seed)
        rows, score = self._write(valid, replace(self.how, width=None))
        self.run.log(score.metrics("valid"), report.step)
        if is_said(report.step, self.training.settings.epochs):
            log.info(f"  of validation, {_said(score, replace(self.how, width=None), short=True)}")
        page = _page(f"after epoch {report.step}", rows[:NUM_SHOWN])
        self.tracker.text(page, f"samples/epoch_{report.step:04d}.txt")
        self.pages.append(page)
        self.tracker.text("\n".join(reversed(self.pages)), "samples/all.txt")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"pages": list(self.pages)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.pages = list(state["pages"])

    def at_end(self, result: Result) -> None:
        """Write all targets of the test with the tested weights; keep and say what came of it."""
        if self.how is None:
            return
        rows, score = self._write(self.data.test, self.how)
        self.run.log(score.metrics("test"), 0)
        self.tracker.tags({f"seqexp.{name}": said for name, said in score.signatures.items()})
        self.tracker.table([_cells(row) for row in rows[:MAX_ROWS]], "samples/written.json")
        self.final = _page("with the tested weights", rows[:NUM_SHOWN])
        self.tracker.text(self.final, "samples/final.txt")
        self._keep_attention(rows)
        self._keep_gallery(rows)
        log.info("\n" + _page("with the tested weights", rows[:NUM_SAID]))
        log.info(_said(score, self.how))
        self.said = [_sentence(score)]

    def _write(self, split: Sequences, how: Writing) -> tuple[list[Row], TargetScore]:
        """Written and true targets of a split, and how they agree."""
        model, spec = self.training.model, self.data.spec
        assert isinstance(model, ReadsContext), "as the task's check has asked"
        rows = contexts_of(split)
        assert split.context is not None
        needed, places = torch.unique(rows, return_inverse=True)
        found = write_targets(
            model, spec.vocabulary, split.context[needed].cpu(), how, self.training.device
        )
        sources = [_source(context, spec.context) for context in split.context[needed].cpu()]
        truths = [_truth(targets, spec.vocabulary) for targets in split.targets.cpu()]
        written = [tuple(spec.vocabulary.decode(found[place].tokens)) for place in places.tolist()]
        shown = [
            Row(sources[place] or f"context {place + 1}", truth, own)
            for place, truth, own in zip(places.tolist(), truths, written, strict=True)
        ]
        return shown, score_targets(written, truths, places.tolist())

    @torch.no_grad()
    def _keep_attention(self, rows: Sequence[Row]) -> None:
        """Draw what the first targets of the test have attended to, where the model attends."""
        model, spec, test = self.training.model, self.data.spec, self.data.test
        if not self.tracker.keeps or not attends(model):
            return
        from seqexp.interpret.attention.figure import attention_figure

        ends = ends_of(spec.vocabulary.symbols)
        assert ends is not None and test.context is not None
        for place, row in enumerate(rows[:MAX_FIGURES]):
            at = place if test.context_rows is None else int(test.context_rows[place])
            batch = Sequences(test.tokens[:1], test.targets[:1], context=test.context[at : at + 1])
            context = next(batch.batches(1)).trimmed().context
            assert context is not None
            context = context.to(self.training.device)
            ids = spec.vocabulary.encode([ends[0], *row.written])
            tokens = torch.tensor([ids], device=self.training.device)
            weights = model.attention_weights(tokens, model.read(context))[0]
            made_of = spec.context
            read = made_of.decode(context[0].tolist()) if isinstance(made_of, Vocabulary) else None
            shape = model.attended_shape(context)
            names = made_of.names if isinstance(made_of, Features) else ()
            picture = picture_of(context[0].float().cpu().numpy(), names)
            figure = attention_figure(
                *(weights.float().cpu().numpy(), [*row.written, ends[1]], read, shape),
                *(row.source, picture),
            )
            self.tracker.figure(figure, f"attention/example_{place}.png")
            self.figures[f"what is attended to, {place + 1}"] = figure

    def _keep_gallery(self, rows: Sequence[Row]) -> None:
        """Draw pictures of the test with what is written of them, where contexts are pictures."""
        test, spec = self.data.test, self.data.spec
        names = spec.context.names if isinstance(spec.context, Features) else ()
        if not self.tracker.keeps or channels_of(names) is None or test.context is None:
            return
        from seqexp.interpret.pictures import Said, gallery

        said = []
        for place, row in enumerate(rows[:MAX_PICTURES]):
            at = place if test.context_rows is None else int(test.context_rows[place])
            picture = picture_of(test.context[at].float().cpu().numpy(), names)
            if picture is not None:
                is_right = row.written == row.target
                lines = [] if is_right else [f"right is: {_text(row.target)}"]
                said.append(Said(picture, [*lines, _text(row.written)], is_right))
        figure = gallery(said, "captions of the test")
        self.tracker.figure(figure, "pictures/written.png")
        self.figures["pictures with what is written of them"] = figure


def contexts_of(split: Sequences) -> Tensor:
    """Of each row, the first row of `split.context` that holds the same context."""
    assert split.context is not None
    seen: dict[bytes, int] = {}
    first = torch.tensor(
        [
            seen.setdefault(context.contiguous().numpy().tobytes(), place)
            for place, context in enumerate(split.context.cpu())
        ],
        dtype=torch.long,
    )
    return first if split.context_rows is None else first[split.context_rows.cpu().long()]


def _source(context: Tensor, made_of: object) -> str | None:
    """The text of a context of tokens; features have none."""
    if not isinstance(made_of, Vocabulary):
        return None
    symbols = made_of.decode(context.tolist())
    return _text(symbols)


def _truth(targets: Tensor, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The symbols before the end."""
    symbols = vocabulary.decode(targets[targets != IGNORE].tolist())
    ends = ends_of(vocabulary.symbols)
    has_ended = ends is not None and symbols[-1:] == [ends[1]]
    return tuple(symbols[:-1] if has_ended else symbols)


def _text(symbols: Sequence[str]) -> str:
    is_letters = all(len(symbol) == 1 for symbol in symbols)
    return ("" if is_letters else " ").join(symbols)


def _cells(row: Row) -> dict[str, Any]:
    edits = edit_distance(row.written, row.target)
    return {
        "source": row.source,
        "target": " ".join(row.target),
        "written": " ".join(row.written),
        "edits": edits,
    }


def _page(title: str, rows: Sequence[Row]) -> str:
    lines = [f"--- {title} ---"]
    for row in rows:
        lines += [
            f"source   {one_line(row.source, LONG)}",
            f"target   {one_line(' '.join(row.target), LONG)}",
            f"written  {one_line(' '.join(row.written), LONG)}",
            "",
        ]
    return "\n".join(lines)


def _sentence(score: TargetScore) -> str:
    """How many targets are exact, with the interval of a share, and the measures of others."""
    count = score.num_contexts
    low, high = of_share(round(score.exact * count), count)
    sentence = (
        f"Of {count:,} targets of the test, a share of {score.exact:.4g} is written without a"
        f" fault (95 % interval {low:.4g} to {high:.4g}), with {score.edit_distance:.3g} edits a"
        " target on average"
    )
    if score.bleu is not None and score.chrf is not None:
        sentence += f"; BLEU {score.bleu:.2f}, chrF {score.chrf:.2f}"
    return sentence + "."


def _said(score: TargetScore, how: Writing, short: bool = False) -> str:
    way = "greedily" if how.width is None else f"by a beam of {how.width}"
    values = [f"exact {score.exact:.4f}", f"edits {score.edit_distance:.3f} a target"]
    if score.bleu is not None and score.chrf is not None:
        signature = "" if short else f" ({score.signatures['bleu']})"
        values += [f"BLEU {score.bleu:.2f}{signature}", f"chrF {score.chrf:.2f}"]
    return f"{score.num_contexts:,} targets written {way}: {', '.join(values)}"
