"""Records to training, validation and test, so that nothing held out has been learned from."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from seqexp.dataset.dna.labelled import Record
from seqexp.formats.dna import either_strand

SPLITS = ("train", "valid", "test")


def drawn(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """The rest, and a share of each class.

    Ordered by a hash of the sequence: no order of the file matters, and equal sequences stay
    together.
    """
    rest: list[Record] = []
    chosen: list[Record] = []
    for label in (1, 0):
        of_class = [record for record in records if record.label == label]
        of_class.sort(key=lambda record: (_hash(seed, record), record.name))
        cut = round(share * len(of_class))
        chosen += of_class[:cut]
        rest += of_class[cut:]
    return rest, chosen


def _hash(seed: int, record: Record) -> bytes:
    return hashlib.sha256(repr((seed, either_strand(record.sequence))).encode()).digest()


def without_leaks(
    parts: dict[str, list[Record]],
) -> tuple[dict[str, list[Record]], list[str]]:
    """Sequences that are held out, on either strand, are taken out of what is learned from."""
    seen: set[str] = set()
    kept: dict[str, list[Record]] = {}
    notes = []
    for name in reversed(SPLITS):
        forms = [either_strand(record.sequence) for record in parts[name]]
        kept[name] = [r for r, form in zip(parts[name], forms, strict=True) if form not in seen]
        seen.update(forms)
        count = len(parts[name]) - len(kept[name])
        if count:
            held_out = "valid and test" if name == "train" else "test"
            notes.append(f"{count} sequences removed from {name}: they stand in {held_out} too")
    return kept, notes


def duplicate_notes(records: Sequence[Record]) -> list[str]:
    """What is to be known of sequences that stand more than once."""
    labels: dict[str, set[int | None]] = {}
    counts: Counter[str] = Counter()
    for record in records:
        form = either_strand(record.sequence)
        counts[form] += 1
        labels.setdefault(form, set()).add(record.label)
    repeats = sum(count - 1 for count in counts.values())
    clashes = sum(len(found) > 1 for found in labels.values())
    notes = []
    if repeats:
        notes.append(f"{repeats} of {len(records)} sequences repeat another, on either strand")
    if clashes:
        notes.append(f"{clashes} sequences are labelled both positive and negative")
    return notes
