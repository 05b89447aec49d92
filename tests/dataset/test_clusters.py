"""Clusters of reads, each with the sequence that it is of: `view=clusters`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.errors import InputError
from seqexp.seeding import stream_seed
from seqexp.spec import Output


def loaded(**changes: Any) -> Any:
    given = {"view": "clusters", "num_clusters": 10, "num_reads": 6, "length": 30}
    return NoisyReads(**{**given, **changes}).load()


def test_whole_clusters_are_held_out() -> None:
    data = loaded()
    assert data.spec.output is Output.READ_ERRORS
    rows = {
        name: {tuple(r) for r in split.tokens.tolist()} for name, split in data.splits().items()
    }
    assert [len(rows[name]) for name in ("train", "valid", "test")] == [6, 2, 2]
    assert not rows["train"] & rows["valid"] and not rows["train"] & rows["test"]
    assert len(data.clusters) == 2 and len(data.train) == 36


def test_each_cluster_is_in_the_test_of_one_fold() -> None:
    tested: list[tuple[int, ...]] = []
    for fold in range(4):
        data = loaded(folds=4, fold=fold, valid_share=0.2)
        own = [{tuple(row) for row in split.tokens.tolist()} for split in data.splits().values()]
        assert sum(map(len, own)) == 10 and not own[0] & own[2] and not own[1] & own[2]
        tested += own[2]
    assert len(tested) == len({*tested}) == 10


def test_reads_of_an_epoch_are_drawn_by_the_seed_and_stand_side_by_side() -> None:
    data = loaded(reads_per_cluster=2)
    assert data.train.num_batches(4) == 3
    epochs = []
    for epoch in range(2):
        batches = list(data.train.batches(4, stream_seed(0, "order", epoch)))
        assert [len(batch) for batch in batches] == [4, 4, 4]
        tokens = torch.cat([batch.tokens for batch in batches])
        assert torch.equal(tokens[::2], tokens[1::2])  # two of each cluster
        assert len(torch.unique(tokens, dim=0)) == 6
        epochs.append(torch.cat([batch.context for batch in batches]))
    assert not torch.equal(*epochs)
    again = data.train.batches(4, stream_seed(0, "order", 0))
    assert torch.equal(torch.cat([batch.context for batch in again]), epochs[0])


def test_labels_by_consensus_need_no_true_sequence_and_the_test_has_it_where_it_is_known() -> None:
    truth, consensus = loaded(num_reads=15), loaded(num_reads=15, labels="consensus")
    assert torch.equal(truth.test.tokens, consensus.test.tokens)
    same = sum(
        a == b
        for a, b in zip(truth.train.tokens.tolist(), consensus.train.tokens.tolist(), strict=False)
    )
    assert same > 0.8 * len(truth.train)


def test_true_sequences_may_have_a_file_of_their_own(tmp_path: Path) -> None:
    divided = ["====", "ACGTACGTA", "ACGTACGTT", "====", "====", "GGGTTTAAA", "====", "CCATGCATG"]
    reads, truths = tmp_path / "Clusters.txt", tmp_path / "Centers.txt"
    reads.write_text("\n".join(divided) + "\n")
    truths.write_text("ACGTACGTT\nTTTTTTTTT\nGGGTTTAAC\nCCATGCATG\n")
    data = loaded(reads=str(reads), truths=str(truths))
    known = NoisyReads(reads=str(reads), truths=str(truths)).clusters()
    assert [cluster.truth for cluster in known] == ["ACGTACGTT", "GGGTTTAAC", "CCATGCATG"]
    assert [len(cluster.reads) for cluster in known] == [2, 1, 1]
    assert any("1 clusters are empty" in note and "number 2" in note for note in data.notes)
    truths.write_text("ACGTACGTT\nGGGTTTAAC\n")
    with pytest.raises(InputError, match="4 clusters.*2 true sequences"):
        loaded(reads=str(reads), truths=str(truths))
    truths.write_text("ACGTACGTT\nTTTT\nGGGXTTAAC\nCCATGCATG\n")
    with pytest.raises(InputError, match=r"line 3 has 'X'"):
        loaded(reads=str(reads), truths=str(truths))


def test_clusters_without_a_true_sequence_are_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "reads.txt"
    file.write_text("\n====\n".join(f"ACGTAC{a}TAC\nACGTACGTA" for a in "ACGT"))
    with pytest.raises(InputError, match="give labels=consensus"):
        loaded(reads=str(file), reads_have_truth=False)
    data = loaded(reads=str(file), reads_have_truth=False, labels="consensus")
    assert len(data.train) and len(data.test)


def test_too_few_clusters_to_hold_some_out_are_refused() -> None:
    with pytest.raises(InputError, match="num_clusters=100"):
        loaded(num_clusters=1)
