"""What the README shows as files and commands, so that tests can take it at its word."""

import re
from pathlib import Path

from conftest import ROOT

FILE = re.compile(r"^`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A path on a line of its own, and the block below it."""


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def write_project(folder: Path) -> None:
    """Write the files of the section on adding one's own."""
    for name, content in FILE.findall(section("Add your own")):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


def commands() -> list[str]:
    """The commands of the same section."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section("Add your own"), re.MULTILINE | re.DOTALL)
    return str(block).splitlines()
