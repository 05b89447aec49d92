"""Archives: files are read in one pass, whoever packed them; nothing is unpacked to disk."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats.archives import is_archive, read_members

LONG = "folder/" + "x" * 150 + "/é.csv"


def packed(path: Path, files: dict[str, bytes], format: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def names(path: Path, endings: tuple[str, ...] = (".csv",)) -> dict[str, bytes]:
    return dict(read_members(path, endings, 1000, 10**6))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_read_with_their_whole_names(tmp_path: Path, format: int) -> None:
    files = {"./a.csv": b"1", LONG: b"22", "b.CSV.gz": b"333", "c.txt": b"4"}
    expected = {"a.csv": b"1", LONG: b"22", "b.CSV.gz": b"333"}
    assert names(packed(tmp_path / "a.tar.gz", files, format)) == expected


def test_what_systems_leave_is_no_data(tmp_path: Path) -> None:
    files = {"._a.csv": b"", "__MACOSX/a.csv": b"", ".hidden/a.csv": b"", "a.csv": b"1"}
    assert names(packed(tmp_path / "a.tgz", files)) == {"a.csv": b"1"}


def test_links_and_folders_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("a.csv")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("b.csv")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"1"))
    assert names(path) == {"b.csv": b"1"}


def test_a_name_that_leads_elsewhere_is_a_name(tmp_path: Path) -> None:
    found = names(packed(tmp_path / "a.tar.gz", {"../../a.csv": b"1", "/b.csv": b"2"}))
    assert set(found) == {"../../a.csv", "/b.csv"} and list(tmp_path.iterdir()) == [
        tmp_path / "a.tar.gz"
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is damaged or no .tar archive .it is empty, or cut off"),
        (b"no archive" * 100, "is damaged or no .tar archive"),
        (gzip.compress(b"\0" * 10**7, mtime=0), "has more than 1,000,000 bytes unpacked"),
        (gzip.compress(b"x" * 2000, mtime=0)[:-9], "cannot be read|is damaged"),
        (b"PK\x03\x04", "is a ZIP archive"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.tar.gz: {says}"):
        names(path)


def test_a_file_that_is_cut_off_twice_there_or_too_large_is_refused(tmp_path: Path) -> None:
    whole = gzip.decompress(packed(tmp_path / "a.tar.gz", {"a.csv": b"1" * 900}).read_bytes())
    (tmp_path / "b.tar").write_bytes(whole[:700])
    with pytest.raises(InputError, match="a.csv is cut off"):
        names(tmp_path / "b.tar")
    (tmp_path / "c.tar").write_bytes(whole[:1536] + whole)
    with pytest.raises(InputError, match="a.csv is there twice"):
        names(tmp_path / "c.tar")
    packed(tmp_path / "d.tar.gz", {"a.csv": b"1" * 1001})
    with pytest.raises(InputError, match="a.csv has 1,001 bytes; at most 1,000 are read"):
        names(tmp_path / "d.tar.gz")


def test_a_header_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)
    with pytest.raises(InputError, match="is a header of 1,099,511,627,776 bytes; at most"):
        names(tmp_path / "a.tar")


def test_an_archive_is_known_by_its_name() -> None:
    known = ("a.tar", "a.tar.gz", "a.TGZ", "a.b.tar")
    assert all(is_archive(Path(name)) for name in known)
    assert not any(is_archive(Path(name)) for name in ("a.csv.gz", "a.npz", "tar"))
