"""One page on what a run learned, complete in itself: what one would show to a colleague."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from seqexp.interpret.families.family import Families
from seqexp.interpret.families.files import pair_rows, rows
from seqexp.interpret.families.words import first_families
from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.match_figure import place_hit, why_no_hit
from seqexp.interpret.filters.matrix import information
from seqexp.interpret.filters.tomtom import Hit, Learned
from seqexp.interpret.panels import Logo, within
from seqexp.metrics import higher_is_better
from seqexp.utils.beside import Picture, png_of
from seqexp.utils.names import SHORT, one_line, visible
from seqexp.utils.panels import Curves, Sizes
from seqexp.utils.paper import Paper

Rows = Sequence[Mapping[str, object]]

WIDTH, LEFT = 700, 42
"""Of a filter's logos, pixels; numbers stand at the left."""

CURVE = 450
"""Of a panel of curves, pixels."""

ROW, LABEL, NUMBERS = 175, 32, 24
"""Pixels of a logo's row, and of what stands above and below the logo."""

SIZES = Sizes(label=17, number=13)

YARDSTICKS = {
    "token": "the most frequent label of each token",
    "words": "a regression on counted words",
    "gapped_words": "a regression on counted words with a letter skipped",
    "ngrams": "a regression on counted n-grams",
    "matrix": "the best of the scans with single motifs",
}
"""Methods of `baseline/NAME_measure` that know something."""


@dataclass(frozen=True, eq=False)
class Page:
    """What stands on the page.

    `command` is what was typed, `differing` what differs from the defaults, `about` a sentence on
    the data. `by_class` has a row a class, `took` seconds and memory; `also` are further figures.
    `intervals` are of the test's
    measures by their names, over its sequences, and `worst` are those that it predicts worst.
    `written` is a text of the model's, `said` sentences on it, `decoded` a row a method that
    decoded clusters of reads.
    `history` has the metrics of each epoch, `metrics` those of the run, of which `headline` names
    the measures of the test that count most. `results` and `data` are what is known of model and
    data, `where` is the figure of evidence along some sequences, `pictures` are of what is
    predicted for the test. `families` are of what the filters read, with the figures of the first
    ones and of their `pairs`.
    """

    title: str
    history: Mapping[int, Mapping[str, float]]
    results: Rows
    baselines: Rows
    data: Rows
    notes: Sequence[str]
    learned: Learned
    symbols: Sequence[str]
    output_names: Sequence[str]
    max_shown: int
    where: Picture | bytes | None = None
    headline: Sequence[str] = ("accuracy",)
    metrics: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Picture | bytes] = field(default_factory=dict)
    families: Families = field(default_factory=Families)
    family_figures: Mapping[int, Picture | bytes] = field(default_factory=dict)
    pairs: Picture | bytes | None = None
    command: str = ""
    about: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    worst: Rows = ()
    written: str = ""
    differing: Rows = ()
    by_class: Rows = ()
    also: Mapping[str, Picture | bytes] = field(default_factory=dict)
    took: Rows = ()
    said: Sequence[str] = ()
    decoded: Rows = ()


def report_page(page: Page) -> str:
    """The page as HTML, with its images inside; `report.html` is its template."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
    )
    environment.filters["cell"] = _cell
    drawn, note = shown(page.learned.filters, page.max_shown)
    families = page.families.telling
    return environment.get_template("report.html").render(
        page=page,
        verdict=verdict(page),
        curve=_image(_curve(page)) if page.history else None,
        pictures={name.replace("_", " "): _image(figure) for name, figure in page.pictures.items()},
        also={name.replace("_", " "): _image(one) for name, one in page.also.items()},
        motifs=[] if families else [_motif(page, learned) for learned in drawn],
        note=note,
        families=rows(families, page.families.unit),
        family_pictures={number: _image(one) for number, one in page.family_figures.items()},
        unspecific=list(page.families.unspecific),
        vague=list(page.families.vague),
        num_little=len(page.families.found) - len(families),
        pairs=pair_rows(page.families.pairs),
        pairs_picture=_image(page.pairs) if page.pairs is not None else None,
        where=_image(page.where) if page.where is not None else None,
    )


def verdict(page: Page) -> list[str]:
    """What was found, in a sentence each, and how sure it is."""
    learned, said = page.learned, outcome(page)
    metrics = learned.metrics
    num_known = max(learned.num_known, page.families.num_known)
    if not learned.filters:
        found = page.families
        return [*said, *(first_families(found, num_known) if found.telling else ())]
    if learned.planted is not None:
        best = min(learned.planted, key=lambda hit: hit.q_value, default=None)
        share = metrics.get("motif/recovered", 0.0)
        recovery = {0.0: "was not recovered", 1.0: "was recovered"}.get(
            share, f"was recovered for {share:.0%} of the patterns"
        )
        sentence = f"What was planted {recovery}"
        if best is not None:
            sentence += (
                f": filter {best.filter_index} resembles {one_line(best.target.name)}"
                f" ({_p('p', best.q_value)}, corrected for all comparisons; correlation"
                f" {metrics.get('motif/correlation', 0.0):.3f})"
            )
        said.append(sentence + ".")
    if page.families.telling:
        said += first_families(page.families, num_known)
    elif learned.known:
        first = learned.known[0]
        said.append(
            f"Among {learned.num_known:,} known motifs, the most significant match is"
            f" {one_line(first.target.name)}, of filter {first.filter_index}"
            f" ({_p('q', first.q_value)})."
            " A match says what a motif looks like, not which protein binds there."
        )
    elif learned.known is not None:
        said.append(f"No filter resembles any of {learned.num_known:,} known motifs significantly.")
    dead = sum(not one.hits for one in learned.filters)
    if dead == len(learned.filters):
        said.append("No filter learned anything: no window excites any of them.")
    if learned.planted is None and learned.known is None:
        if "motif/correlation" in metrics:
            said.append(
                "The motif that is nearest to what was planted has a correlation of"
                f" {metrics['motif/correlation']:.3f} with it."
            )
        said.append("p-values: interpret.match=true, or interpret.database=FILE of known motifs.")
    return said


def outcome(page: Page) -> list[str]:
    """How the test went: what others say of it, its first measure, and what knows nothing."""
    found = [name for name in page.headline if f"test/{name}" in page.metrics]
    beside = [name for name in found if f"baseline/constant_{name}" in page.metrics]
    sentences = [*page.said]
    for name in dict.fromkeys([*found[:1], *beside[:1]]):
        sentence = f"The test's {_words(name)} is {page.metrics[f'test/{name}']:.4g}"
        if name in page.intervals:
            low, high = page.intervals[name]
            sentence += f" (95 % interval over sequences {low:.4g} to {high:.4g})"
        if name in beside:
            constant = page.metrics[f"baseline/constant_{name}"]
            sentence += f"; always predicting the same, it is {constant:.4g}"
        if f"baseline/channel_{name}" in page.metrics:
            least = page.metrics[f"baseline/channel_{name}"]
            sentence += f"; by the channel that the reads are simulated by, it is {least:.4g}"
        sentences.append(f"{sentence}.")
    return [*sentences, *_beside_yardsticks(page.metrics, found)]


def _beside_yardsticks(metrics: Mapping[str, float], names: Sequence[str]) -> Iterator[str]:
    """For each simple method that was scored by these measures, what they say of it; a sentence
    where all say the same.
    """
    for key, method in YARDSTICKS.items():
        orders: dict[str, list[str]] = {}
        for name in names:
            own, value = metrics[f"test/{name}"], metrics.get(f"baseline/{key}_{name}")
            if value is not None:
                order = _order(name, own, value)
                orders.setdefault(order, []).append(f"{_words(name)} {own:.4g} and {value:.4g}")
        for order, figures in orders.items():
            yield f"The model is {order} {method}: {', '.join(figures)}."


def _order(name: str, own: float, value: float) -> str:
    if f"{own:.4g}" == f"{value:.4g}":
        return "level with"
    sign = 1 if higher_is_better(f"test/{name}") else -1
    return "ahead of" if sign * (own - value) > 0 else "not ahead of"


def _words(name: str) -> str:
    """A measure as one says it."""
    return name.replace("_nats", " in nats").replace("_", " ")


def _motif(page: Page, learned: LearnedFilter) -> dict[str, object]:
    """A filter's logo above those of what it resembles, and what is known of it."""
    hits: list[Hit] = []
    for _, found, _ in page.learned.comparisons():
        own = [hit for hit in found if hit.filter_index == learned.index]
        if own:
            hits.append(min(own, key=lambda hit: hit.p_value))
    row = learned.row(page.output_names)
    favoured = one_line(str(row["speaks for"] or "-"))
    facts = [
        ("exciting windows", f"{learned.hits:,}"),
        ("information", f"{learned.bits:.1f} bits"),
        ("effect", f"{learned.strength:.2f} nats, speaks for {favoured}"),
    ]
    if learned.match is not None:
        correlation, pattern = learned.match.correlation, learned.match.pattern
        agreement = f"correlation {correlation:.3f} with {one_line(pattern)}, which was planted"
        facts.append(("agreement", agreement))
    for hit in hits:
        probable = f"{_p('p', hit.p_value)}, {_p('q', hit.q_value)}; {hit.overlap} shared places,"
        strand = f" strand {'-' if hit.reverse else '+'}"
        facts.append((one_line(hit.target.name), probable + strand))
    if not hits and (page.learned.planted is not None or page.learned.known is not None):
        facts.append(("matches", why_no_hit(learned)))
    logos = _image(_logos(learned, hits, page.symbols))
    return {"index": learned.index, "logos": logos, "facts": facts}


def _logos(learned: LearnedFilter, hits: Sequence[Hit], symbols: Sequence[str]) -> bytes:
    """A filter's logo, and below it, place by place, those of what it resembles."""
    panels, places = (
        [Logo(information(learned.motif), symbols, f"filter {learned.index}")],
        (1, len(learned.motif)),
    )
    for hit in hits:
        ppm, first = place_hit(hit, symbols)
        name = one_line(hit.target.name) + (" (other strand)" if hit.reverse else "")
        panels.append(Logo(information(ppm), symbols, name, first))
        places = min(places[0], first), max(places[1], first + len(ppm) - 1)
    paper = Paper(WIDTH, ROW * len(panels) + 4)
    for row, panel in enumerate(panels):
        box = LEFT, ROW * row + LABEL, WIDTH - 8, ROW * (row + 1) - NUMBERS
        within(panel, places).draw(paper, box, SIZES)
    return paper.png()


def _curve(page: Page) -> bytes:
    """The loss by epoch, and the first measure that epochs report; the kept epoch is marked."""
    history, headline = page.history, page.headline
    kept = page.metrics.get("best/epoch")
    reported = {name for metrics in history.values() for name in metrics}
    others = [name for name in headline if name != "loss_nats"]
    beside = [name for name in others if f"valid/{name}" in reported][:1]
    paper = Paper(2 * CURVE, 300)
    for number, what in enumerate(("loss_nats", *beside)):
        points = {}
        for split in ("train", "valid"):
            key = f"{split}/{what}"
            epochs = [epoch for epoch, metrics in history.items() if key in metrics]
            if epochs:
                points[split] = epochs, [history[epoch][key] for epoch in epochs]
        named = what.replace("_nats", ", nats").replace("_", " ")
        marked = kept if kept in history else None
        label = f"{named}, by epoch" + ("" if marked is None else f" (kept: {kept:g})")
        first, last = min(history), max(history)
        across = first - 0.02 * (last - first) - 0.1, last + 0.02 * (last - first) + 0.1
        curves = Curves(points, across, label=label, has_dots=True, marked=marked)
        left = CURVE * number
        curves.draw(paper, (left + 62, LABEL, left + CURVE - 14, 300 - NUMBERS), SIZES)
    return paper.png()


def _p(name: str, value: float) -> str:
    return f"{name} = {value:.1e}" if value < 0.001 else f"{name} = {value:.2g}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else one_line(str(value), 4 * SHORT)


def _seen(value: object) -> object:
    """A text with control characters as escapes, before the template escapes markup."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return visible(str(value)) if is_text else value


def _image(figure: Picture | bytes) -> str:
    """The content of a picture, as a page holds it; the same file as among the artifacts."""
    return base64.b64encode(png_of(figure)).decode()
