"""Folders of data files: which of their entries are data."""

from collections.abc import Collection
from pathlib import Path

from seqexp.formats.text import ending

_LITTER = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "__pycache__"}
"""What systems leave in folders, in lower case."""


def is_litter(path: Path) -> bool:
    """Whether a file or folder was left by a system, an editor or a notebook, and is no data.

    Hidden ones are (`.git`, `.ipynb_checkpoints`, `.DS_Store`, `._a.txt`), and those of a list.
    """
    name = path.name.lower()
    return name.startswith((".", "~$")) or name.endswith("~") or name in _LITTER


def files_in(folder: Path, endings: Collection[str]) -> list[Path]:
    """Files of a folder with one of these endings, in either case, packed or not; sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if not is_litter(path) and ending(path) in endings and path.is_file()
    )


def folders_in(folder: Path) -> list[Path]:
    """Folders of a folder; sorted."""
    return sorted(path for path in folder.iterdir() if not is_litter(path) and path.is_dir())
