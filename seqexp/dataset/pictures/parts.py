"""Where pictures and the table on them lie in a folder or archive; nothing is decoded here.

`images/N.png` and a table (`captions.tsv`, `questions.json`) lie side by side: in folders `train`,
`test` and perhaps `valid`, or once, to be divided. All of it may lie in one folder more.
Imports no torch: the config check looks at folders too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from seqexp.errors import InputError
from seqexp.formats import png
from seqexp.formats.archives import is_archive, read_members
from seqexp.formats.folders import files_in, folders_in

SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""Names of folders, and the split that each holds."""

WHOLE = "whole"
"""What is no split, but is to be divided into splits."""

MAX_TABLE = 2**28
"""Bytes of a table."""

MAX_ALL = 2**31
"""Bytes of all files together."""

IMAGES = "images"


@dataclass
class Part:
    """A table, and the pictures beside it by the number or name of their file.

    `place` is the folder, for messages.
    """

    place: str
    table_place: str
    table: bytes = b""
    pictures: dict[str, bytes] = field(default_factory=dict)

    def picture_place(self, name: str) -> str:
        """Where a picture lies, for messages."""
        return f"{self.place}/{IMAGES}/{name}.png"


def picture_name(name: str) -> str:
    """A picture's name without folder and ending; numbers without zeros before them.

    `images/007.png` and `7` are the same.
    """
    name = name.strip().replace("\\", "/").rpartition("/")[2]
    name = name[:-4] if name.lower().endswith(".png") else name
    return str(int(name)) if name.isascii() and name.isdigit() and len(name) < 20 else name


def read_parts(path: Path, table: str) -> dict[str, Part]:
    """The parts of a folder or .tar.gz archive, by split; one part alone may be `whole`.

    Args:
        path: of the folder or archive.
        table: name of the table's file.

    Raises:
        InputError: if the path cannot be read, or holds no such parts.
    """
    if not path.is_dir() and not is_archive(path):
        raise InputError(
            f"{path}: is neither a folder nor a .tar.gz archive; give one of {IMAGES}/N.png and"
            f" {table}, in folders train and test or side by side"
        )
    found: dict[PurePosixPath, Part] = {}
    for name, content in _files(path, table):
        is_table = name.name == table
        folder = name.parent if is_table else name.parent.parent
        where = f"{path}/{folder}".removesuffix("/.")
        part = found.setdefault(folder, Part(where, f"{where}/{table}"))
        if is_table:
            part.table = content or b"\n"
            continue
        key = picture_name(name.name)
        if key in part.pictures:
            raise InputError(f"{path}: there are two pictures {key} in {where}/{IMAGES}")
        part.pictures[key] = content
    return _by_split(path, found, table)


def _files(path: Path, table: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Tables, and pictures in folders of their name."""
    left = MAX_ALL
    for name, content in _of_folder(path, table) if path.is_dir() else _of_archive(path, table):
        is_picture = name.suffix.lower() == ".png" and name.parent.name == IMAGES
        if name.name != table and not is_picture:
            continue
        limit = png.MAX_BYTES if is_picture else MAX_TABLE
        left -= len(content)
        if len(content) > limit or left < 0:
            raise InputError(
                f"{path}/{name}: is too large; at most {limit:,} bytes are read of it, and"
                f" {MAX_ALL:,} of all files"
            )
        yield name, content


def _of_archive(path: Path, table: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    endings = (".png", PurePosixPath(table).suffix)
    for member in read_members(path, endings, MAX_TABLE, MAX_ALL):
        yield PurePosixPath(member.name), member.content


def _of_folder(path: Path, table: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Files of a folder, of the folders in it, and of those in these."""
    try:
        inner = folders_in(path)
        folders = [path, *inner, *(below for folder in inner for below in folders_in(folder))]
        for folder in folders:
            images = folder / IMAGES
            files = [folder / table, *(files_in(images, (".png",)) if images.is_dir() else ())]
            for file in (file for file in files if file.is_file()):
                with file.open("rb") as opened:
                    content = opened.read(MAX_TABLE + 1)
                yield PurePosixPath(file.relative_to(path).as_posix()), content
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _by_split(path: Path, found: dict[PurePosixPath, Part], table: str) -> dict[str, Part]:
    tables = {folder: part for folder, part in found.items() if part.table}
    layout = f"give {IMAGES}/N.png and {table}, in folders train and test or side by side"
    if not tables:
        without = f", but pictures in {len(found)} folders" if found else ""
        raise InputError(f"{path}: has no {table}{without}; {layout}")
    splits: dict[str, PurePosixPath] = {}
    for folder in tables:
        split = SPLITS.get(folder.name.lower(), WHOLE)
        if split in splits or (WHOLE in (split, *splits) and splits):
            raise InputError(
                f"{path}: has {table} in {folder} and in {[*splits.values()][0]}, of which it"
                f" cannot be told which is what; {layout}"
            )
        splits[split] = folder
    if len({folder.parent for folder in splits.values()}) > 1:
        shown = ", ".join(str(folder) for folder in splits.values())
        raise InputError(f"{path}: {shown} are not side by side; {layout}")
    if "train" not in splits and WHOLE not in splits:
        raise InputError(f"{path}: has {table} in {', '.join(splits)}, but not in train; {layout}")
    for part in found.values():
        if not part.pictures:
            raise InputError(f"{part.place}: has no pictures, {IMAGES}/N.png; {layout}")
        if not part.table:
            raise InputError(f"{part.place}: has pictures, but no {table}; {layout}")
    return {split: tables[folder] for split, folder in splits.items()}
