"""The simulated motif data: laws of their making."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seqexp.dataset.dna.made_motifs import made_motif
from seqexp.dataset.motif import Motif
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement
from seqexp.formats.motifs import load_motifs

SMALL = {"num_train": 200, "num_valid": 20, "num_test": 20}


def letters(tokens: torch.Tensor) -> list[str]:
    return ["".join("-ACGT"[token] for token in row) for row in tokens.tolist()]


def test_the_default_data_are_the_same_on_every_machine() -> None:
    """May change only with the way that letters are drawn; then all results change."""
    assert Motif().load().digest() == (
        "7eb3a8420926c6e397d05cd395b7c0844310ba1f16a860f9ab209baf397bedfd"
    )


def test_sizes_and_labels() -> None:
    data = Motif(num_train=30, num_valid=4, num_test=5, length=25).load()
    assert data.train.tokens.shape == (60, 25)
    assert data.valid.tokens.shape == (8, 25)
    assert data.test.tokens.shape == (10, 25)
    assert data.train.targets[:, 0].tolist() == [1] * 30 + [0] * 30
    assert set(data.train.tokens.unique().tolist()) == {1, 2, 3, 4}
    assert data.spec.length == 25


def test_a_sequence_depends_on_the_seed_alone_and_not_on_how_many_there_are() -> None:
    few, many = Motif(num_train=3, **_rest()).load(), Motif(num_train=50, **_rest()).load()
    assert torch.equal(few.train.tokens[:3], many.train.tokens[:3])
    assert torch.equal(few.train.tokens[3:], many.train.tokens[50:53])
    assert torch.equal(few.test.tokens, many.test.tokens)


def _rest() -> dict[str, int]:
    return {"num_valid": 2, "num_test": 2}


def test_chunks_of_random_numbers_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Motif(**SMALL).load()
    monkeypatch.setattr("seqexp.dataset.motif._CHUNK", 1000)
    assert Motif(**SMALL).load().digest() == whole.digest()


def test_neighbouring_seeds_and_splits_share_no_sequence() -> None:
    rows = []
    for seed in range(4):
        data = Motif(seed=seed, **SMALL).load()
        rows += [row for split in data.splits().values() for row in letters(split.tokens)]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("length", [18, 19, 39, 40, 41])
def test_an_uneven_rest_gives_exactly_length_letters(length: int) -> None:
    data = Motif(length=length, **SMALL).load()
    assert data.train.tokens.shape[1] == length
    start = (length - 18) // 2
    frequent = data.train.tokens[:200, start : start + 18].mode(dim=0).values
    assert letters(frequent[None]) == ["GGAAGGAAGGAAGGAAGG"]


def test_letters_follow_the_matrix_and_the_background() -> None:
    background = [0.4, 0.3, 0.2, 0.1]
    data = Motif(num_train=20_000, num_valid=0, num_test=1, background=background).load()
    positives, negatives = data.train.tokens[:20_000], data.train.tokens[20_000:]
    (motif,) = load_motifs("MA0149.1")
    expected = np.tile(background, (40, 1))
    expected[11:29] = motif.ppm()
    for tokens, shares in ((positives, expected), (negatives, np.tile(background, (40, 1)))):
        found = np.stack([(tokens == i).double().mean(dim=0).numpy() for i in range(1, 5)], axis=1)
        # 5 standard errors of a share over 20,000 draws; 160 shares: false alarm below 1e-4
        error = np.sqrt(shares * (1 - shares) / 20_000)
        assert (np.abs(found - shares) <= 5 * error + 1e-12).all()


def starts_of(tokens: torch.Tensor, site: str) -> list[int]:
    return [row.find(site) for row in letters(tokens)]


@pytest.fixture
def fixed_site(tmp_path: Path) -> str:
    """A motif that is always AACCGGTTAC, so that it can be found again."""
    site = "AACCGGTTAC"
    rows = [
        f"{letter} [{' '.join('9' if s == letter else '0' for s in site)}]" for letter in "ACGT"
    ]
    file = tmp_path / "site.jaspar"
    file.write_text(">X site\n" + "\n".join(rows) + "\n")
    return str(file)


def test_uniform_placement_uses_every_start_equally(fixed_site: str) -> None:
    data = Motif(motif=fixed_site, length=15, placement="uniform", num_train=6000).load()
    starts = starts_of(data.train.tokens[:6000], "AACCGGTTAC")
    counts = np.bincount(starts, minlength=6)
    assert len(counts) == 6 and min(starts) == 0
    # 1000 expected at each of 6 starts; 5 standard deviations of a binomial
    assert (np.abs(counts - 1000) < 5 * np.sqrt(6000 / 6 * 5 / 6)).all()


def test_both_strands_plant_the_reverse_complement_in_half(fixed_site: str) -> None:
    data = Motif(motif=fixed_site, length=12, strands="both", num_train=2000).load()
    rows = letters(data.train.tokens[:2000])
    forward = sum("AACCGGTTAC" in row for row in rows)
    reverse = sum("GTAACCGGTT" in row for row in rows)
    assert forward + reverse == 2000
    assert abs(forward - 1000) < 5 * np.sqrt(500)


def test_a_share_of_positives_lacks_the_motif(fixed_site: str) -> None:
    data = Motif(motif=fixed_site, positives_without_motif=0.25, num_train=2000).load()
    present = sum("AACCGGTTAC" in row for row in letters(data.train.tokens[:2000]))
    assert abs(present - 1500) < 5 * np.sqrt(2000 * 0.25 * 0.75)
    assert data.train.targets[:2000].min() == 1


def test_each_of_several_motifs_is_planted(fixed_site: str) -> None:
    data = Motif(motif=[fixed_site, "MA0149.1"], num_train=2000).load()
    rows = letters(data.train.tokens[:2000])
    first = sum("AACCGGTTAC" in row for row in rows)
    assert abs(first - 1000) < 5 * np.sqrt(500)
    assert [pattern.name for pattern in data.patterns] == ["X site", "MA0149.1 EWSR1-FLI1"]


def test_keras_validation_split_is_the_last_rows_unshuffled() -> None:
    drawn = Motif(num_train=1000, num_valid=0, num_test=1).load()
    split = Motif(num_train=1000, num_valid=0, num_test=1, keras_validation_split=0.3).load()
    assert len(split.train) == 1400 and len(split.valid) == 600
    assert torch.equal(split.valid.tokens, drawn.train.tokens[1400:])
    assert split.valid.targets.unique().tolist() == [0]  # as the notebook has it


def test_a_motif_that_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match="dataset.length is 17, but motif .* is 18 wide"):
        Motif(length=17).load()
    with pytest.raises(InputError, match="keras_validation_split is 0.9999"):
        Motif(num_train=10, keras_validation_split=0.9999).load()


# --- several labels ---------------------------------------------------------------------------


def test_each_motif_is_a_label_and_stands_where_it_is_planted() -> None:
    data = Motif(
        task="multi_label", made_motifs=2, num_train=500, num_valid=20, num_test=20, length=60
    ).load()
    spec, train = data.spec, data.train
    assert spec.output == "multi_label" and spec.num_outputs == len(data.patterns) == 3
    assert spec.output_names == tuple(pattern.name for pattern in data.patterns)
    assert train.targets.shape == (1000, 3) and train.planted is not None
    assert (train.targets.double().mean(dim=0) > 0.4).all()
    widths = torch.tensor([len(pattern.ppm) for pattern in data.patterns])
    # as many letters as the motifs are wide: none stands over another
    assert torch.equal(train.planted.sum(dim=1), (train.targets * widths).sum(dim=1))
    odds = [np.log((pattern.ppm + 1e-3) / 0.25) for pattern in data.patterns]
    for index, one in enumerate(odds):
        windows = train.tokens.long().sub(1).unfold(1, len(one), 1).numpy()  # (rows, starts, width)
        scores = one[np.arange(len(one)), windows].sum(axis=2).max(axis=1)
        there = train.targets[:, index].numpy() == 1
        assert (scores[there][:, None] > scores[~there]).mean() > 0.995


def test_labels_in_the_centre_stand_side_by_side() -> None:
    data = Motif(task="multi_label", num_train=50, num_valid=0, num_test=1).load()
    assert data.train.planted is not None
    widths = torch.tensor([len(pattern.ppm) for pattern in data.patterns])
    for where, targets in zip(data.train.planted, data.train.targets, strict=True):
        width = int((targets * widths).sum())
        expected = torch.zeros(40, dtype=torch.bool)
        expected[(40 - width) // 2 : (40 - width) // 2 + width] = True
        assert torch.equal(where, expected)


def test_labelled_sequences_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"task": "multi_label", "placement": "uniform", "strands": "both", "length": 70}
    few = Motif(num_train=3, **_rest(), **keys).load()
    many = Motif(num_train=50, **_rest(), **keys).load()
    assert torch.equal(few.train.tokens, many.train.tokens[:6])
    assert torch.equal(few.train.targets, many.train.targets[:6])
    monkeypatch.setattr("seqexp.dataset.motif._CHUNK", 1000)
    assert Motif(num_train=50, **_rest(), **keys).load().digest() == many.digest()
    assert Motif(num_train=50, seed=1, **_rest(), **keys).load().digest() != many.digest()


def test_a_label_may_be_wrong_with_a_given_chance() -> None:
    keys = {"task": "multi_label", "made_motifs": 0, "num_valid": 0, "num_test": 1}
    data = Motif(num_train=500, positives_without_motif=0.2, **keys).load()
    assert data.train.planted is not None and data.spec.num_outputs == 1
    labels, planted = data.train.targets[:, 0] == 1, data.train.planted.any(dim=1)
    assert not planted[~labels].any()
    assert 0.7 < planted[labels].double().mean() < 0.9


def test_made_motifs_differ_and_must_fit() -> None:
    made = [made_motif(number) for number in range(1, 9)]
    consensus = ["".join("ACGT"[i] for i in matrix.ppm().argmax(axis=1)) for matrix in made]
    for index, one in enumerate(consensus):
        for other in consensus[:index]:
            for either in (other, reverse_complement(other)):
                shared = sum(a == b for a, b in zip(one, either, strict=False))
                assert shared < 11
    with pytest.raises(InputError, match="length is 40, but 4 motifs, which may all .* 69 wide"):
        Motif(task="multi_label", made_motifs=3).load()
    assert len(Motif(made_motifs=3, **SMALL).load().patterns) == 4
