"""Matching by Tomtom: copies are found where they lie, chance is not taken for a hit."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from seqexp.data import Pattern
from seqexp.formats.motifs import load_motifs, read_motifs
from seqexp.interpret.filters.extraction import LearnedFilter
from seqexp.interpret.filters.match_figure import match_figure, match_panels
from seqexp.interpret.filters.matrix import (
    chance_bits,
    matches,
    reverse_complement,
    significant_part,
)
from seqexp.interpret.filters.motif_files import jaspar_text, meme_text
from seqexp.interpret.filters.tomtom import (
    Hit,
    compared,
    false_discovery_rates,
    match_database,
    match_planted,
    matchable,
    recovery_metrics,
)
from seqexp.interpret.panels import Logo
from seqexp.utils.panels import Words

DNA = ("A", "C", "G", "T")
HITS = 200


def learned(ppm: np.ndarray, index: int = 0, hits: int = HITS, patterns=()) -> LearnedFilter:  # type: ignore[no-untyped-def]
    return LearnedFilter(
        index=index,
        weights=ppm,
        pfm=ppm * hits,
        hits=hits,
        consensus="",
        matches=matches(ppm, patterns, DNA) if hits else (),
        weight_match=None,
        part=significant_part(ppm, 0.25) if hits else slice(0, 0),
    )


def random_matrix(rng: np.random.Generator, width: int = 14) -> np.ndarray:
    return rng.dirichlet([0.2] * 4, width)


@pytest.fixture
def database() -> list[Pattern]:
    rng = np.random.default_rng(0)
    return [Pattern(f"made {i}", random_matrix(rng)) for i in range(100)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cut", [0, 3])
def test_a_noisy_copy_is_found_at_its_place_and_strand(
    database: list[Pattern], reverse: bool, cut: int
) -> None:
    target = database[40].ppm
    copy = 0.95 * (reverse_complement(target, DNA) if reverse else target)[cut:] + 0.05 / 4
    (hit, *others) = match_database([learned(copy)], database, DNA, max_q=0.001)
    assert hit.target.name == "made 40" and not others
    assert (hit.reverse, hit.offset, hit.overlap) == (reverse, cut, 14 - cut)
    assert hit.p_value < 1e-9 and hit.p_value < hit.q_value <= 100 * hit.p_value


def test_random_matrices_have_no_hits_and_p_values_are_as_said(
    database: list[Pattern], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    queries = [learned(random_matrix(rng, 19), index) for index in range(30)]
    assert match_database(queries, database, DNA, max_q=0.05) == []
    monkeypatch.setattr(
        "seqexp.interpret.filters.tomtom._best_by_chance", lambda q, *_: {f.index: 2.0 for f in q}
    )
    hits = match_database(queries, database, DNA, max_q=1.0)
    assert len(hits) == 3000
    # of 3,000 comparisons 150 are expected below 0.05; they depend on each other, hence the margin
    assert sum(hit.p_value < 0.05 for hit in hits) < 300


def test_the_planted_motif_is_recovered_and_another_one_is_not() -> None:
    (matrix,) = load_motifs("MA0149.1")
    pattern = Pattern(matrix.name, matrix.ppm())
    rng = np.random.default_rng(2)
    good = learned(0.97 * pattern.ppm + 0.03 / 4, 0, patterns=[pattern])
    other = learned(random_matrix(rng, 18), 1, patterns=[pattern])
    found = compared([good, other], [pattern], [], DNA, 0.05)
    assert found.known is None and found.planted is not None
    assert [hit.q_value == min(1, 2 * hit.p_value) for hit in found.planted] == [True, True]
    assert found.metrics["motif/recovered"] == 1
    assert found.metrics["motif/p_value"] < 1e-12
    alone = compared([other], [pattern], [], DNA, 0.05)
    assert alone.metrics["motif/recovered"] == 0 and alone.metrics["motif/p_value"] > 0.001
    assert list(alone.comparisons()) == [("planted", [], "what was planted")]


def test_a_filter_that_has_the_composition_but_not_the_order_is_not_recovered() -> None:
    (matrix,) = load_motifs("MA0149.1")
    pattern = Pattern(matrix.name, matrix.ppm())
    order = np.random.default_rng(3).permutation(18)
    shuffled = learned(pattern.ppm[order], patterns=[pattern])
    assert compared([shuffled], [pattern], [], DNA, 0.05).metrics["motif/recovered"] == 0


def test_half_of_two_planted_motifs_is_half(database: list[Pattern]) -> None:
    pair = [database[0], database[1]]
    one = learned(database[0].ppm, patterns=pair)
    hits = match_planted([one], pair, DNA)
    assert recovery_metrics([one], hits, pair)["motif/recovered"] == 0.5


def test_diffuse_motifs_do_not_match_the_gap_of_a_long_profile(
    database: list[Pattern], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flat places beside each other are no evidence, though Tomtom's p-values take them for it."""
    rng = np.random.default_rng(9)
    gap = rng.dirichlet([8.0] * 4, 18)  # 0.2 bits a place
    long = np.concatenate([random_matrix(rng, 6), gap, random_matrix(rng, 6)])
    targets = [*database, Pattern("long", long)]
    queries = [learned(rng.dirichlet([1.2] * 4, 19), index) for index in range(20)]
    queries = [query for query in queries if matchable(query)]
    assert len(queries) > 5
    assert match_database(queries, targets, DNA, 0.05) == []
    monkeypatch.setattr(
        "seqexp.interpret.filters.tomtom._best_by_chance", lambda q, *_: {f.index: 1.0 for f in q}
    )
    assert {hit.target.name for hit in match_database(queries, targets, DNA, 0.05)} == {"long"}


# --- what is not compared ---------------------------------------------------------------------


def test_flat_and_dead_filters_are_not_compared(database: list[Pattern]) -> None:
    flat = np.full((19, 4), [0.4, 0.2, 0.2, 0.2])  # 0.078 bits a place, 1.5 in all
    sharp = database[0].ppm
    assert not matchable(learned(flat))
    assert not matchable(learned(sharp, hits=0))
    assert matchable(learned(sharp))
    filters = [learned(flat, 0), learned(sharp, 1, hits=0)]
    found = compared(filters, database[:1], database, DNA, 0.05)
    assert found.planted == [] and found.known == []
    assert found.metrics["motif/p_value"] == 1 and found.metrics["motif/recovered"] == 0


def test_few_windows_tell_less_than_they_seem_to() -> None:
    """Three random windows seem to tell 0.72 bits a place too much: 3 / (2 ln 2 * 3)."""
    assert chance_bits(4, 3) == pytest.approx(0.7213, abs=1e-4)
    rng = np.random.default_rng(4)
    windows = rng.integers(0, 4, (3, 19))
    ppm = np.stack([(windows == letter).mean(axis=0) for letter in range(4)], axis=1)
    assert not matchable(learned(ppm, hits=3))


def test_symbols_without_complement_are_not_compared(database: list[Pattern]) -> None:
    words = ("good", "bad", "ugly", "the")
    assert match_database([learned(database[0].ppm)], database, words, 1.0) == []


def test_nothing_planted_nothing_claimed(database: list[Pattern]) -> None:
    assert compared([learned(database[0].ppm)], [], database, DNA, 0.05).metrics == {}


# --- numbers ----------------------------------------------------------------------------------


def test_false_discovery_rates_are_scipys() -> None:
    from scipy.stats import false_discovery_control

    p_values = np.random.default_rng(5).uniform(size=50) ** 3
    assert false_discovery_rates(p_values.tolist()) == false_discovery_control(p_values).tolist()
    assert false_discovery_rates([]) == []


# --- files and figures ------------------------------------------------------------------------


@pytest.mark.parametrize("write", [jaspar_text, meme_text])
def test_motif_files_are_read_back(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(6)
    counts = rng.multinomial(HITS, [0.7, 0.1, 0.1, 0.1], 12).astype(float)
    flank = np.full((2, 4), HITS / 4)
    pfm = np.concatenate([flank, counts, flank])
    file = tmp_path / "motifs"
    file.write_text(write([learned(pfm / HITS, index=7)], DNA))
    (motif,) = read_motifs(file)
    assert "filter_7" in motif.name
    np.testing.assert_allclose(motif.ppm(), counts / HITS, atol=1e-6)


@pytest.mark.slow  # its import takes a second
@pytest.mark.skipif(find_spec("memelite") is None, reason="memelite is not installed")
def test_memelite_reads_the_meme_file(tmp_path: Path) -> None:
    from memelite.io import read_meme

    ppm = random_matrix(np.random.default_rng(7))
    file = tmp_path / "motifs.meme"
    file.write_text(meme_text([learned(ppm, index=3)], DNA))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_meme(str(file))
    np.testing.assert_allclose(np.asarray(read["filter_3"]).T, ppm, atol=1e-6)


def test_a_hit_is_drawn_below_the_places_that_it_shares() -> None:
    target = Pattern("target", random_matrix(np.random.default_rng(8)))
    one = learned(reverse_complement(target.ppm, DNA)[3:])
    hit = Hit(0, target, 1e-20, 1e-18, offset=3, overlap=11, reverse=True)
    assert match_figure([one, learned(target.ppm, 1, hits=0)], [hit], DNA, "x", 8)
    above, below = match_panels(one, hit, DNA)
    assert isinstance(above, Logo) and isinstance(below, Logo)
    assert above.places == below.places == (-2, 11)
    assert "target, reverse strand: p 1.0e-20, q 1.0e-18" in below.label
    # the query's first letter stands above the target's fourth, which is the same
    assert (above.first, below.first) == (1, -2)
    np.testing.assert_allclose(above.heights[0], below.heights[3])
    nothing = match_panels(learned(target.ppm, 1, hits=0), None, DNA)[1]
    assert nothing == Words("dead: no window excites it")
