"""Tables of text: as Markdown, and as names with their values."""

from collections.abc import Iterable, Sequence


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown whose columns are also aligned on a terminal.

    Cells are written as they are: whoever has names of others escapes them before.
    """
    lines = [header, ["---"] * len(header), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def pairs(rows: Iterable[tuple[str, str]], width: int = 0) -> str:
    """A line a name with its value, all values below each other.

    `width` is the least that names take.
    """
    found = list(rows)
    width = max([width, *(len(name) for name, _ in found)])
    return "\n".join(f"  {name:{width}}  {value}" for name, value in found)
