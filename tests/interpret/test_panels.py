"""Logos, maps and counts on paper: where their pixels are, and of which colour."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from seqexp.interpret.letters import DNA_COLORS
from seqexp.interpret.panels import HeatMap, Logo, within
from seqexp.utils.panels import Counts, Curves, Panel, Sizes, Words, told_apart
from seqexp.utils.paper import MAP_COLORS, Paper

DNA = ("A", "C", "G", "T")
SIZES = Sizes(label=12, number=10)
BOX = 40, 30, 240, 130


def drawn(panel: Panel) -> np.ndarray:
    """Rows of pixels, each of red, green and blue."""
    paper = Paper(300, 160)
    panel.draw(paper, BOX, SIZES)
    return np.asarray(Image.open(io.BytesIO(paper.png())).convert("RGB")).astype(int)


def extent(image: np.ndarray, color: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that are full of a colour; the last is outside."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    rows, columns = np.nonzero((image == rgb).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_logo_stacks_letters_to_their_heights() -> None:
    heights = np.array([[1.0, 0.5, 0, 0], [0, 0, 0, 2.0]])
    image = drawn(Logo(heights, DNA, "label"))
    width = 100 / 1.1  # of a place: two and 0.6 - 0.5 at each end fill 200 pixels
    a, c, t = (extent(image, DNA_COLORS[letter]) for letter in "ACT")
    assert (t[1], t[3]) == pytest.approx((30, 130), abs=2)  # all that a place can tell
    assert (c[1], c[3]) == pytest.approx((105, 130), abs=2)  # the smaller letter below
    assert (a[1], a[3]) == pytest.approx((55, 105), abs=2)
    assert t[0] - a[0] == pytest.approx(width, abs=4)
    assert a[0] > 40 and t[2] < 240


def test_negative_letters_hang_upside_down_below_zero() -> None:
    heights = np.array([[3.0, -1.0, -1.0, -1.0]])
    image = drawn(Logo(heights, DNA, "", hangs=True))
    a, t = extent(image, DNA_COLORS["A"]), extent(image, DNA_COLORS["T"])
    assert a[3] <= t[1] + 2
    upright, hanging = drawn(Logo(heights, DNA, "")), drawn(Logo(-heights, DNA, "", hangs=True))
    foot = extent(upright, DNA_COLORS["A"])
    head = extent(hanging, DNA_COLORS["A"])
    rgb = [int(DNA_COLORS["A"][i : i + 2], 16) for i in (1, 3, 5)]
    # the bar of an A is nearer to its foot
    counts = [
        (image[top + 2 : top + 12] == rgb).all(axis=2).sum()
        for image, top in ((upright, foot[1]), (hanging, head[1]))
    ]
    assert counts[0] < counts[1]


def test_a_map_has_blue_below_zero_and_red_above_and_a_row_a_symbol() -> None:
    weights = np.zeros((2, 4))
    weights[0, 0], weights[1, 3] = 2.0, -2.0
    image = drawn(HeatMap(weights, DNA, "label"))
    first, last, middle = image[40, 80], image[120, 200], image[70, 80]
    assert first[0] > first[2] + 50 and last[2] > last[0] + 50  # red, blue
    assert min(middle) > 240  # nothing
    ramp = image[:, 250]
    assert ramp[32, 0] > ramp[32, 2] + 50 and ramp[127, 2] > ramp[127, 0] + 50


def test_counts_are_stacked_and_named() -> None:
    counts = Counts(
        np.array([[0, 10], [5, 10]]), ("#112233", "#aa5500"), (-1.0, 1.0), "x", ("one", "two")
    )
    image = drawn(counts)
    columns = {
        color: [int((image[28:130, x] == rgb).all(axis=1).sum()) for x in (90, 150)]
        for color, rgb in (("one", (0x11, 0x22, 0x33)), ("two", (0xAA, 0x55, 0x00)))
    }
    full = 100 / 1.05
    assert columns["one"] == pytest.approx([0, full / 2], abs=2)
    assert columns["two"] == pytest.approx([full / 4, full / 2], abs=2)


@pytest.mark.parametrize("symbols", [tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcd"), ("one", "two")])
def test_any_alphabet_fits_into_the_colours_of_a_file(symbols: tuple[str, ...]) -> None:
    heights = np.full((3, len(symbols)), 1.0)
    paper = Paper(300, 160)
    HeatMap(heights, symbols, "map").draw(paper, BOX, SIZES)
    Logo(heights, symbols, "logo").draw(paper, BOX, SIZES)
    assert len(paper.png()) > 500
    assert MAP_COLORS % 2  # one of them is zero's


def test_what_is_no_number_is_not_drawn() -> None:
    weights = np.full((3, 4), np.nan)
    assert drawn(HeatMap(weights, DNA, "map")).std() > 0
    words = drawn(Logo(weights, DNA, "logo"))
    assert np.array_equal(words, drawn(Logo(np.zeros((3, 4)), DNA, "logo")))


def test_places_can_be_followed_from_one_panel_to_the_next() -> None:
    logo, words = Logo(np.eye(4), DNA, "x"), Words("nothing", "y")
    shifted = within(logo, (-1, 6))
    assert isinstance(shifted, Logo) and shifted.places == (-1, 6)
    assert within(words, (-1, 6)) is words
    alone, among = drawn(logo), drawn(shifted)
    left, right = extent(among, DNA_COLORS["A"]), extent(among, DNA_COLORS["T"])
    assert left[0] > extent(alone, DNA_COLORS["A"])[0] + 40
    assert right[2] < extent(alone, DNA_COLORS["T"])[2] - 40


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0, 0.5, 1], ["0", "0.5", "1"]),
        ([12_340, 12_345, 12_350], ["12,340", "12,345", "12,350"]),  # places of a long sequence
        ([-0.25, 0, 0.25], ["\u22120.25", "0", "0.25"]),
        ([0.693147, 0.693148], ["0.693147", "0.693148"]),  # a loss that hardly falls
        ([2e-7, 4e-7], ["2e\u221207", "4e\u221207"]),
        ([], []),
    ],
)
def test_numbers_of_an_axis_can_be_told_apart(values: list[float], texts: list[str]) -> None:
    assert told_apart(values) == texts


def test_names_stand_where_no_curve_is() -> None:
    corners = []
    for values in ([9.0, 1, 0, 0], [0.0, 8, 9, 9]):
        image = drawn(Curves({"one": ([1, 2, 3, 4], values)}, (0.5, 4.5)))
        mark = (image[31:129, 228:239] == (0x1F, 0x77, 0xB4)).all(axis=2).sum(axis=1) > 7
        corners.append(bool(mark[:20].any()))
    assert corners == [True, False]  # above a curve that falls, below one that rises


def test_what_is_wider_than_its_room_is_written_smaller_and_what_lies_outside_is_left_out() -> None:
    paper = Paper(100, 40)
    paper.text(50, 20, "a very long name of something", 20, room=90)
    image = np.asarray(Image.open(io.BytesIO(paper.png())).convert("L"))
    columns = np.flatnonzero((image < 200).any(axis=0))
    assert columns.min() >= 3 and columns.max() <= 97
    paper.text(-40, -30, "nowhere", 20)
    paper.text(150, 20, "nowhere", 20)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(paper.png())).convert("L")), image)


def test_a_curve_goes_through_its_values_and_has_no_gap_where_it_is_steep() -> None:
    points = {"one": ([1.5, 2.5, 3.5, 5.5], [0.0, 10.0, 0.0, 0.0])}
    image = drawn(Curves(points, (0.4, 6.6), side=("two", "lines")))
    blue = (image[30:130, 41:240] != 255).any(axis=2) & (image[30:130, 41:240, 2] > 100)
    place = 200 / 6.2
    start, peak, end = (round(40 + far * place) for far in (1.1, 2.1, 5.1))
    assert np.flatnonzero(blue.any(axis=0)).min() + 41 == pytest.approx(start, abs=2)
    assert np.flatnonzero(blue[:, peak - 41]).min() + 30 == pytest.approx(
        30 + 100 * 0.5 / 11, abs=2
    )
    heights = [np.flatnonzero(blue[:, x - 41]) for x in range(start + 1, end - 1)]
    for one, other in pairwise(heights):
        assert one.min() <= other.max() + 1 and other.min() <= one.max() + 1


@pytest.mark.parametrize("values", [[], [float("nan")] * 3, [1.0, float("inf"), 1.0]])
def test_curves_of_what_is_no_number_are_drawn_without_it(values: list[float]) -> None:
    points = {"one": (list(range(1, len(values) + 1)), values)}
    panel = Curves(points, (0.0, 4.0), has_dots=True, marked=2.0)
    image = drawn(panel)
    assert (image[30:130:3, 140] == 0).all()  # what is marked
    assert image.std() > 0


@pytest.mark.parametrize("letter_first", [False, True])
def test_a_colour_is_the_same_as_an_area_and_as_a_letter(letter_first: bool) -> None:
    paper = Paper(60, 30)
    for is_letter in (letter_first, not letter_first):
        if is_letter:
            paper.letter("I", DNA_COLORS["C"], (30, 0, 60, 30))
        else:
            paper.area((0, 0, 20, 30), DNA_COLORS["C"])
    image = np.asarray(Image.open(io.BytesIO(paper.png())).convert("RGB"))
    assert tuple(image[15, 10]) == tuple(image[15, 45]) == (0x25, 0x5C, 0x99)
