"""Figures of learned filters: maps of weights and sequence logos, large and sharp."""

import base64
import json
from collections.abc import Mapping, Sequence

from seqexp.data import Pattern
from seqexp.interpret.filters.alignment import aligned
from seqexp.interpret.filters.card import DEAD
from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.matrix import information
from seqexp.interpret.letters import centred
from seqexp.interpret.panels import HeatMap, Logo, within
from seqexp.utils.names import one_line
from seqexp.utils.panels import Panel, Sizes
from seqexp.utils.paper import Paper

COLUMN, ABOVE, BELOW = 850, 70, 12
"""Pixels of a column of panels, and of what stands above all and below."""

LEFT, RIGHT = 62, 64
"""Of a column, for numbers at the left and a legend of colours at the right."""

LABEL, NUMBERS = 38, 30
"""Of a row, above and below a panel."""

SIZES = Sizes(label=18, number=14)


def filter_figure(
    filters: Sequence[LearnedFilter],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    title: str,
    max_shown: int,
) -> bytes:
    """One column a filter: weights as heat map and logo, the exciting windows' logo, the pattern.

    The best filters are shown, best first; dead ones only where all are.
    """
    drawn, note = shown(filters, max_shown)
    blocks = [filter_panels(learned, symbols, patterns) for learned in drawn]
    return sheet(blocks, 220, title, note)


def filter_panels(
    learned: LearnedFilter, symbols: Sequence[str], patterns: Sequence[Pattern]
) -> list[Panel]:
    """What is shown of a filter, one below the other.

    The nearest pattern stands under the filter's columns that it agrees with. All panels have the
    same places, so that a column can be followed down.
    """
    largest = one_line(learned.consensus, 40)
    label = f"{learned.hits} exciting windows [bits]" if learned.hits else DEAD
    panels: list[Panel] = [
        HeatMap(learned.weights, symbols, f"filter {learned.index}: weights; largest: {largest}"),
        Logo(centred(learned.weights), symbols, "weights, centred", hangs=True),
        Logo(information(learned.ppm), symbols, label),
    ]
    if not patterns:
        return panels
    below = aligned(learned, symbols, patterns)
    panels.append(Logo(information(below.ppm), symbols, below.label, below.first))
    return [within(panel, below.places) for panel in panels]


def sheet(
    blocks: Sequence[Sequence[Panel]],
    row_height: int,
    title: str,
    note: str,
) -> bytes:
    """Blocks of panels below each other, two blocks side by side, as a PNG file.

    Args:
        blocks: each of as many panels.
        row_height: pixels that a panel takes, with what stands around it.
        title: of the figure.
        note: below the title; may be empty.
    """
    per_line, rows = min(2, len(blocks)), len(blocks[0])
    lines = -(-len(blocks) // per_line)
    paper = Paper(COLUMN * per_line, ABOVE + row_height * rows * lines + BELOW)
    middle, room = paper.width // 2, paper.width
    paper.text(middle, 24, title, 18 if note else 25, room=room)
    paper.text(middle, 52, note, 18, room=room)
    for index, panels in enumerate(blocks):
        line, column = divmod(index, per_line)
        for row, panel in enumerate(panels):
            left, top = COLUMN * column, ABOVE + row_height * (line * rows + row)
            bottom, right = top + row_height - NUMBERS, left + COLUMN - RIGHT
            panel.draw(paper, (left + LEFT, top + LABEL, right, bottom), SIZES)
    return paper.png()


_PAGE = """<!doctype html><meta charset="utf-8"><title>filters while they form</title>
<style>body {{font-family: sans-serif; text-align: center}} img {{max-width: 100%}}
input {{width: 60%}} output {{display: inline-block; min-width: 9rem; text-align: left}}</style>
<p><input type="range" min="0" max="{last}" value="{last}" id="step"
 aria-label="epoch"> <output id="when" for="step"></output></p>
<img id="image" alt="logos of the filters">
<script>
const frames = {frames};
const names = {names};
const step = document.getElementById("step"), image = document.getElementById("image");
step.oninput = () => {{
 image.src = "data:image/png;base64," + frames[step.value];
 document.getElementById("when").textContent = names[step.value];
}};
step.oninput();
</script>
"""


def slider_page(
    frames: Mapping[int, bytes], kept: bytes | None = None, kept_epoch: int | None = None
) -> str:
    """One HTML page, complete in itself, that shows the PNG images of a series with a slider.

    Args:
        frames: by epoch.
        kept: image of the weights that were tested and kept, the last position; None: there is
            none.
        kept_epoch: that they are of; None: no epoch was chosen.
    """
    images = {f"epoch {step}": frames[step] for step in sorted(frames)}
    if kept is not None:
        images["kept" if kept_epoch is None else f"kept: epoch {kept_epoch}"] = kept
    encoded = [base64.b64encode(image).decode() for image in images.values()]
    return _PAGE.format(
        last=len(encoded) - 1, frames=json.dumps(encoded), names=json.dumps(list(images))
    )
