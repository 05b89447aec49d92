"""Clusters are decoded by a score of candidates: here of the true channel itself."""

from collections.abc import Sequence

import torch

from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood
from seqexp.decode.denoise import Denoise, Judge, denoise
from seqexp.decode.polish import polish_all

CHANNEL = Channel.of_rates(0.05, 0.05, 0.01)


def likelihoods(candidates: Sequence[str], reads: Sequence[str]) -> list[float]:
    found: list[float] = log_likelihood(reads, candidates, CHANNEL).sum(dim=1).tolist()
    return found


def score(clusters: Sequence[Sequence[str]]) -> Judge:
    def judge(candidates: Sequence[Sequence[str]]) -> list[list[float]]:
        pairs = zip(candidates, clusters, strict=True)
        return [likelihoods(own, reads) if own else [] for own, reads in pairs]

    return judge


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
