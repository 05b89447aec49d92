"""The page of all metrics tells those that runs log, and which way is better."""

import re

from conftest import ROOT

from seqexp.metrics import METRICS

PAGE = (ROOT / "seqexp" / "tracking" / "METRICS.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def told() -> dict[str, str]:
    """Metric -> which way is better, as the page says."""
    found = {}
    for name, splits, _, better, _ in rows("Measures of predictions"):
        for split in splits.split(", "):
            begins = "best/valid_" if split == "best" else f"{split}/"
            found[begins + name.strip("`")] = better
    for names, _, better, _ in rows("Others"):
        named = re.findall(r"`([^`]+)`", names)
        ways = better.split(", ")
        found |= dict(zip(named, ways * (len(named) // len(ways)), strict=True))
    return found


def test_each_metric_has_one_row_that_says_which_way_is_better() -> None:
    assert told() == METRICS


def test_each_row_has_a_meaning() -> None:
    for row in [*rows("Measures of predictions"), *rows("Others")]:
        assert len(row[-1]) > 8
