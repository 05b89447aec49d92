"""What a model of read errors has learned, beside what the reads show."""

import numpy as np
import pytest

from seqexp.decode.consensus.pair_hmm import encode
from seqexp.decode.consensus.reliability import reliability
from seqexp.interpret.reads.learned import Chances, Told, learned, written
from seqexp.interpret.reads.learned_figure import learned_figure, reliability_figure
from seqexp.seeding import UniformSource


def chances(sequence: str, count: int, copy: float) -> Chances:
    """A base is copied, or is lost; behind a loss twice as often as elsewhere."""
    bases = encode([sequence] * count)[0].numpy()
    emission = np.zeros((count, 4, len(sequence), 4))
    deletion = np.zeros((count, 4, len(sequence)))
    for state in range(4):
        chance = copy if state == 0 else 2 * copy - 1
        np.put_along_axis(emission[:, state], bases[..., None], chance, axis=2)
        deletion[:, state] = 1 - chance
    insertion = np.zeros((count, 4, len(sequence) + 1, 4))
    sizes = np.full(count, len(sequence))
    return Chances(emission, insertion, deletion, np.zeros(bases.shape), bases, sizes)


def test_reads_are_written_as_often_as_the_rates_say() -> None:
    sequence = "ACGTCATG"
    reads = written(chances(sequence, 4000, 0.9), UniformSource(1))
    assert all(set(read) <= set(sequence) for read in reads)
    assert reads.count(sequence) / len(reads) == pytest.approx(0.9**8, abs=0.03)
    assert written(chances(sequence, 3, 1.0), UniformSource(1)) == [sequence] * 3


def test_errors_are_counted_by_group_in_reads_and_model_alike() -> None:
    reads = [Told("AAACGT", "AACGT"), Told("AAACGT", "AAACGT", 1, 2)]
    found = learned(reads, [*reads, *reads])
    assert all(row.reads == row.model for row in found.rows)
    by_run = {row.group: row for row in found.by("homopolymer")}
    assert by_run["3"].bases == 6
    assert by_run["3"].reads == (0, pytest.approx(100 / 6), 0) and by_run["1"].reads == (0, 0, 0)
    by_quality = {row.group: row.reads[1] for row in found.by("quality")}
    assert by_quality == {"1": pytest.approx(100 / 6), "3": 0}
    assert {row.group for row in found.by("context")} == {"AAA", "AAC", "ACG", "CGT"}
    table = found.table()
    assert len({tuple(line) for line in table}) == 1  # all with the same columns
    assert {line["by"] for line in table} >= {"burst", "base and strand", "all"}


def test_errors_in_bursts_are_seen_as_such() -> None:
    pairs = [Told("ACGTACGTACGTACGTACGT", "ACGTTCATACGTACGTACGT")] * 2  # two, two bases apart
    burst = learned(pairs, pairs).burst_of_reads
    assert burst[1] > 4 and burst[0] == burst[4] == 0


def test_figures_are_drawn_of_what_there_is() -> None:
    reads = [Told("AAACGT", "AACGT")]
    assert len(learned_figure(learned(reads, reads)).axes) == 5
    bins = reliability([("ACGT", [0.75] * 4, "ACGA")])
    assert len(reliability_figure({5: bins}).axes[0].lines) == 2
