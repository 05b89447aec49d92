"""Predictions along a genome: each value is that of the window around its place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.regions import Region, regions_of
from seqexp.inference.prediction import Given, predicted
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.tracks import Tiles, Value, output_of, values_along
from seqexp.model.lstm import LSTM
from seqexp.spec import Output, Scale, Scoring, TaskSpec, Vocabulary

pytest.importorskip("pyfaidx")

DNA = Vocabulary(("A", "C", "G", "T"))
CLASSES = TaskSpec(DNA, 1, Output.SEQUENCE_CLASS, ("no", "yes"), 20)
NUMBERS = TaskSpec(
    *(DNA, 2, Output.REGRESSION, ("p", "q"), 20),
    scoring=Scoring(scale=Scale((3.0, 4.0), (2.0, 5.0))),
)
LETTERS = "".join(np.random.default_rng(0).choice(list("ACGT"), 300))
GAP = LETTERS[:100] + "N" * 60 + LETTERS[160:]


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    (tmp_path / "g.fa").write_text(f">chr1\n{LETTERS}\n>gap\n{GAP}\n>short\nACGTACGT\n")
    return Genome(tmp_path / "g.fa")


def saved(spec: TaskSpec, seed: int = 0, strands: str = "one") -> SavedModel:
    torch.manual_seed(seed)
    model = LSTM(spec, hidden_size=4, embedding_size=3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return SavedModel(model, spec, {}, strands=strands)  # type: ignore[arg-type]


def along(tiles: Tiles, *models: SavedModel, output: int = 0) -> list[Value]:
    return list(values_along(models, [1 / len(models)] * len(models), tiles, output))


@pytest.mark.parametrize("strands", ["one", "both"])
@pytest.mark.parametrize("spec", [CLASSES, NUMBERS])
@pytest.mark.parametrize(("step", "together"), [(1, 256), (7, 5), (20, 3), (33, 4)])
def test_values_are_those_of_the_window_in_whose_middle_they_are(
    genome: Genome, spec: TaskSpec, strands: str, step: int, together: int
) -> None:
    model = saved(spec, strands=strands)
    regions = [Region("chr1", 40, 115), Region("chr1", 200, 203)]
    tiles = Tiles(genome, regions, step, 20, together)
    found = along(tiles, model, output=1)
    covered = [(v.start, v.end) for v in found]
    assert covered == [
        (start, min(start + step, region.end))
        for region in regions
        for start in range(region.start, region.end, step)
    ]
    starts = [v.start - (20 - step) // 2 for v in found]
    windows = [Given("x", DNA.encode(LETTERS[start : start + 20])) for start in starts]
    expected = [row[1] for row in predicted(model, windows)]
    assert [v.value for v in found] == pytest.approx(expected, rel=1e-5)
    assert tiles.left_out == 0


@pytest.mark.parametrize("step", [3, 20, 50])
def test_places_without_a_window_or_without_letters_are_left_out(genome: Genome, step: int) -> None:
    regions = regions_of(None, genome)
    tiles = Tiles(genome, regions, step, 20, 16)
    found = along(tiles, saved(CLASSES))
    expected = []
    for region in regions:
        text = {"chr1": LETTERS, "gap": GAP}.get(region.contig, "ACGTACGT")
        for start in range(0, region.end, step):
            first = start - (20 - step) // 2
            if first >= 0 and first + 20 <= len(text) and set(text[first : first + 20]) != {"N"}:
                expected.append((region.contig, start))
    assert [(v.contig, v.start) for v in found] == expected
    every = sum(len(range(0, region.end, step)) for region in regions)
    assert tiles.left_out == every - len(expected)


def test_of_several_runs_the_mean_is_written(genome: Genome) -> None:
    regions = [Region("chr1", 100, 150)]
    models = [saved(NUMBERS, seed) for seed in range(2)]
    alone = [along(Tiles(genome, regions, 10, 20, 4), model) for model in models]
    both = along(Tiles(genome, regions, 10, 20, 4), *models)
    means = [(one.value + other.value) / 2 for one, other in zip(*alone, strict=True)]
    assert [v.value for v in both] == pytest.approx(means)


def test_the_letters_that_are_read_do_not_grow_with_the_region(
    genome: Genome, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    read = Genome.letters

    def letters(self: Genome, contig: str, start: int, end: int) -> str:
        nonlocal longest
        longest = max(longest, end - start)
        return read(self, contig, start, end)

    monkeypatch.setattr(Genome, "letters", letters)
    for step in (5, 60):
        assert along(Tiles(genome, [Region("chr1", 0, 300)], step, 20, 4), saved(CLASSES))
    assert longest == 3 * 5 + 20


def test_a_track_is_of_one_output() -> None:
    assert output_of(CLASSES, None) == 1 and output_of(CLASSES, "no") == 0
    with pytest.raises(InputError, match="give label=NAME, one of p, q"):
        output_of(NUMBERS, None)
    with pytest.raises(InputError, match="label is 'yess'.*did you mean yes"):
        output_of(CLASSES, "yess")
