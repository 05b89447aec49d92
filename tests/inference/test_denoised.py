"""Clusters of a file are decoded one after the other, as they come."""

from pathlib import Path

import pytest
import torch

from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.dataset.reads.files import Rules, stream_clusters
from seqexp.dataset.reads.views import cluster_task
from seqexp.decode.denoise import Denoise
from seqexp.errors import InputError
from seqexp.inference.denoised import decoded
from seqexp.inference.saved_model import SavedModel
from seqexp.model.read_errors import ReadErrors


def streamed(tmp_path: Path, text: str, has_truth: bool | None = None) -> list[list[str]]:
    file = tmp_path / "clusters.txt"
    file.write_text(text)
    found = list(stream_clusters(file, Rules(has_truth, "skip")))
    assert [number for number, _ in found] == [*range(1, len(found) + 1)]
    return [reads for _, reads in found]


def test_each_layout_gives_its_reads(tmp_path: Path) -> None:
    assert streamed(tmp_path, "ACG\nAC\nCG\n\nTTT\nTT\n") == [["AC", "CG"], ["TT"]]
    assert streamed(tmp_path, "AC\nCG\n\n\nTT\n", has_truth=False) == [["AC", "CG"], ["TT"]]
    assert streamed(tmp_path, "===\nAC\nCG\n===\n===\nTT\n") == [["AC", "CG"], [], ["TT"]]
    assert streamed(tmp_path, "ACG\nAC\n===\nTTT\nTT", has_truth=True) == [["AC"], ["TT"]]
    assert streamed(tmp_path, "ACG\n****\nAC\nCG\n\n\nTTT\n****\nTT\n") == [["AC", "CG"], ["TT"]]
    assert streamed(tmp_path, ">a\nAC\nG\n>b\nTT\n") == [["ACG", "TT"]]
    with pytest.raises(InputError, match="line 2"):
        streamed(tmp_path, "ACG\nhello!\n")


def test_a_file_is_decoded_in_order_and_says_how_sure_it_is(tmp_path: Path) -> None:
    rates = ErrorRates(0.03, 0.03, 0.01)
    truths = [random_sequence(40, seed) for seed in range(6)]
    text = ""
    for index, truth in enumerate(truths):
        text += "=====\n"
        if index != 2:  # which is empty
            reads = [read_out(truth, rates, 100 * index + number) for number in range(12)]
            text += "\n".join(reads) + "\n"
    file = tmp_path / "clusters.txt"
    file.write_text(text)
    torch.manual_seed(0)
    model = ReadErrors(cluster_task(), channels=4, width=3, second_width=1, qualities=1, strands=1)
    saved = SavedModel(model.eval(), cluster_task(), {})
    found = list(decoded(saved, str(file), Denoise(length=40), None, workers=1))
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6] and found[2].decoded is None
    right = [
        one.decoded is not None and one.decoded.sequence == truth
        for one, truth in zip(found, truths, strict=True)
    ]
    assert sum(right) >= 4
    name, sequence, plus, qualities = found[0].fastq().splitlines()
    assert name == "@cluster_1" and plus == "+" and len(qualities) == len(sequence) == 40
    assert {*map(ord, qualities)} <= {*range(33, 94)}
