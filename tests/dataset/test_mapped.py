"""How large data are, before it is decided whether they are mapped."""

from pathlib import Path

from seqexp.dataset.mapped import size_of


def test_links_count_as_what_they_lead_to_and_a_dangling_one_as_nothing(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "texts"
    for one in (elsewhere, folder):
        one.mkdir()
    (elsewhere / "a.txt").write_bytes(b"12345")
    (elsewhere / "b.txt.gz").write_bytes(b"123")
    (folder / "own.txt").write_bytes(b"1")
    (folder / "class").symlink_to(elsewhere)
    (folder / ".#own.txt").symlink_to("ann@host.1234:5678")  # as Emacs locks a file
    assert size_of([folder]) == 1 + 5 + 3 * 3
    assert size_of([folder / "own.txt", elsewhere / "b.txt.gz"]) == 1 + 9
