"""Families: filters that read one motif are one, with all its sites where they were planted."""

import re

import numpy as np
import pytest
import torch
from interpret.filters.test_extraction import detector
from interpret.filters.test_report import page

from seqexp.data import Pattern, Sequences
from seqexp.interpret.families.family import Families, Known, Read, find_families
from seqexp.interpret.families.figures import family_figure
from seqexp.interpret.families.files import as_json, placed, rows, sites_bed
from seqexp.interpret.families.pairs_figure import pairs_figure
from seqexp.interpret.filters.report import report_page, verdict
from seqexp.interpret.filters.tomtom import Learned
from seqexp.interpret.filters.windows import effects_of_groups
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import Output, TaskSpec, Vocabulary

DNA = ("A", "C", "G", "T")
ONE, OTHER = "ACCGGAAGTGAC", "TGACTCAGCATT"
COUNT, TIME, GAP = 240, 80, 7


def ids(text: str) -> torch.Tensor:
    return torch.tensor(["-ACGT".index(letter) for letter in text], dtype=torch.uint8)


def other_strand(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


@pytest.fixture(scope="module")
def spec() -> TaskSpec:
    return TaskSpec(Vocabulary(DNA), 2, Output.SEQUENCE_CLASS, ("no", "yes"))


@pytest.fixture(scope="module")
def given() -> Read:
    """Half hold the first motif on either strand, 7 letters before the other one's other strand."""
    tokens = torch.from_numpy(np.random.default_rng(0).integers(1, 5, (COUNT, TIME))).to(
        torch.uint8
    )
    for row in range(0, COUNT, 2):
        site = ONE + "A" * GAP + other_strand(OTHER)
        site = other_strand(site) if row % 4 else site
        tokens[row, row % 40 : row % 40 + len(site)] = ids(site)
    # what stands between is that of chance
    filler = np.random.default_rng(1).integers(1, 5, (COUNT, GAP))
    for row in range(0, COUNT, 2):
        start = row % 40 + (len(OTHER) if row % 4 else len(ONE))
        tokens[row, start : start + GAP] = torch.from_numpy(filler[row]).to(torch.uint8)
    truth = np.arange(COUNT) % 2 == 0
    return Read(tokens, DNA, ("no", "yes"), np.stack([~truth, truth]), torch.arange(COUNT))


@pytest.fixture(scope="module")
def model(spec: TaskSpec) -> CNN1D:
    """Two filters of the first motif, shifted and on the other strand, and one of the other."""
    sites = (ONE[:10], other_strand(ONE[2:]), OTHER[:10])
    made = detector(spec, *sites)
    made.both_strands = True
    with torch.no_grad():
        made.head.output.weight.zero_()  # type: ignore[union-attr, operator]
        made.head.output.weight[1] = torch.tensor([2.0, 1.0, 1.0])  # type: ignore[union-attr, index]
    return made


@pytest.fixture(scope="module")
def found(model: CNN1D, given: Read) -> Families:
    return find_families(model, given, 0.5, 0.25, Known(), lambda line: None)


def test_filters_that_read_one_motif_are_one_family_of_all_its_sites(found: Families) -> None:
    one, other = found.found
    assert one.filters == [0, 1] and other.filters == [2]
    # flanks are counted: both motifs are whole again
    assert one.reading in (ONE, other_strand(ONE))
    assert other.reading in (OTHER, other_strand(OTHER))
    assert one.hits == other.hits == COUNT // 2 and one.on_strands == (60, 60)
    assert one.shares == {"no": 0.0, "yes": 1.0} and one.num_with_site == COUNT // 2
    assert np.allclose(one.motif.max(axis=1), 1)


def test_families_are_ordered_by_what_their_filters_add_together(
    found: Families, model: CNN1D, given: Read
) -> None:
    one, other = found.found
    assert [one.index, other.index] == [1, 2] and one.strength > other.strength > 0
    assert one.speaks_for == other.speaks_for == "yes"
    # each filter gives 2 where its site is: weights of 2 and 1, and of 1
    assert one.adds == pytest.approx(6) and other.adds == pytest.approx(2)
    together = effects_of_groups(model, given.tokens.long(), [[0, 1], [0], [1]])
    assert together is not None
    effects = together[0]
    assert np.allclose(effects[:, 0], effects[:, 1] + effects[:, 2], atol=1e-5)


def test_effects_are_on_what_is_predicted_also_beside_counted_words(
    spec: TaskSpec, given: Read
) -> None:
    words = AddedNGrams([2], min_count=1, to="mean")
    model = CNN1D(spec, num_filters=3, filter_width=5, strands="both", ngrams=words)
    tokens = given.tokens[:40].long()
    model.ngrams.table.count(Sequences(tokens, torch.zeros(40, 1, dtype=torch.long)))  # type: ignore[union-attr]
    together = effects_of_groups(model, tokens, [[0, 1, 2]])
    before = model(tokens)[0][:, 0]
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.bias.zero_()  # type: ignore[union-attr]
    lost = before - model(tokens)[0][:, 0]
    lost = lost - lost.mean(dim=1, keepdim=True)
    assert together is not None and lost.abs().max() > 0.01
    assert np.allclose(together[0][:, 0], lost.detach().numpy(), atol=1e-5)


def test_what_stands_together_at_one_distance_is_said_with_its_orientation(found: Families) -> None:
    (pair,) = found.pairs
    assert (pair.arrangement, pair.distance) == ("1> <2", GAP) and pair.spacing_p < 1e-12
    assert pair.counts.sum() == COUNT // 2 == pair.both
    assert pair.p_value == 1  # all sequences of the class hold both: nothing is told by that


def test_a_known_motif_joins_two_halves_and_turns_them_to_its_strand(
    spec: TaskSpec, given: Read
) -> None:
    whole = "ACCGGAAGTGACTTGCATCA"
    tokens = given.tokens.clone()
    for row in range(COUNT):
        tokens[row, 30:50] = ids(whole if row % 2 else other_strand(whole))
    halves = detector(spec, whole[:10], other_strand(whole[10:]))
    halves.both_strands = True
    ppm = np.array([[0.94 if DNA[i] == letter else 0.02 for i in range(4)] for letter in whole])
    rng = np.random.default_rng(0)
    database = [Pattern(f"made {i}", rng.dirichlet([0.2] * 4, 14)) for i in range(60)]
    read = Read(tokens, DNA, ("no", "yes"), given.holds, given.sample)
    known = Known(None, [*database, Pattern("whole", ppm)])
    joined = find_families(halves, read, 0.5, 0.25, known, lambda line: None)
    (family,) = joined.found
    assert family.filters == [0, 1] and family.reading == whole
    assert family.match is not None and family.match.target.name == "whole"
    assert not family.match.reverse and family.match.offset == 0


@pytest.mark.parametrize(
    ("name", "strand", "place"),
    [
        ("chr1:100-180(+)", "+", ("chr1", 110, 122, "+")),
        ("chr1:100-180(+)", "-", ("chr1", 110, 122, "-")),
        ("chr1:100-180(-)", "+", ("chr1", 158, 170, "-")),
        ("chr1:100-180(-)", "-", ("chr1", 158, 170, "+")),
        ("chr1:100-180", "+", ("chr1", 110, 122, "+")),
        ("HLA:x:100-180(.)", "+", ("HLA:x", 110, 122, "+")),
        ("peak 7", "-", ("peak_7", 10, 22, "-")),
    ],
)
def test_a_place_in_a_sequence_is_one_in_the_genome_where_its_name_says_so(
    name: str, strand: str, place: tuple[str, int, int, str]
) -> None:
    assert placed(name, 10, 22, strand) == place


def test_sites_are_where_they_were_planted(found: Families, given: Read) -> None:
    names = [f"chr1:{1000 * row}-{1000 * row + TIME}(+)" for row in range(COUNT - 1)]
    names.append(f"{names[0]}_shuffled")
    lines = [line.split("\t") for line in sites_bed(found.found[:1], names, given).splitlines()]
    assert len(lines) == COUNT // 2 and all(line[0] == "chr1" for line in lines)
    wanted = {}
    for row in range(0, COUNT, 2):
        start = 1000 * row + row % 40 + (len(OTHER) + GAP if row % 4 else 0)
        wanted[start] = "-" if row % 4 else "+"
    strands = {int(line[1]): line[5] for line in lines}
    assert strands.keys() == wanted.keys()
    is_turned = found.found[0].reading != ONE
    assert all((strands[start] != wanted[start]) == is_turned for start in wanted)
    assert all(int(line[2]) - int(line[1]) == len(ONE) for line in lines)


def test_the_first_sentence_names_families_by_effect_and_the_page_has_each_once(
    found: Families, given: Read
) -> None:
    figures = {one.index: family_figure(one, given) for one in found.found}
    shown = page(
        Learned([], None, [], 900),
        families=found,
        family_figures=figures,
        pairs=pairs_figure(found),
    )
    text = report_page(shown)
    assert len(re.findall("logo, match and places of family", text)) == 2
    assert [row["family"] for row in rows(found.telling)] == [1, 2]
    first = verdict(page(Learned(found_filters(), None, [], 900), families=found))[0]
    assert first.startswith("The motif families of largest effect: 1. ")
    assert first.index("1. ") < first.index("adds 6 nats to yes") < first.index("2. ")
    told = as_json(found, given)
    assert [one["sites"] for one in told["families"]] == [COUNT // 2] * 2
    assert sum(told["families"][0]["places"]["sites"]) == COUNT // 2


def found_filters() -> list:  # type: ignore[type-arg]
    from interpret.filters.test_tomtom import learned, random_matrix

    return [learned(random_matrix(np.random.default_rng(0)))]
