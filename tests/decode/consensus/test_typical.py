"""Reads of foreign length, and those that are no copies: what they cost, and that few are."""

from dataclasses import asdict

import pytest
import torch

from seqexp.data import Cluster
from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.decode.consensus import alignments as recursion
from seqexp.decode.consensus.error_rates import estimate_channel
from seqexp.decode.consensus.table import channel_of
from seqexp.decode.consensus.typical import copies, typical
from seqexp.decode.polish import polish

RATES = ErrorRates(0.02, 0.02, 0.02)


def simulated(length: int, count: int, rates: ErrorRates = RATES) -> tuple[str, list[str]]:
    truth = random_sequence(length, 1)
    return truth, [read_out(truth, rates, seed) for seed in range(count)]


def test_chopped_and_doubled_reads_are_foreign_and_no_others() -> None:
    truth, reads = simulated(200, 8)
    foreign = [truth[:20], truth[50:150], truth * 2, ""]
    assert typical([*reads[:4], *foreign, *reads[4:]]) == reads
    for length in (5, 20, 100, 400):
        for rates in (RATES, ErrorRates(0.2, 0.1, 0.1)):
            _, noisy = simulated(length, 30, rates)
            assert typical(noisy) == noisy
    assert typical([]) == [] and typical([""]) == [""] and typical(["A" * 9]) == ["A" * 9]
    assert typical(["A" * 200, "A" * 20]) == ["A" * 200]


def test_an_unrelated_read_is_no_copy() -> None:
    truth, reads = simulated(100, 6)
    alien = random_sequence(100, 99)
    assert copies([*reads, alien], truth) == reads
    assert copies([alien, truth], random_sequence(100, 7)) == [alien, truth]  # the draft is wrong
    assert copies(["GGGG"], "AAAA") == ["GGGG"]  # too short to tell


@pytest.mark.parametrize("foreign", ["chopped", "doubled", "alien"])
def test_a_foreign_read_changes_neither_rates_nor_band_nor_sequence(
    foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, reads = simulated(50, 5)
    other = {"chopped": truth[10:20], "doubled": truth * 2, "alien": random_sequence(50, 99)}
    widths: list[int] = []
    wide_band = recursion.wide_band
    for module in ("error_rates", "edits"):
        monkeypatch.setattr(
            f"seqexp.decode.consensus.{module}.wide_band",
            lambda pairs: (widths.append(wide_band(pairs)), widths[-1])[1],
        )
    both = (reads, [*reads, other[foreign]])
    channels = [estimate_channel(given, truth, iterations=3) for given in both]
    for one, two in zip(*(asdict(channel).values() for channel in channels), strict=True):
        assert torch.equal(one, two)
    assert polish(reads[0], [*reads, other[foreign]], channels[0]).draft == truth
    assert max(widths) < 45


def test_what_is_left_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    truth, reads = simulated(60, 3)
    channel_of([Cluster((*reads, truth[:10])), Cluster(tuple(reads))])
    assert "1 of 7 reads have a length foreign to their cluster" in caplog.text


def test_identical_reads_and_a_single_one_have_small_rates() -> None:
    truth, _ = simulated(50, 0)
    for reads in ([truth] * 4, [truth]):
        channel = estimate_channel(reads, truth, iterations=5)
        rates = channel.rates()
        assert all(0 < rate < 0.05 for name, rate in rates.items() if name != "tail")
        assert polish(truth, reads, channel).draft == truth
