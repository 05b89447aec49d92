"""Looks at a model while it learns and at the end: filters, texts, reads, gradients."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from seqexp.build import Parts
from seqexp.callback.baselines import compare_with_baselines
from seqexp.callback.checkpoint import Part
from seqexp.callback.filters import Showing
from seqexp.callback.gradient_flow import Flowing
from seqexp.callback.pruning import Pruning
from seqexp.callback.reads import Reading
from seqexp.callback.report import keep_report
from seqexp.callback.saliency import show_where
from seqexp.callback.samples import Writing
from seqexp.checkpoint.result import Start, Story
from seqexp.config.groups import Config
from seqexp.data import Data
from seqexp.interpret.filters.tomtom import Learned
from seqexp.trainer.training import Report, Training

Log = Callable[[Mapping[str, float], int], None]
"""Adds a point to each of some curves, at this place of their x axis."""


class Watching:
    """All that looks at the model, each part doing nothing where there is nothing for it to see.

    Args:
        parts: what the config describes.
        training: whose model is looked at.
        data: what it learns from.
        directions: whether reads are written backwards, and how to train the model the other way.

    Raises:
        InputError: if a part is asked for what cannot be, as a prompt of unknown symbols.
    """

    def __init__(
        self,
        parts: Parts,
        training: Training,
        data: Data,
        directions: Mapping[str, Any],
    ) -> None:
        tracker = parts.tracker
        self.tracker, self.training, self.data = tracker, training, data
        self.show = Showing(parts.filters, tracker, training, data)
        self.write = Writing(parts.decoder, tracker, training, data)
        self.read = Reading(parts.decoder, tracker, training, data, **directions)
        self.flow = Flowing(parts.gradient_flow, tracker, training, data)
        self.prune = Pruning(parts.sweeper, parts.optimized_metric, training)

    def parts(self) -> dict[str, Part]:
        """Those that remember what they have seen."""
        return {"show": self.show, "write": self.write, "flow": self.flow}

    @contextmanager
    def drawn_at_the_end(self, story: Story) -> Iterator[None]:
        """Keep the figure of the gradients, also of a run that explodes."""
        with self.flow.drawn_at_the_end(story.result):
            yield

    def before(self, log: Log) -> None:
        """Look at the model before its first update."""
        if self.training.step == 0 and self.flow.is_due():
            log(self.flow.measure(), 0)

    def after(self, report: Report, log: Log) -> None:
        """Look at the model after a report of the loop."""
        self.flow.note(report)
        if report.kind != "epoch":
            return
        if self.flow.is_due():
            log(self.flow.measure(), report.step)
        if self.show.is_due():
            log(self.show.forming(), report.step)
        if self.write.is_due():
            self.write.while_learning()

    def at_the_end(self, config: Config, start: Start, story: Story, log: Log) -> Learned:
        """Look at the tested weights; returns what the filters learned."""
        tracker, data, settings = self.tracker, self.data, self.show.settings
        learned = self.show.learned()
        where, figure = show_where(settings, tracker, self.training, data, learned.filters)
        log({**learned.metrics, **where}, self.training.epoch)
        metrics = story.result.metrics
        database, seed = self.show.database, self.training.seed
        found, table = compare_with_baselines(settings, tracker, data, database, metrics, seed)
        log(found, 0)
        keep_report(config, start, tracker, data, story, learned, table, figure)
        self.write.at_the_end()
        log(self.read.at_the_end(), 0)
        return learned
