"""What the learned model says of edits, beside its likelihoods of the edited drafts."""

import math
from itertools import product
from typing import Literal

import pytest
import torch

from seqexp.dataset.reads.views import cluster_task
from seqexp.decode.consensus.edits import DELETE, INSERT, PER_BASE, Edit, apply
from seqexp.model.read_errors import ReadErrors
from seqexp.model.read_scores import Scores

DRAFTS = ["ACGTTGCAAC", "GATTACAC"]
READS = [["ACGTTGCAAC", "ACTTGCAAC", "ACGTTGGCAAC"], ["GATACAC", "GTGTAATC"]]


def model(memory: bool, strands: Literal[1, 2] = 2) -> ReadErrors:
    settings: dict[str, Any] = {
        "width": 3,
        "second_width": 3,
        "qualities": 2,
        "memory": memory,
        "strands": strands,
    }
    return ReadErrors(cluster_task(), 8, **settings).eval()  # it has no context yet


def exact(scores: Scores, draft: str, cluster: int, edits: list[Edit]) -> torch.Tensor:
    """By scoring the draft and each edited one."""
    asked: list[list[str]] = [[], []]
    asked[cluster] = [draft, *(apply(draft, [edit]) for edit in edits)]
    values = scores(asked)[cluster]
    priors = [PER_BASE * len(one) for one in asked[cluster]]
    own, *others = [value + prior for value, prior in zip(values, priors, strict=True)]
    return torch.tensor(others) - own


def all_edits(draft: str, table: torch.Tensor) -> list[Edit]:
    places = product(range(len(draft)), range(INSERT + 4))  # the last gap has rates of its own
    return [Edit(*one) for one in places if table[one] > -math.inf]


@pytest.mark.parametrize("cluster", [0, 1])
@pytest.mark.parametrize(("strands", "error"), [(1, 1e-4), (2, 0.02)])
def test_without_memory_and_context_they_are_exact(
    strands: Literal[1, 2], error: float, cluster: int
) -> None:
    """With two strands, how often a letter is inserted before a base depends on the base."""
    scores = Scores(model(memory=False, strands=strands), READS)
    scores([[draft] for draft in DRAFTS])
    scores.wanted[:] = True
    draft = DRAFTS[cluster]
    found = scores.gains({cluster: draft})[cluster]
    edits = all_edits(draft, found.table)
    assert len(edits) == len(draft) * 8  # three substitutions, one deletion, four insertions
    values = torch.tensor([float(found.table[edit]) for edit in edits])
    wanted = exact(scores, draft, cluster, edits)
    assert (values - wanted).abs().max() < error
    assert wanted.std() > 1


def test_with_memory_the_best_edit_is_among_the_first() -> None:
    scores = Scores(model(memory=True), READS)
    scores([[draft] for draft in DRAFTS])
    draft = "GATTACC"  # an A is missing
    found = scores.gains({1: draft})[1]
    edits = all_edits(draft, found.table)
    order = sorted(edits, key=lambda edit: -float(found.table[edit]))
    best = edits[int(exact(scores, draft, 1, edits).argmax())]
    assert best in order[:5]
    assert any(edit.column == DELETE for edit in edits)


def test_of_no_draft_there_are_none() -> None:
    assert Scores(model(memory=True), READS).gains({}) == {}
