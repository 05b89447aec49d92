"""Shows in MLflow what a run's filters learn, while they form and at the end."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.callback.baselines import compare_with_baselines, has_baselines
from seqexp.callback.families import PAIRS, keep_families, path_of, seeks_patterns
from seqexp.callback.saliency import outputs_shown, show_where, why_nowhere
from seqexp.checkpoint.result import Result
from seqexp.data import Pattern, Sequences
from seqexp.formats.motifs import load_motifs
from seqexp.interpret.families.family import Families
from seqexp.interpret.filters.chance import chance_metrics
from seqexp.interpret.filters.extraction import (
    Filters,
    LearnedFilter,
    motif_metrics,
    ranked,
    read_filters,
)
from seqexp.interpret.filters.matrix import is_dna
from seqexp.interpret.filters.ngrams import read_ngrams
from seqexp.interpret.filters.tomtom import Learned, compared
from seqexp.interpret.filters.windows import HasFilters, reads_both_strands
from seqexp.spec import Output
from seqexp.trainer.training import Report
from seqexp.utils.beside import Make, Picture, pictures
from seqexp.utils.names import one_line
from seqexp.utils.phases import DRAWING, INTERPRETING, phase

log = logging.getLogger("seqexp")

MAX_TOKENS = 2**20
"""Of a stream that filters are read on."""

MAX_COUNTED = 100
"""Symbols whose counts are kept for each place of a filter; of more, n-grams say more."""


MAX_SYMBOLS = 2000
"""Symbols whose counts at each place of all filters fit into memory; of more, n-grams are kept."""


_NO_LETTERS = "the {size} features of a position have no letters, so filters are not read"


class LearnedFilters(Callback):
    """Reads a model's filters and keeps pictures of them; does nothing for one without filters.

    Args:
        settings: what is read, and how; None shows nothing.
        run: whose model is read, on its sequences, beside what was planted in them.

    Raises:
        InputError: if the database of known motifs is no motif file.
    """

    doing = ("reading filters", INTERPRETING)
    name = "show"

    def __init__(self, settings: Filters | None, run: Observed) -> None:
        self.run = run
        tracker, data = run.tracker, run.data
        self.asked = settings
        if settings is not None and data.spec.features is not None:
            settings = None
        if settings is not None and data.train.is_stream:
            # a row of a stream is no sequence, of which one window would be enough
            settings = replace(settings, one_per_sequence=False)
        self.settings = settings
        self.tracker, self.training, self.data = tracker, run.training, data
        self.found = Learned()
        self.families: Families = Families()
        self.family_figures: dict[int, Picture] = {}
        self.pairs: Picture | None = None  # how families stand together
        self.methods: list[dict[str, Any]] = []  # simpler ones beside this model
        self.agreement: Mapping[str, float] = {}  # of its evidence with what was planted
        self.where: Picture | None = None  # its evidence is along some sequences
        self.database: list[Pattern] = []
        if settings is not None and settings.database is not None:
            found = load_motifs(settings.database)  # before anything is trained
            self.database = [Pattern(matrix.name, matrix.ppm()) for matrix in found]
        self.frames: dict[int, bytes] = {}  # epoch -> PNG
        self.drawn: dict[str, Picture] = {}  # by path, beside what goes on
        # drawing takes longer than reading: not where nobody would see it
        self.draws = tracker.keeps
        symbols = data.spec.vocabulary.symbols
        words = data.spec.words is not None and data.spec.words.unit != "letters"
        self.are_words = words or len(symbols) > MAX_SYMBOLS

    def before(self) -> None:
        """Say what is left out of what was asked for, and why."""
        for line in () if self.asked is None else self._left_out(self.asked):
            log.info(f"  interpret: {line}")

    def _left_out(self, asked: Filters) -> Iterator[str]:
        spec, model = self.data.spec, self.training.model
        has_filters = isinstance(model, HasFilters)
        if spec.features is not None and has_filters:
            yield _NO_LETTERS.format(size=spec.features.size)
        if not has_filters and getattr(model, "convolutions", None) is not None:
            yield "filters before recurrent layers are not read; those of model=cnn1d are"
        is_of_dna = is_dna(spec.vocabulary.symbols)
        seeks = seeks_patterns(asked, self.data)
        if asked.patterns and not seeks:
            yield (
                "interpret.patterns are of DNA of which something is predicted as a whole, without"
                " a context: none are sought"
            )
        if asked.matches and not (is_of_dna and (has_filters or seeks)):
            what = "the model has no filters" if is_of_dna else "symbols are not those of DNA"
            yield f"{what}, so motifs are not compared (interpret.match, interpret.database)"
        if asked.baselines and not has_baselines(spec):
            yield "interpret.baselines are for two classes of DNA without a context: none is made"
        if asked.num_traced == 0 or spec.output in (Output.NEXT_TOKEN, Output.READ_ERRORS):
            return
        reason, shown = why_nowhere(spec), outputs_shown(spec)
        if reason is not None:
            yield f"where the evidence is, is not drawn, since {reason}"
        elif 1 < len(shown) < len(spec.output_names):
            names = ", ".join(one_line(spec.output_names[output], 40) for output in sorted(shown))
            yield f"where/*.png are of {len(shown)} of {len(spec.output_names)} outputs: {names}"

    def is_due(self) -> bool:
        """Whether the filters are to be seen after this epoch; the first is always."""
        every = self.settings.every_epochs if self.settings is not None else None
        epoch = self.training.epoch
        return every is not None and (epoch == 1 or epoch % every == 0)

    def after(self, report: Report) -> None:
        """After some epochs, keep one image of the series, and how near the filters are to what
        was planted.
        """
        if report.kind != "epoch" or not self.is_due():
            return
        filters = self._read()
        if filters and self.draws:
            from seqexp.interpret.filters.card import card

            epoch, symbols = self.training.epoch, self.data.spec.vocabulary.symbols
            image = card(filters, symbols, self.data.patterns, f"after epoch {epoch}")
            self.tracker.image(image, "filters", epoch)
            self.frames[epoch] = image
        self.run.log(motif_metrics(filters), report.step)

    def at_test(self) -> None:
        """Read the filters and where they find what they learned, and begin to draw that."""
        self.found = self.learned()
        self._find_families()
        with phase("looking for the evidence along sequences"):
            self.agreement, where = show_where(self.settings, self.run, self.found.filters)
        self.where = next(iter(where.values()), None)
        self.drawn |= where

    def at_end(self, result: Result) -> None:
        """Keep what the filters learned, and what simpler methods come to."""
        run, settings, learned = self.run, self.settings, self.found
        run.log({**learned.metrics, **self.agreement}, self.training.epoch)
        found, self.methods = compare_with_baselines(settings, run, self.database)
        run.log(found, 0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        frames = {
            epoch: torch.frombuffer(bytearray(image), dtype=torch.uint8)
            for epoch, image in self.frames.items()
        }
        return {"frames": frames}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.frames = {epoch: t.numpy().tobytes() for epoch, t in state["frames"].items()}

    def learned(self) -> Learned:
        """Keep figures, tables and motif files of the filters as they are at the end."""
        if self.are_words and self.draws:
            self._keep_ngrams()
        filters = self._read()
        symbols, patterns = self.data.spec.vocabulary.symbols, self.data.patterns
        if not filters or self.settings is None:
            return Learned()
        learned = Learned(filters, metrics=motif_metrics(filters))
        if self.draws:
            self.drawn |= pictures(self._figure(learned))
        if self.settings.matches and is_dna(symbols):
            with phase(self._comparing()):
                learned = compared(filters, patterns, self.database, symbols, self.settings.max_q)
        with phase("reading filters that have learned nothing"):
            learned = replace(learned, metrics={**learned.metrics, **self._chance(filters)})
        if self.draws:
            self.drawn |= pictures(self._match_figures(learned))
            self._keep_filters(filters)
            if is_dna(symbols):
                self._keep_motifs(learned)
        return learned

    def _comparing(self) -> str:
        """What filters are compared with, in words."""
        planted, known = bool(self.data.patterns), len(self.database)
        what = [*["what was planted"] * planted, *[f"{known:,} known motifs"] * bool(known)]
        return f"comparing filters with {' and '.join(what) or 'nothing'}"

    def _find_families(self) -> None:
        """Group filters that read the same motif, and patterns that show it."""
        model, settings = self.training.model, self.settings
        if settings is None:
            return
        has_filters = bool(self.found.filters) and isinstance(model, HasFilters)
        if not has_filters and not seeks_patterns(settings, self.data):
            return
        what = "grouping filters to" if has_filters else "finding"
        with phase(f"{what} motif families"):
            found = keep_families(settings, self.run, model, self.database)
        if found is not None:
            self.families, drawn = found
            shown = {one.index: drawn.get(path_of(one.index)) for one in self.families.telling}
            self.family_figures = {k: one for k, one in shown.items() if one is not None}
            self.pairs = drawn.get(PAIRS)
            self.drawn |= drawn

    def _chance(self, filters: Sequence[LearnedFilter]) -> dict[str, float]:
        """What filters that have learned nothing come to on the same sequences."""
        assert self.settings is not None
        return chance_metrics(
            filters,
            self._tokens(),
            self.data.spec.vocabulary.symbols,
            self.data.patterns,
            self.settings,
            reads_both_strands(self.training.model),
            self.training.seed,
        )

    def _figure(self, learned: Learned) -> dict[str, Make]:
        """How the figure of filters is made, by its path."""
        from seqexp.interpret.filters.figures import filter_figure

        assert self.settings is not None
        symbols, shown = self.data.spec.vocabulary.symbols, self.settings.max_shown
        given = learned.filters, symbols, self.data.patterns, "what the filters learned", shown
        return {"filters/filters.png": partial(filter_figure, *given)}

    def _match_figures(self, learned: Learned) -> dict[str, Make]:
        """How the figures of what filters resemble are made, by path."""
        assert self.settings is not None
        symbols, shown = self.data.spec.vocabulary.symbols, self.settings.max_shown
        makes: dict[str, Make] = {}
        for name, hits, against in learned.comparisons() if is_dna(symbols) else ():
            from seqexp.interpret.filters.match_figure import match_figure

            of_matches = learned.filters, hits, symbols, against, shown
            makes[f"filters/{name}.png"] = partial(match_figure, *of_matches)
        return makes

    def _keep_filters(self, filters: Sequence[LearnedFilter]) -> None:
        spec = self.data.spec
        symbols = spec.vocabulary.symbols
        if self.frames:
            from seqexp.interpret.filters.card import card
            from seqexp.interpret.filters.figures import slider_page

            kept, epoch = self._kept_epoch()
            image = card(filters, symbols, self.data.patterns, kept)
            self.tracker.text(slider_page(self.frames, image, epoch), "filters/forming.html")
        rows = [learned.row(spec.output_names) for learned in ranked(filters)]
        self.tracker.table(rows, "filters/filters.json")
        if len(symbols) > MAX_COUNTED:
            self._keep_ngrams()
            return
        counts = {f"filter_{learned.index}": learned.counts(symbols) for learned in filters}
        self.tracker.text(json.dumps(counts, indent=2), "filters/pfm.json")

    def _kept_epoch(self) -> tuple[str, int | None]:
        """What the tested weights are, in words, and of which epoch; None: an average, or none."""
        training = self.training
        if training.average is not None:
            return "kept: averaged weights", None
        is_best = training.settings.test_weights == "best" and training.best_epoch > 0
        epoch = training.best_epoch if is_best else training.epoch
        return f"kept: epoch {epoch}", epoch

    def _keep_motifs(self, learned: Learned) -> None:
        """For other tools, and what the motifs resemble."""
        from seqexp.interpret.filters.motif_files import jaspar_text, meme_text

        symbols = self.data.spec.vocabulary.symbols
        found = [one for one in ranked(learned.filters) if len(one.motif)]
        if found:
            self.tracker.text(jaspar_text(found, symbols), "filters/motifs.jaspar")
            self.tracker.text(meme_text(found, symbols), "filters/motifs.meme")
        for name, hits, _ in learned.comparisons():
            if hits:
                self.tracker.table([hit.row() for hit in hits], f"filters/{name}.json")

    def _keep_ngrams(self) -> None:
        """Words have no logos: the n-grams that excite each filter, as a table."""
        model, spec = self.training.model, self.data.spec
        if self.settings is None or not isinstance(model, HasFilters):
            return
        tokens = self._tokens()
        symbols, names = spec.vocabulary.symbols, spec.output_names
        found = read_ngrams(model, tokens, symbols, self.settings, names)
        self.tracker.table([ngram.row() for ngram in found], "filters/ngrams.json")

    def _read(self) -> list[LearnedFilter]:
        model = self.training.model
        if self.settings is None or self.are_words or not isinstance(model, HasFilters):
            return []
        model.eval()
        tokens = self._tokens()
        symbols = self.data.spec.vocabulary.symbols
        return read_filters(model, tokens, symbols, self.data.patterns, self.settings)

    @cached_property
    def _sample(self) -> Sequences:
        """Training sequences that filters are read on, drawn by class; all of a stream."""
        assert self.settings is not None
        return self.data.train.at_most(self.settings.num_sequences, self.training.seed)

    def _tokens(self) -> Tensor:
        """What filters are read on: some sequences, or of a long stream, where its rows begin."""
        train = self._sample
        most = MAX_TOKENS // max(1, len(train)) if train.is_stream else None
        return train.tokens[:, :most].to(self.training.device)


class DrawnFilters(Callback):
    """Keeps the figures of filters, which are drawn in processes beside what goes on before.

    Args:
        filters: whose figures they are.
    """

    doing = ("drawing filters", DRAWING)

    def __init__(self, filters: LearnedFilters) -> None:
        self.filters = filters

    def at_end(self, result: Result) -> None:
        """Wait until they are drawn."""
        for path, picture in self.filters.drawn.items():
            self.filters.tracker.figure(picture, path)
