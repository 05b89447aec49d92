"""Every command that a page, a help text, a config's head or a message shows to be typed."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

from seqexp.cli.subcommand import COMMANDS

START = re.compile(
    r"(?:[A-Z_]+=\S+ )*"  # variables of the environment
    r"(?:(?:\.venv/bin/)?python3? (?:-m |tests/)|seqexp(?:\.\w+)? |torchrun |pip3? |mlflow |MLFLOW"
    r"|(?:zcat|printf|echo|curl|eval|export) .*(?:seqexp|mlflow|MLFLOW|sequences))"
)
"""How a line begins that is a command of ours, or leads to one."""

GROUPS = frozenset(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())

MATTERS = frozenset(
    {"dry_run", "force", "seeds", "tracking.uri", "trainer.replicas"}
    | {"gradient_flow.every_epochs", "interpret.database", "decode.prompt"}
    | {f"dataset.{key}" for key in ("path", "test_path", "motif", "positives", "table", "reads")}
    | {"dataset.test_names"}
)
"""Keys that are more than another number: files that are read, and other ways through the code."""

AS_CODE = re.compile(r"`([^`]+)`")
"""Code in a sentence."""


@dataclass(frozen=True)
class Command:
    """A command line as it stands, and where it stands."""

    line: str
    place: str

    def words(self) -> list[str]:
        """The words that the shell hands over."""
        return shlex.split(self.line)

    def overrides(self) -> list[str]:
        """What is given to `python -m seqexp`, or nothing if it is another command."""
        match = re.search(r"(?:^| )(?:-m )?seqexp(?: |$)(.*)", self.line)
        return shlex.split(match[1]) if match and self.is_training() else []

    def is_training(self) -> bool:
        """Whether it is `python -m seqexp` or `seqexp` itself, not what comes after training."""
        found = re.search(r"(?:-m seqexp|^seqexp)(?: (\w+)(?= |$)| |$)", self.line)
        return found is not None and found[1] not in COMMANDS

    def family(self) -> tuple[str, ...]:
        """What it has in common with commands that differ in values only."""
        if not self.is_training():
            return (self.line,)
        names = sorted({_kind(item) for item in self.overrides()} - {""})
        return (self.line.partition(" ")[0], *names)


def _kind(item: str) -> str:
    """A choice or a flag itself, the key of what matters, nothing of another value."""
    key = item.partition("=")[0]
    if "=" not in item or key in GROUPS:
        return item
    return key if key in MATTERS else ""


def of_page(file: Path) -> Iterator[Command]:
    """The commands of a Markdown page: in blocks, in sentences, and in tables with a prefix."""
    place = str(file.relative_to(ROOT))
    text = file.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from _of_lines(block, place)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    prefix = ""
    for paragraph in prose.split("\n\n"):
        for line in paragraph.splitlines():
            is_row = line.startswith("|")
            header = re.search(r"^\|[^|]*after `([^`]+)`", line)
            prefix = f"{header[1]} " if header else prefix if is_row else ""
            first = AS_CODE.match(line.removeprefix("| "))
            if is_row and prefix and not header and first:
                yield Command(prefix + first[1], place)
        for code in AS_CODE.findall(paragraph):
            line = " ".join(code.split())
            if START.match(line):
                yield Command(line, place)


def of_help(text: str, place: str) -> Iterator[Command]:
    """The commands of a help text or of the comments that open a config."""
    yield from _of_lines(text, place)


def of_config(file: Path) -> Iterator[Command]:
    """The commands in the comments of a config."""
    comments = [
        re.sub(r"^#+ ?", "", line)
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    yield from _of_lines("\n".join(comments), str(file.relative_to(ROOT)))


def of_messages(file: Path) -> Iterator[Command]:
    """The commands in the texts of a module; what is filled in is called `{}`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if id(node) in documentation | parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        else:
            continue
        for found in re.findall(
            r"(?:python -m seqexp|pip install|\bmlflow ui|seqexp \S+=)[^\n;,)`]*", text
        ):
            yield Command(found.strip(), f"{file.relative_to(ROOT)}:{node.lineno}")


def _of_lines(text: str, place: str) -> Iterator[Command]:
    whole = text.replace("\\\n", " ")
    for line in whole.splitlines():
        line = re.sub(r"^\$ ", "", line.strip())
        command = re.split(r" {2,}(?=\S)", line)[0] if "\\" not in line else line
        if START.match(f"{command} "):
            yield Command(re.sub(r" +", " ", command), place)
