"""Cards: pictures of the filters while they form, for the step slider of the MLflow UI.

They are drawn straight to pixels, in a tenth of the time that Matplotlib takes: a small model
learns for less between two of them.
"""

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from seqexp.data import Pattern
from seqexp.interpret import letters
from seqexp.interpret.filters.alignment import aligned
from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.matrix import information

MAX_LOGOS = 4
"""That can be read on a small card."""

DEAD = "dead: no window excites it"

SIZE = 800
"""Pixels of a side."""

LEFT, RIGHT, TOP, BOTTOM = 62, 786, 104, 766
"""Of the area of all logos; numbers and labels stand around each."""

GAP = 92
"""Between two logos, for numbers and a label."""

SHADES = 15
"""Of an ink, up to all of it; a PNG file of a palette has 256 colours."""

INK = "black"

SOURCES = (15, 30, 60, 120)
"""Sizes that letters are kept in, pixels."""


@dataclass(frozen=True)
class Panel:
    """A logo: heights in bits, or of weights where `of_weights`; its first place has a number."""

    heights: Float[np.ndarray, "width symbols"]
    label: str
    first: int = 1
    of_weights: bool = False


Shades = UInt8[np.ndarray, "rows columns"]
"""Of an ink at each pixel: 0 is none, `SHADES` is all of it."""


class Paper:
    """A white square. Where colours overlap, the one that was used last is seen."""

    def __init__(self) -> None:
        self._pixels = np.zeros((SIZE, SIZE), np.uint8)
        self._inks: dict[str, int] = {}  # the first number of each ink's shades, less one

    def _ink(self, color: str) -> int:
        return self._inks.setdefault(color, len(self._inks) * SHADES)

    def _put(self, left: int, top: int, shades: Shades, color: str) -> None:
        """Draw what lies on the paper."""
        height, width = shades.shape
        rows, columns = slice(max(0, top), top + height), slice(max(0, left), left + width)
        part = self._pixels[rows, columns]
        seen = shades[rows.start - top :, columns.start - left :][: part.shape[0], : part.shape[1]]
        np.copyto(part, seen + np.uint8(self._ink(color)), where=seen > 0)

    def text(self, x: int, y: int, content: str, size: int, anchor: str = "mm") -> None:
        """A line of text; `anchor` as Pillow has it: m is the middle, r the right."""
        shades, left, top = _written(content, size, anchor)
        if shades is not None:
            self._put(x + left, y + top, shades, INK)

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A thin line to the right, or down."""
        self._pixels[y0 : y1 + 1, x0 : x1 + 1] = self._ink(INK) + SHADES

    def letter(self, letter: str, color: str, box: tuple[int, int, int, int]) -> None:
        """A letter that fills a box of left, top, right and bottom; bottom above top turns it."""
        left, top, right, bottom = box
        size = right - left, abs(bottom - top)
        if all(size):
            self._put(left, min(top, bottom), _sized(letter, bottom > top, size), color)

    def png(self) -> bytes:
        """The file."""
        palette = [np.full((1, 3), 255.0)]
        share = np.arange(1, SHADES + 1)[:, None] / SHADES
        palette += [255 * (1 - share * (1 - np.array(to_rgb(color)))) for color in self._inks]
        image = Image.fromarray(self._pixels, "P")
        image.putpalette(np.concatenate(palette).round().astype(np.uint8).tobytes())
        file = io.BytesIO()
        image.save(file, format="png", compress_level=2)
        return file.getvalue()


def card(
    filters: Sequence[LearnedFilter],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    title: str,
) -> bytes:
    """A PNG file of the best filters' logos, square, with large labels: a card in the UI is small.

    Of a single filter the weights too; below, what was planted, at the places that agree.
    """
    drawn, _ = shown(filters, MAX_LOGOS)
    panels = [
        Panel(
            information(learned.ppm),
            f"filter {learned.index}: {learned.hits} windows [bits]" if learned.hits else DEAD,
        )
        for learned in drawn
    ]
    places = (1, len(drawn[0].pfm))
    if len(drawn) == 1:
        weights = letters.centred(drawn[0].weights)
        panels.append(Panel(weights, "weights, centred", of_weights=True))
    if patterns:
        below = aligned(drawn[0], symbols, patterns)
        panels.append(Panel(information(below.ppm), below.label, below.first))
        places = below.places
    paper = Paper()
    paper.text(SIZE // 2, 30, title, 30)
    height = (BOTTOM - TOP - GAP * (len(panels) - 1)) // len(panels)
    for index, panel in enumerate(panels):
        _draw(paper, panel, TOP + index * (height + GAP), height, symbols, places)
    return paper.png()


def _draw(
    paper: Paper,
    panel: Panel,
    top: int,
    height: int,
    symbols: Sequence[str],
    places: tuple[int, int],
) -> None:
    bottom, middle = top + height, (LEFT + RIGHT) // 2
    paper.text(middle, top - 17, panel.label, 19)
    if not letters.have_logo(symbols):
        paper.text(middle, top + height // 2, "no logo: symbols are not letters", 16)
        return
    if not panel.heights.any():
        paper.text(middle, top + height // 2, "nothing", 19)
        return
    low, high = 0.0, float(np.log2(len(symbols)))
    if panel.of_weights:
        low, high = letters.limits(panel.heights)
    start, end = places[0] - 0.6, places[1] + 0.6

    def x(place: int | float) -> int:
        return round(LEFT + (place - start) / (end - start) * (RIGHT - LEFT))

    def y(value: float) -> int:
        return round(bottom - (value - low) / (high - low) * height)

    for one in letters.stacked(panel.heights):
        symbol, place = symbols[one.symbol], panel.first + one.place
        left, right = x(place - letters.WIDTH / 2), x(place + letters.WIDTH / 2)
        box = left, y(one.bottom + one.height), right, y(one.bottom)
        paper.letter(letters.letter_of(symbol), letters.color(symbol, one.symbol), box)
    paper.line(LEFT, top, LEFT, bottom)
    paper.line(LEFT, y(0.0), RIGHT, y(0.0))
    for value in _ticks(low, high, height):
        paper.line(LEFT - 5, y(value), LEFT, y(value))
        paper.text(LEFT - 9, y(value), f"{value:.4g}", 15, "rm")
    for place in letters.numbered(panel.first, len(panel.heights)):
        paper.line(x(place), bottom, x(place), bottom + 5)
        paper.text(x(place), bottom + 16, str(place), 15)


def _ticks(low: float, high: float, height: int) -> list[float]:
    locator = MaxNLocator(nbins=max(1, height // 40), steps=[1, 2, 2.5, 5, 10])
    values = locator.tick_values(low, high)
    return [float(value) for value in values if low <= value <= high]


@functools.cache
def _font(size: int, name: str = "DejaVuSans.ttf") -> ImageFont.FreeTypeFont:
    """Matplotlib's own, which is there on each machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


@functools.lru_cache(maxsize=500)
def _written(content: str, size: int, anchor: str) -> tuple[Shades | None, int, int]:
    """A text, and its left and top corner from the place that it is anchored at.

    Numbers of places are the same on each card. None where there is nothing to see.
    """
    left, top, right, bottom = (round(edge) for edge in _font(size).getbbox(content, anchor=anchor))
    if right <= left or bottom <= top:
        return None, 0, 0
    image = Image.new("L", (right - left, bottom - top))
    draw = ImageDraw.Draw(image)
    draw.text((-left, -top), content, fill=255, font=_font(size), anchor=anchor)
    return np.asarray(image) >> 4, left, top


@functools.lru_cache(maxsize=1000)
def _sized(letter: str, is_upright: bool, size: tuple[int, int]) -> Shades:
    """A letter of so many pixels; most sizes come again on the next card."""
    # what is much larger than the letter takes longer to resize, and looks the same
    source = next((one for one in SOURCES if one >= 2 * max(size)), SOURCES[-1])
    mask = _mask(letter, is_upright, source).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(mask) >> 4


@functools.cache
def _mask(letter: str, is_upright: bool, size: int) -> Image.Image:
    """A letter that fills its image; one as thin as I is not stretched to a block."""
    font = _font(size, "DejaVuSans-Bold.ttf")
    left, top, right, bottom = (round(edge) for edge in font.getbbox(letter))
    width = max(right - left, size // 2)
    image = Image.new("L", (width, max(1, bottom - top)))
    indent = (width - (right - left)) // 2
    ImageDraw.Draw(image).text((indent - left, -top), letter, fill=255, font=font)
    return image if is_upright else image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
