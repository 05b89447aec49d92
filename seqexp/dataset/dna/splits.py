"""Records to training, validation and test, so that nothing held out has been learned from."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

from seqexp.dataset.dna.labelled import Record
from seqexp.formats.dna import either_strand

SPLITS = ("train", "valid", "test")

Form = Callable[[str], str]
"""What equal sequences share: of DNA the same for both strands."""


def form_of(has_strands: bool) -> Form:
    """The form of sequences that have strands, or have none."""
    return either_strand if has_strands else str


def drawn(
    records: Sequence[Record], share: float, seed: int, form: Form = either_strand
) -> tuple[list[Record], list[Record]]:
    """The rest, and a share of each class, or of all where no classes are asked for.

    Ordered by a hash of the sequence: no order of the file matters, and equal sequences stay
    together. Where records have families, these are drawn as a whole.
    """
    if any(record.family is not None for record in records):
        return _drawn_by_family(records, share, seed, form)
    rest: list[Record] = []
    chosen: list[Record] = []
    by_class: dict[int, list[Record]] = {}
    for record in records:
        by_class.setdefault(-1 if record.label is None else record.label, []).append(record)
    for label in sorted(by_class, reverse=True):
        of_class = by_class[label]
        of_class.sort(key=lambda record: (_hash(seed, form(record.sequence)), record.name))
        cut = round(share * len(of_class))
        chosen += of_class[:cut]
        rest += of_class[cut:]
    return rest, chosen


def _drawn_by_family(
    records: Sequence[Record], share: float, seed: int, form: Form
) -> tuple[list[Record], list[Record]]:
    """The rest, and a share of each class as near as whole families come to it.

    A family is left out if a class would have more than its share by half of the family's records.
    """
    families: dict[int, list[Record]] = {}
    hashes: dict[int, bytes] = {}
    for number, record in enumerate(records):
        family = -1 - number if record.family is None else record.family
        families.setdefault(family, []).append(record)
        one = _hash(seed, form(record.sequence))
        hashes[family] = min(hashes.get(family, one), one)
    wanted = Counter(record.label for record in records)
    taken: Counter[int | None] = Counter()
    rest: list[Record] = []
    chosen: list[Record] = []
    for family in sorted(families, key=lambda family: (hashes[family], family)):
        members = families[family]
        counts = Counter(record.label for record in members)
        fits = all(
            taken[label] + count / 2 <= share * wanted[label] for label, count in counts.items()
        )
        (chosen if fits else rest).extend(members)
        taken.update(counts if fits else {})
    return rest, chosen


def _hash(seed: int, form: str) -> bytes:
    return hashlib.sha256(repr((seed, form)).encode()).digest()


def _short(form: str) -> bytes:
    """The same for equal forms only: a few bytes, where very many are kept."""
    return hashlib.blake2b(form.encode(), digest_size=16).digest()


def without_leaks(
    parts: dict[str, list[Record]], form: Form = either_strand
) -> tuple[dict[str, list[Record]], list[str]]:
    """Take sequences that are held out, on either strand of DNA, out of what is learned from.

    So are those of which a sequence of the same family is held out.
    """
    seen: set[bytes] = set()
    families: set[int | None] = set()
    kept: dict[str, list[Record]] = {}
    notes = []
    for name in reversed(SPLITS):
        forms = [_short(form(record.sequence)) for record in parts[name]]
        new = [r for r, one in zip(parts[name], forms, strict=True) if one not in seen]
        kept[name] = [r for r in new if r.family is None or r.family not in families]
        seen.update(forms if name != SPLITS[0] else ())
        families.update(record.family for record in parts[name])
        notes += removed_notes(name, len(parts[name]) - len(new), len(new) - len(kept[name]))
    return kept, notes


def removed_notes(name: str, equal: int, related: int) -> list[str]:
    """What is said of sequences that a split lost.

    Args:
        name: of the split.
        equal: sequences that are held out too.
        related: sequences of which one of the same family is held out.
    """
    held_out = "valid and test" if name == "train" else "test"
    notes = []
    if equal:
        notes.append(f"{equal} sequences removed from {name}: they stand in {held_out} too")
    if related:
        notes.append(
            f"{related} sequences removed from {name}: they overlap, or share letters with,"
            f" sequences of {held_out}"
        )
    return notes


def duplicate_notes(
    records: Sequence[Record], form: Form = either_strand, are_binary: bool = True
) -> list[str]:
    """What is to be known of sequences that stand more than once.

    Args:
        records: all of them.
        form: what equal ones share.
        are_binary: whether they are positives and negatives.
    """
    first: dict[bytes, Record] = {}
    clashing: set[bytes] = set()
    for record in records:
        one = _short(form(record.sequence))
        before = first.setdefault(one, record)
        if before is not record and before.answer != record.answer:
            clashing.add(one)
    counts = len(records), len(records) - len(first), len(clashing)
    return repeat_notes(*counts, form is either_strand, are_binary)


def repeat_notes(
    count: int, repeats: int, clashes: int, has_strands: bool, are_binary: bool
) -> list[str]:
    """What is said of so many sequences, of which some repeat others, or have another answer."""
    notes = []
    if repeats:
        strand = ", on either strand" if has_strands else ""
        notes.append(f"{repeats} of {count} sequences repeat another{strand}")
    if clashes:
        how = "are labelled both positive and negative"
        other = "stand more than once, with different labels or values"
        notes.append(f"{clashes} sequences {how if are_binary else other}")
    return notes
