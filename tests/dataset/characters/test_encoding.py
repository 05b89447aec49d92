"""Long texts, encoded by several processes into a file: the same as a short one in memory."""

import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqexp.dataset import chars
from seqexp.dataset.characters import blocks
from seqexp.dataset.characters import encoding as characters
from seqexp.dataset.characters.blocks import Block, cut
from seqexp.dataset.characters.encoding import Characters, of_files, of_text
from seqexp.dataset.chars import Chars
from seqexp.dataset.read_only import only_looking
from seqexp.errors import InputError

TEXT = "Größe, 映画 and 𝄞:\r\nall\rin\none. " * 40
"""Characters of one to four bytes, and all line breaks."""

READ = TEXT.replace("\r\n", "\n").replace("\r", "\n")
"""As Python reads it."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


def same(a: Characters, b: Characters) -> bool:
    return a.symbols == b.symbols and a.ids.dtype == b.ids.dtype and np.array_equal(a.ids, b.ids)


@pytest.mark.parametrize("size", range(1, 18))
def test_blocks_hold_each_byte_once_and_cut_no_character(file: Path, size: int) -> None:
    found = cut(file, size)
    assert [found[0].start, *(block.stop for block in found)] == [
        *(block.start for block in found),
        len(TEXT.encode()),
    ]
    content = file.read_bytes()
    pieces = [content[block.start : block.stop] for block in found]
    assert "".join(piece.decode() for piece in pieces) == TEXT
    pairs = itertools.pairwise(pieces)
    assert not any(a.endswith(b"\r") and b.startswith(b"\n") for a, b in pairs)
    assert same(of_files([file], None, size=size), of_text(READ))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mapped_text_is_the_one_in_memory(file: Path, tmp_path: Path, workers: int) -> None:
    cache = tmp_path / "cache"
    found = [of_files([file, file], cache, workers, size=100) for _ in range(2)]
    for text in found:
        assert isinstance(text.ids, np.memmap) and same(text, of_text(READ + READ))
    assert [path.suffix for path in sorted(cache.iterdir())] == [".npy", ".json", ".lock"]


@pytest.mark.parametrize("name", ["text.txt", "text.txt.gz"])
def test_a_packed_text_is_mapped_too_and_unpacked_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, cache = tmp_path / name, tmp_path / "cache"
    file.write_bytes(gzip.compress("\ufeff".encode() + TEXT.encode()))
    found = [of_files([file, file], folder, 1, size=100) for folder in (None, cache)]
    assert isinstance(found[1].ids, np.memmap)
    assert all(same(text, of_text(READ + READ)) for text in found)
    assert [path.suffix for path in sorted(cache.iterdir())] == [".npy", ".json", ".lock"]
    monkeypatch.setattr(characters, "unpacked", None)
    assert same(of_files([file, file], cache, 1, size=100), found[0])


def test_a_packed_text_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(characters, "MAX_UNPACKED", 1000)
    file = tmp_path / "text.txt"
    file.write_bytes(gzip.compress(b"x" * 1001))
    with pytest.raises(InputError, match="text.txt: has more than 1,000 bytes unpacked"):
        of_files([file], None)
    file.write_bytes(b"x" * 1001)
    assert len(of_files([file], None).ids) == 1001


@pytest.mark.parametrize(
    ("num_symbols", "dtype"),
    [(255, np.uint8), (256, np.int16), (32767, np.int16), (32768, np.int32)],
)
def test_ids_have_the_narrowest_type_that_holds_them(num_symbols: int, dtype: type) -> None:
    text = "".join(map(chr, range(0x10000, 0x10000 + num_symbols)))
    found = of_text(text[::-1])
    assert found.ids.dtype == dtype
    assert found.ids.tolist() == list(range(num_symbols, 0, -1))


def test_ascii_among_many_symbols_is_found(tmp_path: Path) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    (tmp_path / "text.txt").write_text(text + "abc", encoding="utf-8")
    (first, *_, last) = cut(tmp_path / "text.txt", 3)
    assert blocks.encode(last, "abc" + text).tolist() == [1, 2, 3]
    assert blocks.encode(first, "abc" + text).tolist() == [4]


# --- data ---------------------------------------------------------------------------------------


def test_data_from_a_file_are_those_in_memory_to_the_bit(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chars, "of_files", partial(of_files, workers=1, size=100))
    in_memory = Chars(path=str(file), batch_size=3).load()
    mapped = Chars(path=str(file), batch_size=3, cache=str(tmp_path)).load()
    assert list(tmp_path.glob("*.npy"))
    assert mapped.spec == in_memory.spec and mapped.digest() == in_memory.digest()
    for name, split in mapped.splits().items():
        other = in_memory.splits()[name]
        assert split.tokens.dtype == torch.uint8 == other.tokens.dtype
        assert torch.equal(split.tokens, other.tokens)
        assert torch.equal(split.targets, other.targets)
        for ours, theirs in zip(split.batches(2, 5), other.batches(2, 5), strict=True):
            for part, expected in zip(ours.windows(7), theirs.windows(7), strict=True):
                assert part.tokens.dtype == part.targets.dtype == torch.int64
                assert torch.equal(part.tokens, expected.tokens)
                assert torch.equal(part.targets, expected.targets)


def test_a_digest_tells_streams_apart(tmp_path: Path) -> None:
    texts = ("abcabc", "abcacb", "abdabd")
    digests = {Chars(text=text, batch_size=1, test_share=0.0).load().digest() for text in texts}
    assert len(digests) == 3


def test_a_batch_of_a_stream_copies_nothing(file: Path) -> None:
    data = Chars(path=str(file), batch_size=4).load()
    (batch,) = data.train.batches(4, order_seed=1)
    assert batch.tokens.data_ptr() == data.train.tokens.data_ptr()
    assert batch.targets.data_ptr() == batch.tokens.data_ptr() + 1
    assert len(batch) == 4 and batch.num_scored() == data.train.targets.numel()


def test_a_stream_may_have_an_id_that_reads_as_ignore_in_a_byte() -> None:
    """-100 is 156 in a byte, and no target of a stream is left out."""
    text = "".join(map(chr, range(0x100, 0x100 + 200))) * 3
    data = Chars(text=text, batch_size=1, test_share=0.0).load()
    assert data.train.targets.dtype == torch.uint8 and 156 in data.train.targets.tolist()[0]
    (batch,) = data.train.batches(1)
    assert batch.num_scored() == data.train.targets.numel()


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_a_byte_that_is_no_text_is_named_wherever_it_stands(
    tmp_path: Path, workers: int | None
) -> None:
    cache = None if workers is None else tmp_path / "cache"
    sound = TEXT.encode()
    for place in (0, 50, len(sound) // 2, len(sound)):
        for wrong in (b"\xff", b"\x80\x80\x80\x80\x80", b"\xe6\x98"):
            # a border may fall into any of them
            border = sound[:place].decode(errors="ignore").encode()
            (tmp_path / "wrong.txt").write_bytes(border + wrong + sound[len(border) :])
            with pytest.raises(UnicodeDecodeError) as expected:
                (tmp_path / "wrong.txt").read_text(encoding="utf-8")
            message = rf"wrong.txt: is not UTF-8 text \(byte {expected.value.start}\)"
            with pytest.raises(InputError, match=message):
                of_files([tmp_path / "wrong.txt"], cache, workers, size=51)
        if workers == 2:
            break  # starting processes takes its time


def test_empty_files_of_a_folder_add_nothing(tmp_path: Path) -> None:
    for name, content in (("a", ""), ("b", "xy"), ("c", ""), ("d", "z")):
        (tmp_path / f"{name}.txt").write_text(content)
    found = of_files(sorted(tmp_path.glob("*.txt")), tmp_path / "cache", 1)
    assert same(found, of_text("xyz"))


def test_a_damaged_file_is_noticed_and_made_again(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    expected = of_files([file], None)
    of_files([file], cache, 1, size=100)
    kept = [path for path in sorted(cache.iterdir()) if path.suffix in (".npy", ".json")]
    for path in kept:
        sound = path.read_bytes()
        flipped = sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:]
        for damaged in (flipped, sound[: len(sound) // 2], b"", None):
            caplog.clear()
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            assert same(of_files([file], cache, 1, size=100), expected)
            assert damaged is None or "is damaged" in caplog.text
            assert path.read_bytes() == sound
            caplog.clear()
            of_files([file], cache, 1, size=100)
            assert "damaged" not in caplog.text


def rechecked(index: dict[str, Any], ids: np.ndarray) -> None:
    """Make the checksums of an altered entry right."""
    pairs = itertools.pairwise(index["borders"])
    index["checksums"] = [zlib.crc32(np.ascontiguousarray(ids[a:b])) for a, b in pairs]


CHANGES: dict[str, Any] = {
    "ids of no symbol": lambda index, ids: (index, ids + 200),
    "ids of padding": lambda index, ids: (index, ids * 0),
    "fewer symbols": lambda index, ids: ({**index, "symbols": index["symbols"][:5]}, ids),
    "symbols in disorder": lambda index, ids: ({**index, "symbols": index["symbols"][::-1]}, ids),
    "symbols as a list": lambda index, ids: ({**index, "symbols": [*index["symbols"]]}, ids),
    "wide ids": lambda index, ids: (index, ids.astype(np.int64)),
    "two axes": lambda index, ids: (index, ids[None]),
    "fewer ids": lambda index, ids: (index, ids[:-1]),
    "falling borders": lambda index, ids: ({**index, "borders": [0, 90, 30, len(ids)]}, ids),
    "borders from 1": lambda index, ids: ({**index, "borders": [1, len(ids)]}, ids),
    "no borders": lambda index, ids: ({**index, "borders": []}, ids),
    "borders in words": lambda index, ids: ({**index, "borders": ["0", len(ids)]}, ids),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_altered_file_is_noticed_and_made_again(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    cache = tmp_path / "cache"
    of_files([file], cache, 1, size=100)
    (entry,), (array,) = cache.glob("*.json"), cache.glob("*.npy")
    index = json.loads(json.loads(entry.read_bytes())["index"])
    index, ids = CHANGES[change](index, np.load(array))
    with suppress(TypeError):
        rechecked(index, ids)
    content = json.dumps(index)
    array.unlink()
    np.save(array, ids)
    entry.write_text(json.dumps({"index": content, "checksum": zlib.crc32(content.encode())}))
    assert same(of_files([file], cache, 1, size=100), of_text(READ))
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        '["scan", 0, 5]',
        '["scan", 0, ["abc", -5]]',
        '["scan", 0, ["abc", 99999999]]',
        '["scan", 0, ["cba", 5]]',
        '["scan", [], 1]',
        '["write", 0, "x"]',
        "[]",
        "{",
        "[" * 10**5,
    ],
)
def test_an_altered_journal_does_no_harm(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(blocks, "scan", stop)
        of_files([file], tmp_path, 1, size=100)
    (journal,) = tmp_path.glob("*.done")
    journal.write_text(journal.read_text() + line + "\n")
    assert same(of_files([file], tmp_path, 1, size=100), of_text(READ))


def test_another_content_is_another_entry(file: Path, tmp_path: Path) -> None:
    of_files([file], tmp_path, 1, size=100)
    file.write_bytes(TEXT.replace("all", "ALL").encode())
    assert same(of_files([file], tmp_path, 1, size=100), of_text(READ.replace("all", "ALL")))


def test_without_a_place_to_write_the_text_is_in_memory(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "no-folder").write_text("")
    found = of_files([file], tmp_path / "no-folder", 1, size=100)
    assert same(found, of_text(READ)) and "nothing is cached" in caplog.text


def test_who_only_looks_writes_nothing(file: Path, tmp_path: Path) -> None:
    with only_looking():
        assert same(of_files([file], tmp_path / "cache", 1, size=100), of_text(READ))
    assert not (tmp_path / "cache").exists()


# --- going on -----------------------------------------------------------------------------------


def test_blocks_that_are_done_are_not_done_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, Block]] = []
    allowed = [0]

    def counted(name: str) -> None:
        function = getattr(blocks, name)

        def once(block: Block, *rest: Any) -> Any:
            if len(done) == allowed[0]:
                raise KeyboardInterrupt
            result = function(block, *rest)
            done.append((name, block))
            return result

        monkeypatch.setattr(blocks, name, once)

    counted("scan")
    counted("write")
    num_blocks = len(cut(file, 100))
    assert num_blocks > 10
    for allowed[0] in range(3, 2 * num_blocks, 3):
        with pytest.raises(KeyboardInterrupt):
            of_files([file], tmp_path, 1, size=100)
    allowed[0] = -1
    assert same(of_files([file], tmp_path, 1, size=100), of_text(READ))
    assert len(done) == len(set(done)) == 2 * num_blocks


ENCODE = """
import sys, time
from pathlib import Path
from seqexp.dataset import characters
characters.of_files([Path(sys.argv[1])], Path(sys.argv[2]), 2, 200)
"""


def test_an_encoding_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    file, cache, whole = tmp_path / "text.txt", tmp_path / "cache", tmp_path / "whole"
    file.write_bytes(TEXT.encode() * 8)
    of_files([file], whole, 1, 200)
    journal: list[bytes] = []
    for wanted in (1, 60, 100):  # lines: of 63 blocks, scanned and then written
        command = [sys.executable, "-c", ENCODE, str(file), str(cache)]
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        while process.poll() is None and len(_lines(cache)) < wanted:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(cache.glob("*.json"))  # it was not done
        assert _lines(cache)[: len(journal)] == journal  # and began nothing anew
        journal = _lines(cache)
    known = len(journal)
    assert same(of_files([file], cache, 1, 200), of_files([file], None))
    assert known >= 100
    for path in sorted(whole.glob("*.*[!k]")):
        assert (cache / path.name).read_bytes() == path.read_bytes()


def _lines(cache: Path) -> list[bytes]:
    files = list(cache.glob("*.done"))
    lines = files[0].read_bytes().splitlines(keepends=True)[1:] if files else []
    return [line for line in lines if line.endswith(b"\n")]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.done"
    path.write_text('"plan"\n["scan", 0, 5]\n["scan", 1')
    with characters.Done(path, "plan") as done:
        assert done.found == {("scan", 0): 5}
        assert done.all("scan", int, [(5,), (6,)], 1, lambda index: None, lambda *_: True) == [5, 6]
    assert [json.loads(line) for line in path.read_text().splitlines()][2] == ["scan", 1, 6]
    with characters.Done(path, "another plan") as done:
        assert done.found == {}
