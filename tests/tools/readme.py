"""What the pages show as files and commands, so that tests can take them at their word."""

import re
from pathlib import Path

from conftest import ROOT

FILE = re.compile(r"^`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A path on a line of its own, and the block below it."""

SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PAGES = {
    "README.md": "Add your own",
    "seqexp/model/README.md": "Your own model",
    "conf/README.md": "Your own experiment",
    "conf/OWN.md": "The example",
}
"""Pages that show a part of one project, and the section of each."""


def section(page: str) -> str:
    """The text of a page below its section's heading, up to the next one of its level."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split(f"\n## {PAGES[page]}\n", 1)[1].split("\n## ", 1)[0]


def write_project(folder: Path) -> None:
    """Write the files of all sections."""
    for page in PAGES:
        for name, content in FILE.findall(section(page)):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")


def commands(page: str) -> list[str]:
    """The commands of a page's section."""
    (block,) = SHELL.findall(section(page))
    return str(block).splitlines()
