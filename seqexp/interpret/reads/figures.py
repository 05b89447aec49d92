"""Figures of reads: what they say at each place, what was decoded from them, and what is wrong."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from seqexp.formats.dna import LETTERS
from seqexp.interpret.letters import DNA_COLORS
from seqexp.interpret.reads.errors import (
    GAP,
    AlignedRows,
    ErrorProfile,
    align_all,
    error_profile,
)
from seqexp.utils.drawing import literal

COLUMNS = 120
"""Columns of an alignment in one line."""

MAX_READS = 30
"""Reads that are drawn; more would not be looked at one by one."""

SAME, LOST, WRONG, ADDED, NOTHING = range(5)

CELL_COLORS = {
    SAME: "#eeeeee",
    LOST: "#7a7a7a",
    WRONG: "#ffb3a7",
    ADDED: "#c9b3e6",
    NOTHING: "#ffffff",
}

KINDS = {"insertions": "#8e63c4", "deletions": "#7a7a7a", "substitutions": "#e4572e"}


def alignment_figure(
    reads: Sequence[str],
    decoded: str,
    truth: str | None,
    certainty: Sequence[float] | None,
    title: str,
) -> Figure:
    """Reads below the decoded and the true sequence, errors marked, and how certain each base is.

    Without a truth the decoded sequence takes its place. `certainty` is one probability for each
    decoded letter.
    """
    reference = decoded if truth is None else truth
    names = [f"read {number}" for number in range(1, min(len(reads), MAX_READS) + 1)]
    aligned = align_all([decoded, *reads[:MAX_READS]], reference)
    names = ["truth" if truth is not None else "decoded", "decoded", *names]
    rows = [aligned.truth, *aligned.rows]
    if truth is None:
        del names[1], rows[1]
    num_lines = -(-len(aligned.truth) // COLUMNS)
    strip = 3.0 if certainty is not None else 0.0  # height in rows
    line_height = 0.17 * (len(rows) + strip + 3.5)
    figure = Figure(figsize=(18, num_lines * line_height + 1.0))
    FigureCanvasAgg(figure)
    height = num_lines * line_height + 1.0
    figure.suptitle(title, fontsize=16, y=1 - 0.2 / height)
    for line in range(num_lines):
        part = slice(line * COLUMNS, (line + 1) * COLUMNS)
        top = 1 - (0.75 + line * line_height) / height
        cells = 0.17 * len(rows) / height
        axes = figure.add_axes((0.055, top - cells, 0.935, cells))
        _alignment(axes, aligned, rows, names, part)
        if certainty is not None:
            below = 0.17 * strip / height
            strip_axes = figure.add_axes((0.055, top - cells - below * 1.1, 0.935, below))
            _certainty(strip_axes, aligned.rows[0], certainty, part)
    labels = {WRONG: "another letter", LOST: "letter lost", ADDED: "letter too many"}
    handles = [Patch(color=CELL_COLORS[kind], label=label) for kind, label in labels.items()]
    figure.legend(handles=handles, loc="upper right", ncols=3, fontsize=11, frameon=False)
    return literal(figure)


def _kinds(row: str, truth: str) -> list[int]:
    """What is right or wrong in each column."""
    kinds = []
    for letter, base in zip(row, truth, strict=True):
        if base == GAP:
            kinds.append(NOTHING if letter == GAP else ADDED)
        elif letter == GAP:
            kinds.append(LOST)
        else:
            kinds.append(SAME if letter == base else WRONG)
    return kinds


def _alignment(
    axes: Axes, aligned: AlignedRows, rows: Sequence[str], names: Sequence[str], part: slice
) -> None:
    kinds = np.array([_kinds(row, aligned.truth)[part] for row in rows])
    colors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CELL_COLORS.values()])
    image = np.full((len(rows), COLUMNS, 3), 255)  # a last line is filled up with white
    image[:, : kinds.shape[1]] = colors[kinds]
    axes.imshow(image.astype(np.uint8), aspect="auto", interpolation="nearest")
    num_own = sum(name in ("truth", "decoded") for name in names)
    for row, text in enumerate(rows):
        for column, letter in enumerate(text[part]):
            # of the reads, what they have in common with the truth would hide what they have not
            if letter != GAP and (row < num_own or kinds[row, column] != SAME):
                color = DNA_COLORS.get(letter, "black") if kinds[row, column] == SAME else "black"
                drawn = axes.text(column, row, letter, fontsize=7, color=color, weight="bold")
                drawn.set(ha="center", va="center_baseline")
    axes.axhline(num_own - 0.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    places = np.cumsum(aligned.is_place)[part]
    is_place = np.array(aligned.is_place)[part]
    marked = [
        c for c in range(len(places)) if is_place[c] and (places[c] % 10 == 0 or places[c] == 1)
    ]
    axes.set_xticks(marked, [str(places[column]) for column in marked], fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=2, pad=1)
    for side in axes.spines.values():
        side.set_visible(False)


def _certainty(axes: Axes, decoded: str, certainty: Sequence[float], part: slice) -> None:
    values = iter(certainty)
    by_column = [next(values) if letter != GAP else 0.0 for letter in decoded]
    shown = by_column[part]
    colors = [
        "#109648" if value > 0.99 else "#f7b32b" if value > 0.9 else "#d62839" for value in shown
    ]
    axes.bar(range(len(shown)), shown, width=0.9, color=colors)
    axes.set_xlim(-0.5, COLUMNS - 0.5)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "1"], fontsize=7)
    axes.set_ylabel("certainty", fontsize=8, rotation=0, ha="right", va="center")
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def profile_figure(
    before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]], title: str
) -> Figure:
    """Errors of the reads and of what was decoded: each kind, along the sequence, letter by letter.

    Both are pairs of a sequence and the true one.
    """
    profiles = {"reads": error_profile(before), "decoded": error_profile(after)}
    figure = Figure(figsize=(14, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=16)
    grid = figure.add_gridspec(2, 4, width_ratios=(2, 2, 2, 2.2))
    highest = max(_smoothed_rates(profile).sum(axis=0).max() for profile in profiles.values())
    for row, (name, profile) in enumerate(profiles.items()):
        _along(figure.add_subplot(grid[row, :3]), profile, name, float(highest))
        _substitutions(figure.add_subplot(grid[row, 3]), profile, name)
    return literal(figure)


def _smoothed_rates(profile: ErrorProfile) -> Float[np.ndarray, "kinds parts"]:
    """Errors for each letter of the truth, in each part of it."""
    counts = np.stack([profile.inserted, profile.deleted, profile.wrong])
    rates: np.ndarray = counts / np.maximum(1, profile.bases)
    return rates


def _along(axes: Axes, profile: ErrorProfile, name: str, highest: float) -> None:
    rates = _smoothed_rates(profile)
    places = (np.arange(rates.shape[1]) + 0.5) / rates.shape[1] * 100
    bottom = np.zeros(rates.shape[1])
    totals = profile.rates()
    for kind, values in zip(KINDS, rates, strict=True):
        label = f"{kind}: {100 * totals[kind]:.3g} %"
        axes.bar(
            places, 100 * values, 100 / len(values), 100 * bottom, color=KINDS[kind], label=label
        )
        bottom += values
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 130 * highest or 1)
    axes.set_title(
        f"{name}: {100 * sum(totals.values()):.3g} errors a hundred letters", fontsize=13
    )
    axes.set_xlabel("place in the true sequence [% of its length]")
    axes.set_ylabel("errors a hundred letters")
    axes.legend(loc="upper right", ncols=3, frameon=False)


def _substitutions(axes: Axes, profile: ErrorProfile, name: str) -> None:
    counts = profile.substituted
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    wrong = np.where(np.eye(len(LETTERS), dtype=bool), np.nan, shares)
    highest = float(np.nanmax(wrong))
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=highest or 1)
    for row, column in np.ndindex(*shares.shape):
        bright = row != column and highest > 0 and wrong[row, column] > 0.7 * highest
        drawn = axes.text(column, row, f"{shares[row, column]:.3g}", fontsize=11)
        drawn.set(ha="center", va="center", color="white" if bright else "black")
    axes.set_xticks(range(4), LETTERS)
    axes.set_yticks(range(4), LETTERS)
    axes.set_xlabel("letter written")
    axes.set_ylabel("letter of the truth")
    axes.set_title(f"{name}: letters written for each [%]", fontsize=13)
