"""Reading filters: matrices worked out by hand."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seqexp.data import Pattern
from seqexp.dataset.motif import Motif
from seqexp.interpret.filters.card import card
from seqexp.interpret.filters.chance import best_correlations, chance_metrics
from seqexp.interpret.filters.extraction import (
    Filters,
    consensus,
    motif_metrics,
    ranked,
    read_filters,
    reading,
)
from seqexp.interpret.filters.figures import filter_figure, filter_panels, slider_page
from seqexp.interpret.filters.matrix import best, information, matches, reverse_complement
from seqexp.interpret.logo import draw_logo
from seqexp.interpret.panels import HeatMap, Logo
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import TaskSpec
from seqexp.utils.drawing import colour_legend

DNA = ("A", "C", "G", "T")


def one_hot(text: str) -> np.ndarray:
    return np.array([[float(symbol == letter) for symbol in DNA] for letter in text])


def tokens(*rows: str) -> torch.Tensor:
    return torch.tensor([["-ACGT".index(letter) for letter in row] for row in rows])


def detector(spec: TaskSpec, *sites: str, padding: Any = "same") -> CNN1D:
    """Filters that count the letters that agree with a site, less all but two of them."""
    model = CNN1D(spec, num_filters=len(sites), filter_width=len(sites[0]), padding=padding)
    with torch.no_grad():
        for index, site in enumerate(sites):
            model.conv.weight[index] = torch.tensor(one_hot(site)).T
            model.conv.bias[index] = 2 - len(site)
    return model


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
def test_exciting_windows_are_counted_by_hand(dna_spec: TaskSpec, padding: Any) -> None:
    model = detector(dna_spec, "ACG", padding=padding)
    rows = tokens("TTACGTTTTT", "TTTTTTTACG", "TTTACTTTTT", "GGGGGGGGGG")
    # activations: 2 where all three letters agree, 1 where two do, of which 1 is not above half
    (learned,) = read_filters(model, rows, DNA, [], Filters())
    assert learned.hits == 2
    assert learned.counts(DNA) == {"A": [2, 0, 0], "C": [0, 2, 0], "G": [0, 0, 2], "T": [0, 0, 0]}
    assert learned.consensus == "ACG"
    (loose,) = read_filters(model, rows, DNA, [], Filters(activation_share=0.4))
    assert loose.hits == 3  # and ACT of the third row
    assert loose.counts(DNA)["T"] == [0, 0, 1]


def test_one_window_or_all_of_a_sequence(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG")
    rows = tokens("ACGTACGTTT", "TTTTTTTACG")
    assert read_filters(model, rows, DNA, [], Filters())[0].hits == 2
    assert read_filters(model, rows, DNA, [], Filters(one_per_sequence=False))[0].hits == 3


def test_windows_that_overlap_padding_are_left_out(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG")
    with torch.no_grad():
        model.conv.bias.fill_(0)
        model.conv.weight[0, 0, 0] = 5  # an A alone excites it, also at the end
    rows = tokens("TTTTTTTT-A", "TTTTTTTTTA", "TTTATTTTTT")
    (learned,) = read_filters(model, rows, DNA, [], Filters())
    assert learned.hits == 1
    assert learned.counts(DNA)["A"] == [1, 0, 0]


def test_windows_of_the_other_strand_are_counted_as_it_reads(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "AAC", padding="same")
    rows = tokens("TTAACTTTTT", "TTTTTTTGTT", "GTTTAACTTT")
    forward = read_filters(model, rows, DNA, [], Filters())[0]
    model.both_strands = True
    both = read_filters(model, rows, DNA, [], Filters())[0]
    assert forward.hits == 2 and both.hits == 3  # GTT is AAC on the other strand
    assert both.counts(DNA) == {"A": [3, 3, 0], "C": [0, 0, 3], "G": [0] * 3, "T": [0] * 3}
    every = read_filters(model, rows, DNA, [], Filters(one_per_sequence=False))[0]
    assert every.hits == 4


def test_filters_that_matter_more_come_first(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG", "AAC", "CCC")
    with torch.no_grad():
        model.head.output.weight.copy_(torch.tensor([[0.0, 3, -1], [1, 0, -1]]))
    rows = tokens("TTACGTTTTT", "TTTAACTTTT", "TTTTCCCTTT")
    filters = read_filters(model, rows, DNA, [], Filters())
    # one window of three in one sequence of three: activation 2, so the logits move by 2 w / 3;
    # AAC also responds to CCC and ACG, and ACG to AAC, with 1 each at most
    assert filters[1].effect is not None and filters[1].effect[0] > filters[1].effect[1]
    assert filters[2].strength == pytest.approx(0, abs=1e-6)  # for both outputs the same
    assert [learned.index for learned in ranked(filters)] == [1, 0, 2]
    assert filters[1].row(("background", "motif"))["speaks for"] == "background"


def test_flanks_that_tell_nothing_are_no_part_of_the_motif(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG")
    wide = CNN1D(dna_spec, num_filters=1, filter_width=5)
    with torch.no_grad():
        wide.conv.weight.zero_()
        wide.conv.weight[0, :, 1:4] = model.conv.weight[0]
        wide.conv.bias.fill_(-1)
    sides = ["AC", "CG", "GT", "TA"]
    rows = tokens(*[f"T{a[0]}ACG{a[1]}TTTT" for a in sides])
    (learned,) = read_filters(wide, rows, DNA, [], Filters())
    assert learned.hits == 4 and learned.part == slice(1, 4)
    np.testing.assert_array_equal(learned.motif, one_hot("ACG"))


def test_a_dead_filter_is_reported_as_dead(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG", "TTT")
    with torch.no_grad():
        model.conv.bias[1] = -100
    pattern = Pattern("site", one_hot("ACG"))
    alive, dead = read_filters(model, tokens("TTACGTTTTT"), DNA, [pattern], Filters())
    assert (alive.hits, dead.hits) == (1, 0)
    assert dead.match is None and dead.bits == 0
    assert ranked([dead, alive]) == [alive, dead]
    assert filter_figure([alive, dead], DNA, [pattern], "x", 8)
    assert motif_metrics([dead])["motif/correlation"] == 0


def test_sequences_shorter_than_a_filter_have_no_windows(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACGTACGT")
    assert read_filters(model, tokens("ACG", "GGG"), DNA, [], Filters())[0].hits == 0


def test_what_a_filter_reads_has_letters_only_where_places_tell_something() -> None:
    even, sure, weak = [0.25] * 4, [0.97, 0.01, 0.01, 0.01], [0.4, 0.3, 0.2, 0.1]
    ppm = np.array([sure, even, weak, sure[::-1], [0.1, 0.7, 0.1, 0.1]])
    # bits: 1.76, 0, 0.15, 1.76, 0.64
    assert reading(ppm, DNA, 0.25) == "A..TC"
    assert reading(ppm, DNA, 0.1) == "A.ATC"
    assert reading(ppm[:0], DNA, 0.25) == ""


def test_flanks_that_tell_nothing_are_not_read(dna_spec: TaskSpec) -> None:
    model = detector(dna_spec, "ACG")
    rows = tokens(*("TTACGTTTTT", "GCACGATTTT", "CAACGCTTTT", "AGACGGTTTT"))
    (learned,) = read_filters(model, rows, DNA, [], Filters())
    assert (learned.consensus, learned.reading) == ("ACG", "ACG")


def test_random_filters_agree_with_what_is_planted_as_untrained_ones_do() -> None:
    data = Motif(num_train=400).load()
    symbols = data.spec.vocabulary.symbols
    settings = Filters()
    tokens, patterns = data.train.tokens, data.patterns
    seen = []
    for seed in range(8):
        torch.manual_seed(seed)
        model = CNN1D(data.spec, num_filters=8, filter_width=19)
        filters = read_filters(model, tokens, symbols, patterns, settings)
        seen.append(motif_metrics(filters)["motif/correlation"])
    found = chance_metrics(filters, tokens, symbols, patterns, settings, False, 0)
    assert found == chance_metrics(filters, tokens, symbols, patterns, settings, False, 0)
    median, high = found.values()
    assert median == pytest.approx(np.median(seen), abs=0.1)
    assert median < high <= 1
    assert chance_metrics(filters, tokens, symbols, [], settings, False, 0) == {}


def test_correlations_of_many_matrices_are_those_of_each() -> None:
    draw = np.random.default_rng(0)
    matrices = draw.dirichlet([0.3] * 4, size=(5, 14))
    target = draw.dirichlet([0.3] * 4, size=17)
    strands = [best_correlations(matrices, t) for t in (target, reverse_complement(target, DNA))]
    for matrix, correlation in zip(matrices, np.maximum(*strands), strict=True):
        (match,) = matches(matrix, [Pattern("p", target)], DNA)
        assert match.correlation == pytest.approx(correlation)


def test_information_of_known_columns() -> None:
    ppm = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(
        information(ppm), [[2, 0, 0, 0], [0] * 4, [0.5, 0.5, 0, 0]], atol=1e-12
    )


SITE = "AACCGGTTACGATC"  # 14 letters, not its own reverse complement


@pytest.mark.parametrize("offset", [-2, 0, 2])
def test_a_shifted_copy_correlates_at_its_offset(offset: int) -> None:
    background = np.full((20, 4), 0.25)
    target = one_hot(SITE)
    padded = np.concatenate([background, target, background])
    matrix = padded[20 + offset : 34 + offset]
    match = best(matches(matrix, [Pattern("site", target)], DNA))
    assert match is not None and (match.offset, match.reverse) == (offset, False)
    assert match.correlation == pytest.approx(1)


def test_the_other_strand_is_found_and_said() -> None:
    matrix = reverse_complement(one_hot(SITE), DNA)
    assert consensus(matrix, DNA) == "GATCGTAACCGGTT"
    match = best(matches(matrix, [Pattern("site", one_hot(SITE))], DNA))
    assert match is not None and match.reverse and match.correlation == pytest.approx(1)


def test_fewer_than_twelve_shared_columns_are_no_match() -> None:
    """The last 8 columns agree wholly, but 8 are not enough: random motifs would match."""
    rng = np.random.default_rng(0)
    matrix = np.concatenate([one_hot(SITE[6:]), rng.dirichlet([1] * 4, 6)])
    match = best(matches(matrix, [Pattern("site", one_hot(SITE))], DNA))
    assert match is not None and match.correlation < 0.8


def test_log_odds_weights_match_as_weights() -> None:
    data = Motif(num_train=1, num_valid=0, num_test=1).load()
    weights = np.log2(data.patterns[0].ppm + 0.01) * 0.3 + 4
    match = best(matches(weights, data.patterns, DNA, log_odds=True))
    assert match is not None and match.correlation > 0.999


def test_a_flat_matrix_divides_by_nothing() -> None:
    match = best(matches(np.full((14, 4), 0.25), [Pattern("site", one_hot(SITE))], DNA))
    assert match is not None and match.correlation == -1


def test_nothing_planted_nothing_claimed(dna_spec: TaskSpec) -> None:
    filters = read_filters(detector(dna_spec, "ACG"), tokens("TTACGTTTTT"), DNA, [], Filters())
    assert motif_metrics(filters) == {}
    assert filters[0].row()["correlation"] is None


def test_what_would_be_invisible_is_shown() -> None:
    assert consensus(np.eye(3), ["a", " ", "\n"]) == "a\u2423\u00b6"


def test_words_are_read_with_spaces_between() -> None:
    assert consensus(np.eye(3), ["good", "bad", "ugly"]) == "good bad ugly"


# --- figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_filters", [1, 3, 12])
@pytest.mark.parametrize(
    "symbols", [DNA, ("good", "bad", "ugly"), tuple("abcdefghijklmnopqrstuvw" * 2)]
)
def test_figures_can_be_drawn_for_any_alphabet(num_filters: int, symbols: tuple[str, ...]) -> None:
    from seqexp.spec import Output, Vocabulary

    spec = TaskSpec(Vocabulary(symbols), 2, Output.SEQUENCE_CLASS, ("a", "b"), 20)
    torch.manual_seed(0)
    model = CNN1D(spec, num_filters=num_filters, filter_width=5)
    rows = torch.randint(1, len(symbols) + 1, (50, 20))
    filters = read_filters(model, rows, symbols, [], Filters())
    figure = pixels(filter_figure(filters, symbols, [], "title", max_shown=8))
    blocks = min(num_filters, 8)
    assert figure.shape[1] == 850 * min(2, blocks) and figure.std() > 5
    assert figure.shape[0] == 82 + 3 * 220 * -(-blocks // 2)
    image = pixels(card(filters, symbols, [], "title"))
    assert image.shape == (800, 800, 3) and image.std() > 5


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_planted_motif_stands_under_the_columns_that_it_agrees_with(
    dna_spec: TaskSpec,
) -> None:
    pattern = Pattern("site", one_hot("TTACG"))
    filters = read_filters(
        detector(dna_spec, "ACG"), tokens("TTACGTTTTT"), DNA, [pattern], Filters()
    )
    *above, planted = filter_panels(filters[0], DNA, [pattern])
    assert isinstance(planted, Logo) and planted.first == -1
    assert "correlation 1.00" in planted.label
    assert [type(panel) for panel in above] == [HeatMap, Logo, Logo]
    assert {getattr(panel, "places", None) for panel in (*above, planted)} == {(-1, 3)}


def test_the_page_with_a_slider_is_complete_in_itself() -> None:
    frames = {step: np.full((4, 5, 3), step, dtype=np.uint8) for step in (10, 2)}
    files = {step: io.BytesIO() for step in frames}
    for step, frame in frames.items():
        Image.fromarray(frame).save(files[step], format="png")
    page = slider_page({step: file.getvalue() for step, file in files.items()})
    assert "src=" not in page.replace("image.src =", "") and "http" not in page
    encoded = json.loads(page.partition("const frames = ")[2].partition(";\n")[0])
    first, second = (np.asarray(Image.open(io.BytesIO(base64.b64decode(e)))) for e in encoded)
    np.testing.assert_array_equal(first, frames[2])
    np.testing.assert_array_equal(second, frames[10])


def test_the_slider_ends_where_the_kept_weights_are() -> None:
    def parts(page: str, name: str) -> list[str]:
        found: list[str] = json.loads(page.partition(f"const {name} = ")[2].partition(";\n")[0])
        return found

    page = slider_page({1: b"one", 2: b"two"}, b"kept", 1)
    assert parts(page, "names") == ["epoch 1", "epoch 2", "kept: epoch 1"]
    assert base64.b64decode(parts(page, "frames")[-1]) == b"kept" and 'value="2"' in page
    assert parts(slider_page({1: b"one"}, b"mean"), "names")[-1] == "kept"


def test_a_map_has_a_legend_of_its_colours() -> None:
    from matplotlib.figure import Figure
    from matplotlib.image import BboxImage

    axes = Figure().add_subplot()
    image = axes.imshow([[-2.0, 1.0]], cmap="RdBu_r", vmin=-2, vmax=2)
    colour_legend(axes, image, 2.0)
    (ramp,) = (child for child in axes.get_children() if isinstance(child, BboxImage))
    assert [text.get_text() for text in axes.texts] == ["+2", "0", "-2"]
    values = ramp.get_array()
    assert values is not None and (values[0, 0], values[-1, 0]) == (-2, 2)  # from below
    for value in (-2.0, 2.0):
        assert ramp.cmap(ramp.norm(value)) == image.cmap(image.norm(value))


def test_a_logo_stacks_letters_to_their_heights() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw_logo(axes, np.array([[1.0, 0.5, 0, 0], [0, 0, -2.0, 0]]), DNA, first=3)
    boxes = [path.get_extents() for path in axes.collections[0].get_paths()]
    spans = sorted((round(b.y0, 6), round(b.y1, 6)) for b in boxes)
    # the larger letter stands on the smaller; a negative one hangs
    assert spans == [(-2.0, 0.0), (0.0, 0.5), (0.5, 1.5)]
    assert min(b.x0 for b in boxes) >= 2.5 and max(b.x1 for b in boxes) <= 4.5
    assert axes.get_ylim()[0] < -2 and axes.get_ylim()[1] > 1.5
