"""Symbols that mark where something written begins and ends."""

from collections.abc import Collection, Sequence

from seqexp.errors import InputError

ENDS = (("<", ">"), ("<s>", "</s>"))
"""Begin and end; the later pair where data have a symbol of the first."""

UNKNOWN = "<unk>"
"""Stands for every symbol that a vocabulary lacks; it is never written."""


def ends_for(symbols: Collection[str]) -> tuple[str, str]:
    """Begin and end for data of these symbols; the begin has to be a vocabulary's first symbol.

    Raises:
        InputError: if the data have all symbols that could mark them.
    """
    for ends in ENDS:
        if not set(ends) & set(symbols):
            return ends
    shown = " and ".join(f"{begin} {end}" for begin, end in ENDS)
    raise InputError(f"the targets have symbols of {shown}, which mark begin and end; remove them")


def ends_of(symbols: Sequence[str]) -> tuple[str, str] | None:
    """Begin and end among the symbols of a vocabulary; None if it has none.

    The first symbol tells which, if it is a begin; else the first pair that is there.
    """
    there = set(symbols)
    pairs = [ends for ends in ENDS if set(ends) <= there]
    return next((ends for ends in pairs if symbols[0] == ends[0]), next(iter(pairs), None))


def output_names(symbols: Sequence[str]) -> tuple[str, ...]:
    """Names of what may come next: padding, by a name that no symbol has, and the symbols."""
    padding = "padding"
    while padding in symbols:
        padding = f"<{padding}>"
    return (padding, *symbols)
