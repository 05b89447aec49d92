"""What a variant does: the letters of either window, and in-silico mutagenesis as the reference."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.variants import Variant
from seqexp.inference.dna import refuse_other_than_dna, tokens_of, width_of
from seqexp.inference.prediction import Given, predicted
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.variants import Located, Places, column_names, differing, effects, rows
from seqexp.interpret.saliency.mutagenesis import mutagenesis
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.spec import (
    Features,
    Output,
    Scale,
    Scoring,
    TaskSpec,
    Vocabulary,
    WordEncoding,
    other_strand,
)

pytest.importorskip("pyfaidx")

DNA = Vocabulary(("A", "C", "G", "T"))
SPECS = {
    "one logit": TaskSpec(DNA, 1, Output.SEQUENCE_CLASS, ("no", "yes")),
    "two classes": TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("no", "yes")),
    "labels": TaskSpec(DNA, 2, Output.MULTI_LABEL, ("p", "q")),
    "numbers": TaskSpec(
        *(DNA, 2, Output.REGRESSION, ("p", "q")),
        scoring=Scoring(scale=Scale((3.0, 4.0), (2.0, 5.0))),
    ),
}
CLASSES = TaskSpec(DNA, 3, Output.SEQUENCE_CLASS, ("p", "q", "r"))

LETTERS = "".join(np.random.default_rng(0).choice(list("ACGT"), 400))


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    lines = [LETTERS[i : i + 60].lower() for i in range(0, 400, 60)]
    (tmp_path / "g.fa").write_text("\n".join([">chr1", *lines, ">chr2", "ACGTN" * 10]) + "\n")
    return Genome(tmp_path / "g.fa")


def saved(spec: TaskSpec, kind: str = "lstm", seed: int = 0) -> SavedModel:
    torch.manual_seed(seed)
    if kind == "lstm":
        model: torch.nn.Module = LSTM(spec, hidden_size=4, embedding_size=3)
    else:
        model = CNN1D(spec, num_filters=24, filter_width=5, strands=kind)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return SavedModel(model.eval(), spec, {}, strands="both")


def variant(position: int, ref: str, alt: str, contig: str = "chr1") -> Variant:
    return Variant(1, contig, position, ".", ref, alt)


def located(genome: Genome, width: int, *variants: Variant) -> list[Located]:
    found = [Places(genome, width).find(one) for one in variants]
    assert not [one for one in found if isinstance(one, str)]
    return [one for one in found if isinstance(one, Located)]


# --- the law: a substitution is one of those of mutagenesis -----------------------------------


@pytest.mark.parametrize("width", [20, 21])
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("model", ["lstm", "forward", "both"])
def test_substitutions_are_those_of_in_silico_mutagenesis(
    genome: Genome, model: str, kind: str, width: int
) -> None:
    spec = SPECS[kind]
    one = saved(spec, model)
    is_alone = spec.output is not Output.SEQUENCE_CLASS
    at = (width - 1) // 2
    (window,) = tokens_of([LETTERS[100 - at : 100 - at + width]], DNA)
    turned = other_strand(window[None], DNA)[0]
    alts = [letter for letter in "ACGT" if letter != LETTERS[100]]
    given = located(genome, width, *(variant(101, LETTERS[100], alt) for alt in alts))
    found = effects(one, given, width)  # (variants, outputs, measures)
    for output in range(found.shape[1]):
        own, other = (
            mutagenesis(one.model, row, 4, output, is_alone)  # type: ignore[arg-type]
            for row in (window, turned)
        )
        expected = [
            (own[at, DNA.ids[alt] - 1] + other[-1 - at, 4 - DNA.ids[alt]]) / 2 for alt in alts
        ]
        scale = spec.scoring.scale
        unit = 1.0 if scale is None else scale.deviation[output]
        assert found[:, output, -1] == pytest.approx(np.array(expected) * unit, abs=1e-5)
    assert np.abs(found[:, :, -1]).max() > 1e-3  # it does something


@pytest.mark.parametrize("spec", [*SPECS.values(), CLASSES])
def test_scores_are_what_the_model_predicts_where_both_strands_say_the_same(
    genome: Genome, spec: TaskSpec
) -> None:
    one = saved(spec, "both")
    given = located(genome, 20, variant(101, LETTERS[100], "ACGT"[LETTERS[100] == "A"]))
    found = effects(one, given, 20)[0]
    for index, window in enumerate(given[0].windows(20)):
        ids = [DNA.ids[letter] for letter in window]
        assert found[:, index] == pytest.approx(predicted(one, [Given("x", ids)])[0], rel=1e-5)
    assert found[:, 2] == pytest.approx(found[:, 1] - found[:, 0])


def test_log_odds_of_a_class_are_against_all_others(genome: Genome) -> None:
    given = located(genome, 20, variant(50, LETTERS[49], "ACGT"[LETTERS[49] == "A"]))
    found = effects(saved(CLASSES), given, 20)[0]
    odds = np.log(found[:, :2] / (1 - found[:, :2]))
    assert found[:, 3] == pytest.approx(odds[:, 1] - odds[:, 0])
    assert found[:, :2].sum(axis=0) == pytest.approx([1, 1])


def test_a_strand_and_the_other_have_the_same_effects(genome: Genome, tmp_path: Path) -> None:
    complement = str.maketrans("ACGT", "TGCA")
    (tmp_path / "r.fa").write_text(f">chr1\n{LETTERS.translate(complement)[::-1]}\n")
    ref, alt = LETTERS[200], "ACGT"[LETTERS[200] == "A"]
    own = located(genome, 21, variant(201, ref, alt))
    turned = variant(400 - 200, ref.translate(complement), alt.translate(complement))
    other = located(Genome(tmp_path / "r.fa"), 21, turned)
    one = saved(SPECS["two classes"])
    np.testing.assert_allclose(effects(one, own, 21), effects(one, other, 21), atol=1e-6)


# --- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "G", (10, "A", "G")),
        ("AT", "A", (11, "T", "")),
        ("A", "AT", (11, "", "T")),
        ("ACT", "AGT", (11, "C", "G")),
        ("CAA", "CA", (11, "A", "")),  # the first of what could be taken away
        ("ACG", "TT", (10, "ACG", "TT")),
    ],
)
def test_what_alleles_share_is_taken_off(
    ref: str, alt: str, expected: tuple[int, str, str]
) -> None:
    assert differing(10, ref, alt) == expected


@pytest.mark.parametrize("width", [8, 9])
@pytest.mark.parametrize(
    ("end", "alt"), [(101, "x"), (103, "x"), (104, ""), (101, "xy"), (101, "xyzv"), (102, "xyz")]
)
def test_either_allele_is_in_the_middle_of_its_own_window(
    genome: Genome, width: int, end: int, alt: str
) -> None:
    """Letters that the genome has not stand for those of an alternative."""
    ref = LETTERS[99:end]
    changed = LETTERS[:99] + ref[0] + alt + LETTERS[end:]
    given = located(genome, width, variant(100, ref, ref[0] + alt))
    for window, text, size in zip(
        given[0].windows(width), (LETTERS, changed), (len(ref) - 1, len(alt)), strict=True
    ):
        start = 100 - (width - size) // 2
        assert window == text[start : start + width]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (variant(5, "A", "G", "chr9"), "missing contig: the genome has no chr9"),
        (variant(401, "A", "G"), "off the end: chr1 has 400 letters"),
        (variant(11, LETTERS[10], "N"), "off the end: a window of 24 letters around it reaches"),
        (variant(389, LETTERS[388], "N"), "off the end: a window of 24 letters"),
        (variant(200, LETTERS[199:230], "A"), "too long: an allele has more letters than"),
        (variant(21, "A", "G", "chr2"), None),
        (variant(22, "A", "G", "chr2"), "REF differs: it is A, and the genome has C"),
        (variant(20, "A", "G", "chr2"), "REF differs: it is A, and the genome has N"),
        (variant(21, "A", "G", "2"), None),
        (Variant(1, "chr1", 5, ".", "A", "*", "because"), "because"),
    ],
)
def test_a_variant_is_placed_or_has_its_reason(
    genome: Genome, one: Variant, reason: str | None
) -> None:
    places = Places(genome, 24)
    found = places.find(one)
    assert found.startswith(reason) if isinstance(found, str) and reason else reason is None
    assert places.skipped.total() == (reason is not None)


def test_windows_fit_up_to_both_ends(genome: Genome) -> None:
    first, last = variant(12, LETTERS[11], "N"), variant(388, LETTERS[387], "N")
    windows = [one.windows(24)[0] for one in located(genome, 24, first, last)]
    assert windows == [LETTERS[:24], LETTERS[376:]]


def test_the_share_of_other_letters_is_of_those_that_were_compared(genome: Genome) -> None:
    places = Places(genome, 24)
    for position in range(101, 131):
        letter = LETTERS[position - 1]
        others = [one for one in "ACGT" if one != letter]
        places.find(variant(position, others[0] if position % 3 == 0 else letter, others[1]))
    places.find(variant(5, "A", "G", "chr9"))
    assert places.share_that_differs == pytest.approx(1 / 3)


# --- several runs and other models ------------------------------------------------------------


def test_of_several_runs_there_are_mean_and_deviation(genome: Genome) -> None:
    models = [saved(SPECS["labels"], seed=seed) for seed in range(3)]
    given = located(genome, 21, variant(100, LETTERS[99], "ACGT"[LETTERS[99] == "A"]))
    names = column_names(SPECS["labels"], 3)
    row = dict(zip(names, rows(models, given, [21, 21, 21])[0], strict=True))
    alone = np.stack([effects(one, given, 21)[0, 1] for one in models])  # of q
    for index, name in enumerate(("ref", "alt", "difference", "log_odds_difference")):
        assert row[f"q_{name}"] == pytest.approx(alone[:, index].mean())
        assert row[f"q_{name}_sd"] == pytest.approx(alone[:, index].std(ddof=1))


def test_numbers_have_no_log_odds() -> None:
    names = column_names(SPECS["numbers"], 1)
    assert names == ["p_ref", "p_alt", "p_difference", "q_ref", "q_alt", "q_difference"]


ABC = Vocabulary(("a", "b", "c"))
ENGLISH = WordEncoding("head", "left")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (TaskSpec(ABC, 2, Output.SEQUENCE_CLASS, ("n", "y")), "the symbols a, b, c"),
        (TaskSpec(ABC, 2, Output.SEQUENCE_CLASS, ("n", "y"), 5, ENGLISH), "reads words"),
        (
            TaskSpec(Vocabulary(()), 1, Output.REGRESSION, ("y",), features=Features(2)),
            "numbers, 2 at each position",
        ),
        (TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("n", "y"), context=DNA), "two inputs"),
        (TaskSpec(DNA, 2, Output.TOKEN_CLASS, ("n", "y")), "predicts at each position"),
    ],
)
def test_models_of_anything_else_are_refused(spec: TaskSpec, said: str) -> None:
    with pytest.raises(InputError, match=said):
        refuse_other_than_dna(spec, "7a", "variants")


def test_a_window_has_the_length_of_the_training() -> None:
    fixed = TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("n", "y"), 50)
    free = TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("n", "y"))
    assert (
        width_of(fixed, "7a", None) == width_of(fixed, "7a", 50) == width_of(free, "7a", 50) == 50
    )
    with pytest.raises(InputError, match="width is 60, .* on 50 letters"):
        width_of(fixed, "7a", 60)
    with pytest.raises(InputError, match="give width=LETTERS"):
        width_of(free, "7a", None)
