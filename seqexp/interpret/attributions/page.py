"""One page on attributions, complete in itself: logos, coloured words or maps, and their proof."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from seqexp.interpret.attributions.deletion import Deletion
from seqexp.interpret.attributions.figure import (
    WIDTH,
    deletion_figure,
    features_figure,
    logo_figure,
)
from seqexp.interpret.attributions.methods import Made
from seqexp.interpret.attributions.places import place_of, window_around
from seqexp.interpret.attributions.record import Explained
from seqexp.spec import Output, TaskSpec
from seqexp.utils.drawing import save
from seqexp.utils.names import one_line, visible

FOR, AGAINST = "37, 92, 153", "214, 40, 57"
"""Red, green and blue of what speaks for an output, and against it."""

LEGENDS = {
    "letters": "Each letter is as tall as what it adds; those below the line speak against it. The"
    " grey line above is the whole sequence, of which the window with most evidence is shown.",
    "words": "Blue words speak for the output, red ones against it; the strongest of each text is"
    " the darkest. Point at a word for its number.",
    "features": "Blue numbers speak for the output, red ones against it.",
}

UNITS = {
    Output.SEQUENCE_CLASS: "log-odds, nats",
    Output.MULTI_LABEL: "log-odds, nats",
    Output.REGRESSION: "standard deviations",
}
"""Of what is explained."""


@dataclass(frozen=True, eq=False)
class Page:
    """What stands on the page.

    Args:
        title: of the page.
        facts: names and values of the summary.
        spec: the task.
        made: what sequences are of.
        records: those that are shown.
        count: of all records.
        deletion: of the first records.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    spec: TaskSpec
    made: Made
    records: Sequence[Explained]
    count: int
    deletion: Deletion


def page_of(page: Page) -> str:
    """The page as HTML, with its images inside; `page.html` is its template."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
    )
    unit = UNITS[page.spec.output]
    return environment.get_template("page.html").render(
        title=page.title,
        facts=page.facts,
        faithful=faithful(page.deletion),
        deletion=_image(deletion_figure(page.deletion.curves(), unit)),
        count=f"{page.count:,}",
        legend=LEGENDS[page.made],
        records=[_shown(page, one, unit) for one in page.records],
    )


def faithful(deletion: Deletion) -> str:
    """The deletion curves in a sentence."""
    area = deletion.area()
    of = f"{deletion.count:,} records"
    if area is None:
        return f"Of {of}, nothing is lost on average as positions are taken away."
    verb = "falls faster" if area > 0 else "does not fall faster"
    return (
        f"The prediction {verb} with the largest attributions taken away first than in a random"
        f" order: the mean distance of the curves is {area:.2f} of the largest fall (mean of {of};"
        " 0 is chance, and 1 would be all lost at once and nothing by chance)."
    )


def window_of(one: Explained) -> tuple[int, int]:
    """The part of a record that is shown."""
    return window_around(one.values, WIDTH)


def where(one: Explained) -> str:
    """The window of a record in words, with its place in a genome where the name tells it."""
    start, stop = window_of(one)
    length = len(one.values)
    place = place_of(one.name, length, start, stop)
    letters = f"letters {start + 1} to {stop} of {length}"
    return f"{letters}, {place}" if place and (start, stop) != (0, length) else letters


def _shown(page: Page, one: Explained, unit: str) -> Mapping[str, object]:
    what, _, scale = unit.rpartition(", ")
    of = f"{what} of {one_line(one.output)}" if what else one_line(one.output)
    says = f"{of} {one.margin:+.2f} {scale}"
    if one.delta is not None:
        says += f"; convergence delta {one.delta:.1e}"
    shown = {"name": one_line(one.name, 120), "says": says, "image": "", "pieces": []}
    if page.made == "letters":
        figure = logo_figure(one, page.spec.vocabulary.symbols, *window_of(one))
        return {**shown, "says": f"{where(one)}; {says}", "image": _image(figure)}
    if page.made == "features":
        assert page.spec.features is not None
        return {**shown, "image": _image(features_figure(one, page.spec.features.names))}
    return {**shown, "pieces": [*_pieces(one)]}


def _pieces(one: Explained) -> Iterator[Mapping[str, str]]:
    """The words of a text and their colours."""
    strongest = float(np.abs(one.values).max()) or 1.0
    after = "" if all(len(symbol) < 2 for symbol in one.symbols) else " "
    for symbol, value in zip(one.symbols, one.values, strict=True):
        if symbol:
            ink = FOR if value > 0 else AGAINST
            alpha = f"{0.75 * abs(value) / strongest:.3f}"
            yield {
                "symbol": one_line(symbol, 80),
                "color": f"rgba({ink}, {alpha})",
                "value": f"{value:+.4g}",
                "after": after,
            }


def _seen(value: object) -> object:
    """A text with control characters as escapes, before the template escapes markup."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return visible(str(value)) if is_text else value


def _image(figure: Figure) -> str:
    """A PNG file in base64."""
    file = io.BytesIO()
    save(figure, file, dpi=80)
    return base64.b64encode(file.getvalue()).decode()
