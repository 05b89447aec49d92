"""Single edits of a draft: their gains are exact, and climbing them finds the sequence."""

import itertools
import math
from typing import Any

import pytest
import torch

from seqexp.data import Cluster
from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.decode.consensus.baselines import abpoa, edit_distance, medoid, spoa, yardsticks
from seqexp.decode.consensus.edits import DELETE, INSERT, SUBSTITUTE, Edit, apply, gains
from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood
from seqexp.decode.consensus.score import Estimate, score
from seqexp.decode.consensus.table import consensus
from seqexp.decode.polish import polish, polish_all


def test_edits_write_delete_and_insert() -> None:
    assert apply("ACG", [Edit(1, SUBSTITUTE + 3)]) == "ATG"
    assert apply("ACG", [Edit(1, DELETE)]) == "AG"
    assert apply("ACG", [Edit(0, INSERT + 3)]) == "TACG"
    assert apply("ACG", [Edit(3, INSERT + 3)]) == "ACGT"
    assert apply("ACG", [Edit(0, DELETE), Edit(2, SUBSTITUTE)]) == "CA"


@pytest.mark.parametrize("tail", [0.0, 0.03])
def test_every_gain_is_that_of_the_edited_draft(tail: float) -> None:
    channel = Channel.of_rates(insertion=0.1, deletion=0.2, substitution=0.05, tail=tail)
    draft, reads = "ACGTTA", ["ACGTTA", "ACTTAC", "CGTA", "A"]
    # a second cluster, of other sizes, is in the same batch
    found, _ = gains([draft, "GATTACA"], [reads, ["GATACA"]], [channel, channel])
    before = float(log_likelihood(reads, [draft], channel).sum())
    assert found.log_likelihood == pytest.approx(before, rel=1e-12)
    assert found.table.shape == (len(draft) + 1, 9)
    possible = 0
    for place, column in itertools.product(range(len(draft) + 1), range(9)):
        gain = float(found.table[place, column])
        if gain == -math.inf:
            same = place < len(draft) and column < DELETE and "ACGT"[column] == draft[place]
            assert same or (place == len(draft) and column < INSERT)
            continue
        edited = apply(draft, [Edit(place, column)])
        after = float(log_likelihood(reads, [edited], channel).sum())
        prior = -math.log(4) * (len(edited) - len(draft))  # a base is one of four
        assert gain == pytest.approx(after - before + prior, abs=1e-9)
        possible += 1
    assert possible == 6 * 3 + 6 + 7 * 4


def simulated(count: int, num_reads: int, length: int) -> tuple[list[str], list[list[str]]]:
    truths = [random_sequence(length, 1000 + index) for index in range(count)]
    rates = ErrorRates(0.05, 0.05, 0.01)
    clusters = [
        [read_out(truth, rates, 50 * index + number) for number in range(num_reads)]
        for index, truth in enumerate(truths)
    ]
    return truths, clusters


def test_many_clean_enough_reads_give_the_sequence() -> None:
    truths, clusters = simulated(count=4, num_reads=12, length=60)
    drafts = [medoid(reads) for reads in clusters]
    assert not any(draft == truth for draft, truth in zip(drafts, truths, strict=True))
    found = polish_all(drafts, clusters, [Channel.of_rates()] * 4)
    assert [one.draft for one in found] == truths


def test_nothing_near_the_result_is_likelier() -> None:
    _, (reads,) = simulated(count=1, num_reads=3, length=25)
    channel = Channel.of_rates()
    found = polish(reads[0], reads, channel)
    edits = itertools.product(range(len(found.draft) + 1), range(9))
    near = {
        apply(found.draft, [Edit(place, column)])
        for place, column in edits
        if place < len(found.draft) or column >= INSERT
    }
    totals = log_likelihood(reads, sorted(near), channel).sum(dim=1)
    lengths = torch.tensor([len(draft) for draft in sorted(near)])
    assert float((totals - math.log(4) * lengths).max()) <= found.score + 1e-6


def test_a_known_length_is_kept_and_helps() -> None:
    truths, clusters = simulated(count=6, num_reads=4, length=50)
    drafts = [medoid(reads) for reads in clusters]
    channels = [Channel.of_rates()] * 6
    free = polish_all(drafts, clusters, channels)
    found = polish_all(drafts, clusters, channels, length=50)
    assert {len(one.draft) for one in found} == {50}
    wrong = [
        sum(edit_distance(one.draft, truth) for one, truth in zip(results, truths, strict=True))
        for results in (found, free)
    ]
    assert wrong[0] <= wrong[1]
    # shorter and longer than any draft, too
    assert len(polish(drafts[0], clusters[0], channels[0], length=45).draft) == 45
    assert len(polish(drafts[0], clusters[0], channels[0], length=55).draft) == 55


def test_a_batch_of_clusters_is_polished_as_each_alone() -> None:
    _, clusters = simulated(count=3, num_reads=5, length=30)
    channel = Channel.of_rates()
    together = polish_all([reads[0] for reads in clusters], clusters, [channel] * 3)
    for reads, one in zip(clusters, together, strict=True):
        alone = polish(reads[0], reads, channel)
        assert alone.draft == one.draft
        assert alone.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)


def test_certainty_is_low_where_the_reads_disagree() -> None:
    channel = Channel.of_rates(insertion=0.001, deletion=0.001, substitution=0.05)
    certainty = gains(["ACGTAC"], [["ACGTAC", "ACTTAC"]], [channel])[0].certainty()
    # G or T at the third place, with equal chances; the others were read twice
    assert float(certainty[2]) == pytest.approx(0.5, abs=0.01)
    rest = certainty[torch.tensor([0, 1, 3, 4, 5])]
    assert float(rest.min()) > 0.99


def test_the_medoid_is_the_read_nearest_to_all() -> None:
    # distances: ACGT-ACGA 1, ACGT-AGGA 2, ACGA-AGGA 1
    assert medoid(["ACGT", "ACGA", "AGGA"]) == "ACGA"
    assert medoid(["A"]) == "A"


@pytest.mark.parametrize(("name", "consensus"), [("spoa", spoa), ("abPOA", abpoa)])
def test_alignment_graphs_give_the_majority(name: str, consensus: Any) -> None:
    methods, absent = yardsticks()
    assert {*methods, *absent} == {"medoid", "spoa", "abPOA"}
    if name in absent:
        pytest.skip(f"{name} is not installed")
    assert consensus(["ACGTACGT", "ACGTCCGT", "ACGTACGT", "ACTACGT"]) == "ACGTACGT"


def test_packages_that_are_absent_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    methods, absent = yardsticks()
    assert list(methods) == ["medoid"] and absent == ("spoa", "abPOA")


def test_scores_are_means_over_clusters_with_their_errors() -> None:
    found = score(["ACGT", "ACG", "TTTT"], ["ACGT", "ACGT", "AATT"])
    assert found.exact.mean == pytest.approx(1 / 3)
    # 1, 0, 0: variance 1/3, over 3 clusters
    assert found.exact.standard_error == pytest.approx(1 / 3)
    assert found.edit_distance.mean == pytest.approx(1)  # 0, 1, 2
    assert found.normalized_edit_distance.mean == pytest.approx(0.25)
    assert found.row("mine", 2.0)["exact"] == found.metrics()["reads/exact"]
    assert Estimate.of([0.5]).standard_error is None


def test_one_table_has_every_method_that_is_there() -> None:
    truths, reads = simulated(count=3, num_reads=6, length=30)
    clusters = [Cluster(tuple(own), truth) for own, truth in zip(reads, truths, strict=True)]
    unknown = Cluster(tuple(reads[0]))
    found = list(consensus([*clusters, unknown], Channel.of_rates(), length=30))
    methods, _ = yardsticks()
    assert [one.method for one in found] == [*methods, "polish", "polish, length 30"]
    for one in found:
        assert len(one.sequences) == 4 and one.sequences[3] == one.sequences[0]
        assert one.score == score(one.sequences[:3], truths)  # the fourth is not scored
        assert one.row()["exact"] == one.score.exact.mean
    assert next(iter(consensus([unknown], Channel.of_rates()))).score is None
