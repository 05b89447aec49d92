"""Decoding with what a run has trained, as a person would see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command

from seqexp.callback.base import Observed
from seqexp.callback.reads import Reads
from seqexp.checkpoint.result import Result
from seqexp.data import Cluster, Data, Sequences
from seqexp.decode.beam import Beam
from seqexp.spec import Output, TaskSpec, Vocabulary

SPEC = TaskSpec(Vocabulary(("<", "A", "C", "G", "T", ">")), 7, Output.NEXT_TOKEN, ("", *"<ACGT>"))
TRUTH = "ACGGTCATTGCA"


class Knows(torch.nn.Module):
    """Writes a text by heart: what follows is looked up by the place, which is the carry."""

    causal = True

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids = torch.tensor(SPEC.vocabulary.encode([*text, ">", ">"]))

    def forward(self, tokens: torch.Tensor, carry: Any = None) -> tuple[torch.Tensor, Any]:
        before = carry[0] if carry else torch.zeros(len(tokens), dtype=torch.long)
        places = before[:, None] + torch.arange(tokens.shape[1])
        expected = self.ids[places.clamp(max=len(self.ids) - 1)]
        logits = torch.nn.functional.one_hot(expected, 7).double() * 5
        return logits, (before + tokens.shape[1],)


class Kept:
    """A tracker that keeps tables and texts, and the names of figures."""

    keeps = True

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self.texts: dict[str, str] = {}
        self.figures: list[str] = []

    def metrics(self, values: Any, step: int) -> None:
        """Kept in the result, too."""

    def table(self, rows: Any, name: str) -> None:
        self.tables[name] = rows

    def figure(self, figure: Any, name: str) -> None:
        self.figures.append(name)

    def text(self, text: str, name: str) -> None:
        self.texts[name] = text


def reading(
    model: torch.nn.Module,
    twin: torch.nn.Module | None = None,
    own: object = None,
    **options: Any,
) -> Any:
    empty = Sequences(torch.zeros(0, 1).long(), torch.zeros(0, 1).long())
    reads = ("ACGTCATTGCA", "ACGGTCATGCA", "ACGGTCAATTGCA", "CGGTCATTGCA")
    data = Data(SPEC, empty, empty, empty, clusters=(Cluster(reads, TRUTH),))

    class Trained:
        device = torch.device("cpu")

    training: Any = Trained()
    training.model = model
    tracker: Any = Kept()
    decoder = own or Beam(length=options.pop("length", None), **options)
    return Reads(decoder, Observed(tracker, training, data), False, lambda: twin)  # type: ignore[arg-type,return-value]


def metrics_of(made: Any) -> dict[str, float]:
    """What it logs at the end."""
    result: Result = made.run.story.result
    made.at_end(result)
    return result.metrics


def test_a_model_that_knows_the_sequence_gives_it_back() -> None:
    made = reading(Knows(TRUTH), width=3)
    metrics = metrics_of(made)
    assert metrics["reads/exact"] == 1 and metrics["reads/edit_distance"] == 0
    rows = {row["method"]: row for row in made.tracker.tables["reads/methods.json"]}
    assert rows["ranked"]["exact"] == rows["polish"]["exact"] == 1
    assert rows["medoid"]["exact"] == 0  # each read has an error
    assert made.tracker.figures == ["reads/alignment_0.png", "reads/errors.png"]
    assert f">cluster_0 ranked\n{TRUTH}\n" in made.tracker.texts["reads/decoded.fasta"]


def test_ranking_by_the_reads_corrects_what_the_network_prefers() -> None:
    # it wants C at the third place, with G as its second choice
    wrong = TRUTH[:2] + "C" + TRUTH[3:]
    model = Knows(wrong)

    def forward(tokens: torch.Tensor, carry: Any = None) -> tuple[torch.Tensor, Any]:
        logits, after = Knows.forward(model, tokens, carry)
        third = 2 - (after[0] - tokens.shape[1])  # where it is among these tokens
        if 0 <= int(third[0]) < tokens.shape[1]:
            logits[:, int(third[0]), SPEC.vocabulary.encode("G")] = 4
        return logits, after

    model.forward = forward  # type: ignore[method-assign]
    made = reading(model, width=4)
    assert metrics_of(made)["reads/exact"] == 1
    rows = {row["method"]: row for row in made.tracker.tables["reads/methods.json"]}
    assert rows["greedy"]["edit_distance"] == rows["beam"]["edit_distance"] == 1


def test_both_directions_join_what_each_knows() -> None:
    forwards = Knows(TRUTH[:9] + "GGG")
    backwards = Knows(TRUTH[3:][::-1] + "TTT")
    made = reading(forwards, backwards, width=2, both_directions=True)
    assert metrics_of(made)["reads/exact"] == 1
    rows = {row["method"]: row for row in made.tracker.tables["reads/methods.json"]}
    assert rows["beam"]["exact"] == rows["beam from the other end"]["exact"] == 0


def test_a_length_that_is_given_is_the_length_of_the_result() -> None:
    made = reading(Knows(TRUTH + "A"), width=3, length=12)
    metrics_of(made)
    decoded = made.tracker.texts["reads/decoded.fasta"].splitlines()
    known = [
        after for line, after in zip(decoded, decoded[1:], strict=False) if "length 12" in line
    ]
    assert known and all(len(sequence) == 12 for sequence in known)


class Longest:
    """A decoder of one's own: the longest read."""

    method, length = "longest", None

    def consensus(self, reads: Sequence[str], rates: object) -> str:
        return max(reads, key=len)


def test_a_decoder_of_ones_own_is_a_row_of_the_table_and_gives_the_metrics() -> None:
    made = reading(Knows(TRUTH), own=Longest())
    metrics = metrics_of(made)
    rows = {row["method"]: row for row in made.tracker.tables["reads/methods.json"]}
    assert rows["longest"]["edit_distance"] == metrics["reads/edit_distance"] == 1
    assert ">cluster_0 longest\nACGGTCAATTGCA\n" in made.tracker.texts["reads/decoded.fasta"]


@pytest.mark.parametrize("view", ["reads", "windows"])
def test_a_run_prints_the_network_beside_what_needs_none(seqexp: Command, view: str) -> None:
    done = seqexp(
        "dataset=noisy-reads",
        "dataset.length=60",
        "dataset.num_reads=12",
        f"dataset.view={view}",
        "dataset.window=20",
        "model=lstm",
        "trainer=smoke",
        "tracking=none",
        "decode=greedy",
    )
    assert done.returncode == 0, done.stderr
    for method in ("greedy", "medoid", "polish", "polish, length 60"):
        assert f"  {method} " in done.stdout
    assert "  reads/edit_distance " in done.stdout.rpartition("test/accuracy")[2]


def test_reads_from_a_file_without_truth_are_decoded_too(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "reads.fasta").write_text(">a\nACGTACGGT\n>b\nACGTACGT\n>c\nACGTACGGT\n")
    done = seqexp(
        "dataset=noisy-reads",
        f"dataset.reads={tmp_path / 'reads.fasta'}",
        "model=lstm",
        "trainer=smoke",
        "tracking=none",
        "decode=polish",
    )
    assert done.returncode == 0, done.stderr
    assert "the true sequences are not known" in done.stdout
    assert "  reads/exact " not in done.stdout
