"""The learned error model: a likelihood of reads, which is one, and learns how they err."""

import itertools
import random
from typing import Any

import pytest
import torch

from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.dataset.reads.views import cluster_task, letters
from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement
from seqexp.model.read_errors import ReadErrors
from seqexp.model.read_scores import Scores
from seqexp.spec import Output, TaskSpec, Vocabulary


def ids(*texts: str) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([letters(t) for t in texts], batch_first=True).long()


def model_of(**settings: Any) -> ReadErrors:
    torch.manual_seed(0)
    model = ReadErrors(cluster_task(), 8, **{"width": 5, "second_width": 3, **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.double().eval()


@pytest.mark.parametrize("settings", [{}, {"memory": False, "qualities": 1, "strands": 1}])
def test_all_reads_of_a_sequence_have_probability_one(settings: dict[str, Any]) -> None:
    model = model_of(**settings)
    reads = ["".join(r) for n in range(1, 7) for r in itertools.product("ACGT", repeat=n)]
    which = torch.zeros(len(reads), dtype=torch.int64)
    with torch.no_grad():
        found = model.log_likelihood(ids("ACG"), ids(*reads), which).exp().sum()
    # what is missing is empty, or has four letters more than bases
    assert 0.95 < float(found) < 1.0


def test_padding_and_other_pairs_change_nothing() -> None:
    model = model_of()
    pairs = [("ACGTACG", "ACTACG"), ("TT", "TTA"), ("GATTACA", "GATTACA")]
    sequences, reads = zip(*pairs, strict=True)
    together, _ = model(ids(*sequences), model.read(ids(*reads)))
    for row, (sequence, read) in enumerate(pairs):
        alone, _ = model(ids(sequence), model.read(ids(read)))
        torch.testing.assert_close(together[row], alone[0])


def test_either_strand_is_as_likely_as_its_mirror_image() -> None:
    model = model_of()
    sequence, read = "ACGTTACCA", "ACGTACCGA"
    one, _ = model(ids(sequence), model.read(ids(read)))
    turned = model.read(ids(reverse_complement(read)))
    other, _ = model(ids(reverse_complement(sequence)), turned)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("settings", [{}, {"width": 31}, {"strands": 1, "qualities": 1}])
def test_a_score_is_the_sum_over_the_reads_whatever_was_asked_before(
    settings: dict[str, Any],
) -> None:
    model = model_of(**settings)
    clusters = [["ACGTTAC", "ACGTAC", "ACGGTTAC"], ["TTGACA"], ["GGA", "GA"]]
    asked = [[["ACGTTAC", "ACGTTACC"], ["TTGACA"], []], [["ACGTACC"], [], ["GGA", "GAA", "A"]]]
    scores = Scores(model, clusters)
    for candidates in asked:
        for own, reads, values in zip(candidates, clusters, scores(candidates), strict=True):
            assert len(own) == len(values)
            for candidate, value in zip(own, values, strict=True):
                which = torch.zeros(len(reads), dtype=torch.int64)
                with torch.no_grad():
                    expected = model.log_likelihood(ids(candidate), ids(*reads), which).sum()
                # strands and qualities that a read hardly has are left out
                assert float(value) == pytest.approx(float(expected), abs=0.02)


def test_it_comes_near_the_true_channel_of_simulated_reads() -> None:
    """Whose rates it is never told."""
    rates, length = ErrorRates(0.05, 0.05, 0.01), 40
    truths = [random_sequence(length, seed) for seed in range(60)]
    pairs = [
        (truth, read_out(truth, rates, 1000 * index + number))
        for index, truth in enumerate(truths)
        for number in range(6)
    ]
    held = pairs[300:]
    torch.manual_seed(0)
    model = ReadErrors(cluster_task(), channels=8, width=3, second_width=1, qualities=1, strands=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    draw = random.Random(0)
    for _ in range(60):
        chosen = draw.sample(pairs[:300], 60)
        sequences, reads = zip(*chosen, strict=True)
        loss = -model(ids(*sequences), model.read(ids(*reads)))[0].mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    sequences, reads = zip(*held, strict=True)
    with torch.no_grad():
        found = -model(ids(*sequences), model.read(ids(*reads)))[0].mean()
    channel = Channel.of_rates(0.05, 0.05, 0.01)
    true = -sum(float(log_likelihood([read], [truth], channel)) for truth, read in held) / len(held)
    assert float(found) < true + 0.4


def test_it_is_for_clusters_alone() -> None:
    spec = TaskSpec(Vocabulary(("a", "b")), 3, Output.NEXT_TOKEN, ("", "a", "b"))
    with pytest.raises(InputError, match="view=clusters"):
        ReadErrors(spec)
