"""Tomtom, compiled and with NumPy: against memelite, and against counting all sums by hand."""

import itertools
import warnings
from collections import Counter
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import ROOT

from seqexp.formats.motifs import read_motifs
from seqexp.kernels import tomtom
from seqexp.kernels.tomtom import Overlaps, compare

JASPAR = ROOT.parent / "shared" / "data" / "jaspar_core.vertebrates.jaspar.gz"

NEEDS_COMPILER = pytest.mark.skipif(tomtom.available().binary is None, reason="no compiler")

WAYS = [pytest.param(True, marks=NEEDS_COMPILER, id="compiled"), pytest.param(False, id="numpy")]


def motifs(seed: int, *widths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.dirichlet([0.4] * 4, width).T.copy() for width in widths]


def assert_same(one: Overlaps, other: Overlaps) -> None:
    for name in ("scores", "offsets", "lengths", "turned"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.p_values, other.p_values, rtol=1e-9)


def by_memelite(queries: list[np.ndarray], targets: list[np.ndarray]) -> Overlaps:
    from memelite.tomtom import tomtom as reference

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few targets
        p_values, *numbers = reference(queries, targets, n_jobs=1)
    return Overlaps(p_values, *(values.astype(int) for values in numbers))


@NEEDS_COMPILER
@pytest.mark.parametrize("widths", [(1, 2, 7, 19), (4, 4, 4)])
def test_both_ways_are_the_same(widths: tuple[int, ...]) -> None:
    queries, targets = motifs(1, *widths), motifs(2, 1, 3, 8, 8, 20, 31)
    targets.append(targets[2][:, [0, 0, 0, 3, 3]])  # columns that are there more than once
    queries.append(targets[4][::-1, ::-1])
    assert_same(compare(queries, targets), compare(queries, targets, compiled=False))


@pytest.mark.parametrize("compiled", WAYS)
def test_a_motif_is_found_in_itself_on_either_strand(compiled: bool) -> None:
    targets = motifs(3, *range(8, 30))
    queries = [targets[9][:, 3:], targets[9][::-1, ::-1]]
    found = compare(queries, targets, compiled)
    assert found.p_values.argmin(axis=1).tolist() == [9, 9]
    assert found.p_values[:, 9].max() < 1e-9
    assert (found.offsets[:, 9].tolist(), found.turned[:, 9].tolist()) == ([3, 0], [0, 1])
    assert found.lengths[:, 9].tolist() == [14, 17]


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("length", [1, 2, 4])
def test_p_values_are_what_counting_all_sums_comes_to(compiled: bool, length: int) -> None:
    """Independent: each sum of scores listed with its share, each overlap as often as it fits."""
    (query,), targets = motifs(4, 3), motifs(5, length, length)
    found = compare([query], targets, compiled)
    asked = tomtom._columns([query])
    given = tomtom._columns([*targets, *(t[::-1, ::-1] for t in targets)], tomtom.TARGET_BINS)
    scored, width, total = tomtom._scored(asked, given, 0), 3, int(given.counts.sum())
    places = [
        Counter(dict.fromkeys(range(101), 0)) + Counter(np.repeat(row, given.counts).tolist())
        for row in scored.bins
    ]
    for target in range(2):
        score, p_value = int(found.scores[0, target]), Fraction(1)
        for k in range(length + width - 1):
            # of the query, the places that a target at this offset covers
            covered = [i for i in range(width) if 0 <= k - (width - 1) + i < length]
            below = Fraction(0)
            for drawn in itertools.product(*(places[i].items() for i in covered)):
                reached = sum(value for value, _ in drawn) + scored.rest * (width - len(covered))
                shares = [Fraction(count, total) for _, count in drawn]
                below += np.prod([Fraction(1), *shares]) if reached < score else 0
            p_value *= below
        p_value = 1 - p_value
        assert found.p_values[0, target] == pytest.approx(float(p_value * (2 - p_value)), rel=1e-9)


@pytest.mark.parametrize("compiled", WAYS)
def test_values_that_memelite_gave(compiled: bool) -> None:
    """Of `by_memelite(motifs(6, 9, 14), motifs(7, 6, 11, 16))`, memelite 0.5.0."""
    found = compare(motifs(6, 9, 14), motifs(7, 6, 11, 16), compiled)
    np.testing.assert_allclose(found.p_values, P_VALUES, rtol=1e-9)
    assert found.scores.tolist() == SCORES
    assert found.offsets.tolist() == OFFSETS
    assert found.lengths.tolist() == LENGTHS
    assert found.turned.tolist() == TURNED


P_VALUES = [
    [0.41696587792544504, 0.8468787807100884, 0.7013643140458921],
    [0.6883635283683648, 0.34644016503576897, 0.2842652201852863],
]
SCORES = [[535, 534, 556], [808, 857, 884]]
OFFSETS = [[-1, -3, 9], [-1, -3, 8]]
LENGTHS = [[6, 6, 7], [6, 11, 8]]
TURNED = [[1, 0, 0], [1, 0, 0]]


@pytest.mark.slow  # memelite is compiled for a minute
@pytest.mark.skipif(find_spec("memelite") is None, reason="memelite is not installed")
@pytest.mark.skipif(not JASPAR.exists(), reason="no JASPAR here")
@pytest.mark.parametrize("compiled", WAYS)
def test_all_of_jaspar_is_as_memelite_has_it(compiled: bool) -> None:
    known = [motif.ppm().T.copy() for motif in read_motifs(JASPAR)]
    asked = known if compiled else known[::40]
    assert_same(compare(asked, known, compiled), by_memelite(asked, known))


@pytest.mark.parametrize("compiled", WAYS)
def test_targets_that_are_all_the_same_column_tell_nothing(compiled: bool) -> None:
    flat = np.full((4, 6), 0.25)
    found = compare([flat], [flat, flat[:, :2]], compiled)
    assert found.p_values.tolist() == [[1.0, 1.0]]


def test_nothing_asked_is_nothing_found() -> None:
    assert compare([], motifs(8, 5)).p_values.shape == (0, 1)
    assert compare(motifs(8, 5), []).scores.shape == (1, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(np.zeros((4, 3)), "all columns are 0"), (np.ones((3, 5)), r"shape \(3, 5\); give 4 rows")],
)
def test_what_is_no_motif_is_refused(wrong: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compare([wrong], [wrong])
