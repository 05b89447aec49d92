"""A note where sequences are of another kind than those that a model was trained on."""

from pathlib import Path

import pytest
import torch

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.inference.seen import FILE, Seen, Watch, read, seen, write
from seqexp.spec import TaskSpec


def said(known: Seen, spec: TaskSpec, *given: list[int]) -> list[str]:
    watch = Watch(known, spec)
    for values in given:
        watch.add(values)
    return [*watch.notes()]


def test_lengths_and_shares_of_a_training_are_kept_and_compared(
    dna_spec: TaskSpec, tmp_path: Path
) -> None:
    tokens = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4, 1, 2], [1, 2, 3, 4, 1, 2, 3, 4, 0, 0]])
    known = seen(Sequences(tokens, torch.zeros(2, 1, dtype=torch.long)), dna_spec, 0)
    assert (known.shortest, known.longest) == (8, 10)
    assert known.shares == pytest.approx({"A": 5 / 18, "C": 5 / 18, "G": 4 / 18, "T": 4 / 18})
    write(tmp_path, known)
    assert read(tmp_path) == known and read(tmp_path / "before") == Seen()
    alike, short, of_gc = [1, 2, 3, 4] * 2, [1, 2, 3], [2, 3, 2, 3, 1, 3, 2, 4]
    assert said(known, dna_spec, *[alike] * 100) == []
    (told,) = said(known, dna_spec, alike, short)
    assert told.startswith("1 of 2 sequences have other lengths") and "8 to 10: here 3 to 8" in told
    (told,) = said(known, dna_spec, *[of_gc] * 100)
    assert told.startswith("symbols have other shares") and "G 0.38 (0.22)" in told
    assert said(Seen(), dna_spec, short, of_gc) == []  # of an earlier version


def test_a_damaged_note_of_a_training_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"shortest": "1", "longest": 2, "shares": {}}')
    with pytest.raises(InputError, match="is damaged"):
        read(tmp_path)
