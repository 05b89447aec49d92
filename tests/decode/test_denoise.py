"""Clusters are decoded by a score of candidates: here of the true channel itself."""

from collections.abc import Mapping, Sequence

import torch

from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.decode.consensus.edits import Gains, gains
from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood
from seqexp.decode.denoise import FEW, Denoise, denoise
from seqexp.decode.polish import polish_all

CHANNEL = Channel.of_rates(0.05, 0.05, 0.01)


def likelihoods(candidates: Sequence[str], reads: Sequence[str]) -> list[float]:
    found: list[float] = log_likelihood(reads, candidates, CHANNEL).sum(dim=1).tolist()
    return found


class TrueChannel:
    """The judge that knows the rates; what it proposes is counted."""

    def __init__(self, clusters: Sequence[Sequence[str]]) -> None:
        self.clusters = clusters
        self.asked: list[int] = []

    def __call__(self, candidates: Sequence[Sequence[str]]) -> list[list[float]]:
        pairs = zip(candidates, self.clusters, strict=True)
        return [likelihoods(own, reads) if own else [] for own, reads in pairs]

    def gains(self, drafts: Mapping[int, str]) -> dict[int, Gains]:
        self.asked += drafts
        reads = [self.clusters[index] for index in drafts]
        found = gains(list(drafts.values()), reads, [CHANNEL] * len(drafts)) if drafts else []
        return dict(zip(drafts, found, strict=True))


score = TrueChannel


def clusters(count: int, reads: int, length: int) -> tuple[list[str], list[list[str]]]:
    rates = ErrorRates(0.05, 0.05, 0.01)
    truths = [random_sequence(length, seed) for seed in range(count)]
    return truths, [
        [read_out(truth, rates, 100 * index + number) for number in range(reads)]
        for index, truth in enumerate(truths)
    ]


def test_nothing_that_polish_finds_is_likelier() -> None:
    truths, reads = clusters(5, 5, 40)
    for length in (None, 40):
        found = denoise(reads, CHANNEL, score, Denoise(length=length))
        polished = polish_all([own[0] for own in reads], reads, [CHANNEL] * 5, length)
        for one, other, own in zip(found, polished, reads, strict=True):
            assert length is None or len(one.sequence) == length
            values = torch.tensor(likelihoods([one.sequence, other.draft], own))
            prior = torch.tensor([len(one.sequence), len(other.draft)]) * torch.tensor(4.0).log()
            assert float((values - prior)[0]) >= float((values - prior)[1]) - 1e-6


def test_clean_enough_reads_give_the_sequence_and_are_certain_of_it() -> None:
    truths, reads = clusters(3, 12, 40)
    found = denoise(reads, CHANNEL, score, Denoise(length=40))
    assert [one.sequence for one in found] == truths
    assert all(min(one.certainty) > 0.5 and max(one.certainty) <= 1 for one in found)
    assert all(len(one.certainty) == 40 for one in found)


def test_where_reads_disagree_the_letter_is_uncertain() -> None:
    (one,) = denoise([["ACGTACGTAC", "ACGTTCGTAC"]], CHANNEL, score, Denoise(length=10))
    assert one.certainty[4] < 0.6 < min(one.certainty[:3])


def test_a_cluster_is_decoded_as_it_is_alone() -> None:
    _, reads = clusters(4, 4, 30)
    together = denoise(reads, CHANNEL, score, Denoise())
    alone = [denoise([own], CHANNEL, score, Denoise())[0] for own in reads]
    assert [one.sequence for one in together] == [one.sequence for one in alone]


def test_the_learned_model_proposes_neighbours_of_clusters_of_few_reads_only() -> None:
    _, reads = clusters(2, FEW + 1, 30)
    judge = TrueChannel([reads[0][:FEW], reads[1]])
    denoise(judge.clusters, CHANNEL, lambda _: judge, Denoise())
    assert {*judge.asked} == {0}
    judge.asked = []
    denoise(judge.clusters, CHANNEL, lambda _: judge, Denoise(proposals=0))
    assert not judge.asked


def test_what_is_proposed_is_found_where_the_rates_do_not_see_it() -> None:
    blind = Channel.of_rates(0.25, 0.25, 0.25)  # by which candidates are found
    found = []
    for proposals in (0, 40):
        settings = Denoise(candidates=1, rounds=8, proposals=proposals)
        _, reads = clusters(10, 3, 40)
        decoded = denoise(reads, blind, score, settings)
        pairs = zip(decoded, reads, strict=True)
        found.append([likelihoods([one.sequence], own)[0] for one, own in pairs])
    without, with_proposals = found
    assert sum(with_proposals) > sum(without) + 1
