"""A sheet of pixels on which letters, lines, colours and texts are put: a PNG file in milliseconds.

Matplotlib makes objects of each axis, tick and letter. A figure of eight filters took 0.9 s with it
and takes 0.08 s so. Matplotlib still draws what is transparent, or laid out by what it shows.
"""

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

SHADES = 15
"""Of an ink, up to all of it; a PNG file of a palette has 256 colours."""

FEW_SHADES = 5
"""Of an ink that is put on another colour than white."""

MAP_COLORS = 29
"""Of a map; beside the inks of all letters there is no room for more."""

INK = "black"

DASH = 5
"""Pixels of a dash, and of the gap after it."""

THICK = 1.8
"""Of a curve, pixels."""

DOT = 4
"""Pixels from the middle of a mark to its edge."""

SOURCES = (15, 30, 60, 120)
"""Sizes that letters are kept in, pixels."""

Shades = UInt8[np.ndarray, "rows columns"]
"""Of an ink at each pixel: 0 is none, `SHADES` is all of it."""

Numbers = UInt8[np.ndarray, " shades"]
"""Of the palette, for each shade; the first is not used."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels from the left and the top."""


class Paper:
    """A white sheet. Where colours overlap, the one that was used last is seen.

    Args:
        width: pixels.
        height: pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._pixels = np.zeros((height, width), np.uint8)
        self._palette = [_rgb("white")]  # of each number
        self._inks: dict[tuple[str, str], Numbers] = {}  # by colour, and what they are put on
        self._flat: dict[str, int] = {}  # the number of all of a colour
        self._map: str | None = None  # whose colours are the last ones of the palette

    def _ink(self, color: str, on: str = "white") -> Numbers:
        """The number of each shade of an ink, on a colour that shines through."""
        if (color, on) not in self._inks:
            count = SHADES if on == "white" else FEW_SHADES
            first, share = len(self._palette), np.arange(1, count + 1)[:, None] / count
            self._palette += [*(share * _rgb(color) + (1 - share) * _rgb(on))]
            steps = np.arange(SHADES + 1) * count
            self._inks[color, on] = (first - 1 + -(-steps // SHADES)).astype(np.uint8)
            if on == "white":
                self._flat.setdefault(color, first + count - 1)
        return self._inks[color, on]

    def _full(self, color: str) -> int:
        """The number of a colour of which no other shade need be there."""
        if color not in self._flat:
            self._flat[color] = len(self._palette)
            self._palette.append(_rgb(color))
        return self._flat[color]

    def _put(self, left: int, top: int, shades: Shades, ink: Numbers) -> None:
        """Draw what lies on the paper."""
        height, width = shades.shape
        rows, columns = _on_paper(top, height), _on_paper(left, width)
        part = self._pixels[rows, columns]
        seen = shades[rows.start - top :, columns.start - left :][: part.shape[0], : part.shape[1]]
        np.copyto(part, ink[seen], where=seen > 0)

    def text(
        self,
        x: int,
        y: int,
        content: str,
        size: int,
        anchor: str = "mm",
        room: int | None = None,
        turned: bool = False,
        color: str = INK,
        on: str = "white",
    ) -> None:
        """A line of text; `anchor` as Pillow has it: m is the middle, l the left, r the right.

        Args:
            x: of the anchor, pixels.
            y: of the anchor, pixels.
            content: the text, as it stands.
            size: of the font, pixels.
            anchor: what of the text is at x and y.
            room: pixels that it may be wide; a wider one is written smaller.
            turned: whether it is written from below to above, its middle at x and y.
            color: its ink.
            on: the colour that is there already.
        """
        shades, left, top = _written(content, size, anchor)
        if room is not None and shades is not None and shades.shape[1] > room:
            smaller = max(6, size * room // shades.shape[1])
            shades, left, top = _written(content, smaller, anchor)
        if shades is None:
            return
        if turned:
            shades = np.rot90(shades)
            left, top = -shades.shape[1] // 2, -shades.shape[0] // 2
        self._put(x + left, y + top, shades, self._ink(color, on))

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A thin line to the right, or down."""
        self.area((x0, y0, x1 + 1, y1 + 1), INK)

    def area(self, box: Box, color: str) -> None:
        """A box full of one colour."""
        left, top, right, bottom = box
        rows, columns = _on_paper(top, bottom - top), _on_paper(left, right - left)
        self._pixels[rows, columns] = self._full(color)

    def dots(self, x: int, y0: int, y1: int) -> None:
        """A dotted line down."""
        self._pixels[_on_paper(y0, y1 - y0), _on_paper(x, 1)][::3] = self._full(INK)

    def dot(self, x: int, y: int, color: str) -> None:
        """A round mark around a pixel."""
        self._put(x - DOT, y - DOT, _disc(), self._ink(color))

    def curve(
        self,
        columns: Float[np.ndarray, " points"],
        rows: Float[np.ndarray, " points"],
        color: str,
        box: Box,
        dashed: bool = False,
    ) -> None:
        """A curve of straight pieces.

        Args:
            columns: where its points are, in pixels from the left, which grow.
            rows: where they are, in pixels from the top.
            color: its ink.
            box: outside of which nothing is drawn.
            dashed: whether parts of it are left out.
        """
        left, top, right, bottom = box
        x = np.arange(left, right)
        if len(columns):
            x = x[(x >= columns[0] - 0.5) & (x <= columns[-1] + 0.5)]
        if not len(columns) or not len(x):
            return
        # what the curve reaches in each column of pixels: at its edges, and at points between
        ends = np.stack([np.interp(edge, columns, rows) for edge in (x - 0.5, x + 0.5)])
        low, high = ends.min(axis=0), ends.max(axis=0)
        inside = np.rint(columns).astype(int) - x[0]
        there = (inside >= 0) & (inside < len(x))
        np.minimum.at(low, inside[there], rows[there])
        np.maximum.at(high, inside[there], rows[there])
        # a steep piece is as thick as a flat one, and no longer than from point to point
        thick = THICK / 2 * np.hypot(1, ends[1] - ends[0])
        near = np.stack([_piece(edge, columns) for edge in (x - 0.5, x + 0.5)])
        reach = rows[np.concatenate([near - 1, near])]
        low = np.maximum(low - thick, reach.min(axis=0) - THICK / 2)
        high = np.minimum(high + thick, reach.max(axis=0) + THICK / 2)
        y = np.arange(top, bottom)[:, None]
        covered = np.minimum(y + 0.5, high) - np.maximum(y - 0.5, low)
        shades = np.rint(covered.clip(0, 1) * SHADES).astype(np.uint8)
        if dashed:
            shades[:, (x - left) % (2 * DASH) >= DASH] = 0
        self._put(int(x[0]), top, shades, self._ink(color))

    def letter(self, letter: str, color: str, box: Box) -> None:
        """A letter that fills a box; one whose bottom is above its top stands on its head."""
        left, top, right, bottom = box
        size = right - left, abs(bottom - top)
        if all(size):
            ink = self._ink(color)
            self._put(left, min(top, bottom), _sized(letter, bottom > top, size), ink)

    def cells(self, values: Float[np.ndarray, "rows columns"], box: Box, color_map: str) -> None:
        """A map of values from -1 to 1, which fills a box; all maps of a sheet have one name.

        Args:
            values: the first row is drawn at the top.
            box: that they fill.
            color_map: name of its colours in Matplotlib.
        """
        assert self._map in (None, color_map)
        self._map = color_map
        left, top, right, bottom = box
        rows, columns = values.shape
        level = _levels(values) + (256 - MAP_COLORS)
        row = np.arange(bottom - top) * rows // max(1, bottom - top)
        column = np.arange(right - left) * columns // max(1, right - left)
        self._pixels[top:bottom, left:right] = level[row][:, column]

    def png(self) -> bytes:
        """The file."""
        palette = np.full((256, 3), 255.0)
        palette[: len(self._palette)] = self._palette
        if self._map is not None:
            assert len(self._palette) + MAP_COLORS <= len(palette)
            palette[-MAP_COLORS:] = _map_colors(self._map)
        image = Image.fromarray(self._pixels, "P")
        image.putpalette(palette.round().astype(np.uint8).tobytes())
        file = io.BytesIO()
        image.save(file, format="png", compress_level=2)
        return file.getvalue()


def map_color(value: float, color_map: str) -> str:
    """The colour that a cell of a value has."""
    (level,) = _levels(np.array([value]))
    red, green, blue = _map_colors(color_map)[level].round().astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def ink_on(color: str) -> str:
    """The ink that is read on a colour: black, or white where it is dark."""
    return "white" if _rgb(color) @ (0.3, 0.59, 0.11) < 140 else "black"


def _levels(values: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Of values from -1 to 1, the number of their colour in a map."""
    known = np.nan_to_num(values)  # of a model that has diverged
    levels: np.ndarray = np.rint((known.clip(-1, 1) + 1) / 2 * (MAP_COLORS - 1))
    return levels.astype(np.uint8)


@functools.cache
def _map_colors(name: str) -> Float[np.ndarray, "colors rgb"]:
    colors: np.ndarray = 255 * matplotlib.colormaps[name](np.linspace(0, 1, MAP_COLORS))[:, :3]
    return colors


@functools.cache
def _rgb(color: str) -> Float[np.ndarray, " rgb"]:
    return 255 * np.array(to_rgb(color))


def _piece(
    x: Float[np.ndarray, " pixels"], columns: Float[np.ndarray, " points"]
) -> Int[np.ndarray, " pixels"]:
    """The number of the point that ends the piece of a curve over each pixel."""
    ends: np.ndarray = np.searchsorted(columns, x, side="right").clip(1, max(1, len(columns) - 1))
    return ends if len(columns) > 1 else np.zeros(len(x), int)


def _on_paper(start: int, length: int) -> slice:
    """The rows or columns from a start that may lie outside; those beyond the end do not matter."""
    return slice(max(0, start), max(0, start + length))


@functools.cache
def _disc() -> Shades:
    reach = np.arange(-DOT, DOT + 1)
    far = np.hypot(reach, reach[:, None])
    shades: Shades = np.rint((DOT + 0.5 - far).clip(0, 1) * SHADES).astype(np.uint8)
    return shades


@functools.cache
def _font(size: int, name: str = "DejaVuSans.ttf") -> ImageFont.FreeTypeFont:
    """Matplotlib's own, which is there on each machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


@functools.lru_cache(maxsize=2000)
def text_width(content: str, size: int = 14) -> int:
    """Pixels that a line of text is wide."""
    left, _, right, _ = _font(size).getbbox(content)
    return round(right - left)


@functools.lru_cache(maxsize=2000)
def _written(content: str, size: int, anchor: str) -> tuple[Shades | None, int, int]:
    """A text, and its left and top corner from the place that it is anchored at.

    Numbers of places are the same on each sheet. None where there is nothing to see.
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
    """A letter of so many pixels; most sizes come again on the next sheet."""
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
