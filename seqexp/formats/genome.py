"""A genome in FASTA, of which pieces are read by place: an index says where each contig begins.

Needs the extra `[genome]` (pyfaidx). Imports no torch.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from seqexp.errors import InputError
from seqexp.formats.text import is_gzipped, open_unpacked
from seqexp.utils.nearest import nearest

INSTALL = "pip install 'seqexp[genome]'"

EXPECTED = "expected is a genome in FASTA: .fa, or .fa.gz packed by bgzip"

_BLOCK = 2**20
_SHOWN = 6
"""Contigs that a message names."""


class Genome:
    """Letters of a genome by place, without the genome in memory.

    The index (`.fai`, of bgzip also `.gzi`) is made once, beside the file, or in a temporary folder
    where that cannot be written. An index that is older than the file, or of another, is made
    again.

    Args:
        path: FASTA, plain or packed by bgzip.
        key: that names it, for messages.
        keep_index: write the index beside the file.

    Raises:
        InputError: if pyfaidx is not installed; if the file is missing, gzipped but not by bgzip,
            or no FASTA whose lines have one length; if two contigs have one name.
    """

    def __init__(self, path: Path | str, key: str = "genome", keep_index: bool = True) -> None:
        self.path, self.key = Path(path), key
        library = _library(key)
        _refuse_other_files(self.path, key)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        index: Mapping[str, Path] = _beside(self.path)
        if not _is_current(self.path, index):
            index = self._make_index(library, keep_index)
        self._index = index
        self._open()
        self.contigs: dict[str, int] = {
            name: record.rlen for name, record in self._reader.index.items()
        }
        """Name -> letters, in the order of the file."""
        if not any(self.contigs.values()):
            raise InputError(f"{key} is {self.path}, which has no letters; {EXPECTED}")
        self._by_alias = _aliases(self.contigs)

    def letters(self, contig: str, start: int, end: int) -> str:
        """Upper-case letters from `start` (from 0) to before `end`.

        Raises:
            InputError: naming the contig and its letters, if they are not all there.
        """
        size = self.contigs.get(contig)
        if size is None:
            raise self._unknown(contig)
        if not 0 <= start <= end <= size:
            raise InputError(f"{contig}:{start}-{end} is not in {self.path}: {contig} has {size:,}")
        if start == end:
            return ""
        if self._process != os.getpid():  # a file that two processes read has one position
            self._open()
        return str(self._reader.fetch(contig, start + 1, end)).upper()

    def name_of(self, contig: str) -> str:
        """The genome's name of a contig: `chr1` for `1`, and the reverse; also `MT` for `chrM`.

        Raises:
            InputError: if it has none; the message names near ones.
        """
        if contig in self.contigs:
            return contig
        found = self._by_alias.get(_alias(contig))
        if found is None:
            raise self._unknown(contig)
        return found

    def has(self, contig: str) -> bool:
        """Whether `name_of` knows a contig."""
        return contig in self.contigs or _alias(contig) in self._by_alias

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file as it is, packed or not."""
        found = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
        return found.hexdigest()

    def close(self) -> None:
        """Close the file, and remove a temporary index."""
        self._reader.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> "Genome":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_index(self, library: ModuleType, keep: bool) -> Mapping[str, Path]:
        """Index the file: beside it if that may be, else in a temporary folder."""
        beside = _beside(self.path)
        if keep and os.access(self.path.parent, os.W_OK):
            # in a folder of its own, and renamed as a whole: another process may do the same
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".index-") as folder:
                made = _index(library, self.path, Path(folder), self.key)
                for name in reversed(made):  # the .fai last, without which none is used
                    made[name].replace(beside[name])
            return beside
        self._temporary = tempfile.TemporaryDirectory(prefix="seqexp-index-")
        return _index(library, self.path, Path(self._temporary.name), self.key)

    def _open(self) -> None:
        library = _library(self.key)
        self._reader: Any = _reader(library, self.path, self._index, self.key)
        self._process = os.getpid()

    def _unknown(self, contig: str) -> InputError:
        names = [*self.contigs]
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        near = nearest(contig, names, close=0.5)
        hint = f"; did you mean {near}?" if near is not None else ""
        return InputError(
            f"{contig!r:.60} is no contig of {self.path}{hint} (there are {len(names)}: {shown})"
        )


def check_genome(path: Path | str, key: str = "genome") -> None:
    """Refuse at once what `Genome` would refuse, as far as the first bytes tell.

    Raises:
        InputError: as `Genome`.
    """
    _library(key)
    _refuse_other_files(Path(path), key)


def _library(key: str) -> ModuleType:
    try:
        import pyfaidx
    except ImportError as error:
        raise InputError(f"{key}: a package is missing (pyfaidx); {INSTALL}") from error
    found: ModuleType = pyfaidx
    return found


def _refuse_other_files(path: Path, key: str) -> None:
    said = f"{key} is {path}"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise InputError(f"{said}: {what}; {EXPECTED}")
    is_named_so = path.suffix.lower() in (".gz", ".bgz")
    if not is_gzipped(path):
        if is_named_so:
            raise InputError(f"{said}, which is not packed; remove {path.suffix} from its name")
        _refuse_other_text(path, said)
        return
    with path.open("rb") as file:
        start = file.read(18)
    if start[3:4] != b"\x04" or start[12:14] != b"BC":
        plain = path.with_suffix("") if is_named_so else path
        raise InputError(
            f"{said}, which is packed by gzip, so that pieces of it cannot be read by place; unpack"
            f" it, or pack it by bgzip: gunzip {path.name} && bgzip {plain.name}"
        )
    if not is_named_so:
        raise InputError(f"{said}, which is packed by bgzip; rename it to {path.name}.gz")


def _refuse_other_text(path: Path, said: str) -> None:
    with open_unpacked(path) as file:
        start = file.read(4096)
    first = start.lstrip()[:1]
    if not first:
        raise InputError(f"{said}, which is empty; {EXPECTED}")
    if first not in (b">", b";"):
        shown = start.lstrip()[:20].decode("utf-8", errors="replace")
        raise InputError(f"{said}, which begins with {shown!r}; {EXPECTED}")


def _beside(path: Path) -> dict[str, Path]:
    """Names of the index's files: `.fai`, and of a packed file `.gzi`."""
    endings = (".fai", ".gzi") if path.suffix.lower() in (".gz", ".bgz") else (".fai",)
    return {name: path.with_name(path.name + name) for name in endings}


def _is_current(path: Path, index: Mapping[str, Path]) -> bool:
    """Whether the index is there, not older than the file, and of this file."""
    changed = path.stat().st_mtime
    if not all(file.is_file() and file.stat().st_mtime >= changed for file in index.values()):
        return False
    return ".gzi" in index or _begins_lines(path, index[".fai"])


def _begins_lines(path: Path, index: Path) -> bool:
    """Whether each contig of an index begins where a line of the file does, and is all there."""
    size = path.stat().st_size
    with path.open("rb") as file, open_unpacked(index) as rows:
        for row in rows:
            fields = row.split(b"\t")
            if len(fields) != 5 or not all(field.strip().isdigit() for field in fields[1:]):
                return False
            count, offset = int(fields[1]), int(fields[2])
            file.seek(offset - 1)
            if offset + count > size or (count and file.read(1) not in (b"\n", b"\r")):
                return False
    return True


def _index(library: ModuleType, path: Path, folder: Path, key: str) -> dict[str, Path]:
    """Index a file in a folder."""
    index = {name: folder / f"genome{name}" for name in _beside(path)}
    _reader(library, path, index, key).close()
    return index


def _reader(library: ModuleType, path: Path, index: Mapping[str, Path], key: str) -> Any:
    try:
        return library.Faidx(
            path,
            indexname=index[".fai"],
            gzi_indexname=index.get(".gzi"),
            as_raw=True,
            strict_bounds=True,
        )
    except (library.FastaIndexingError, ValueError, OSError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{key} is {path}, which cannot be indexed: {said}; {EXPECTED}") from error


def _alias(contig: str) -> str:
    """The same for names of one contig in two ways of naming."""
    plain = contig.lower().removeprefix("chr")
    return "mt" if plain == "m" else plain


def _aliases(contigs: Iterable[str]) -> dict[str, str]:
    """Names by alias, of those that share theirs with no other."""
    found: dict[str, list[str]] = {}
    for name in contigs:
        found.setdefault(_alias(name), []).append(name)
    return {alias: names[0] for alias, names in found.items() if len(names) == 1}
