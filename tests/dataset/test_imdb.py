"""Film reviews: found, checked, never unpacked; and the notebook's network."""

import functools
import gzip
import http.server
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from config.test_check import composed
from conftest import SHARED, write_reviews

from seqexp.config.check import check
from seqexp.config.instantiate import build
from seqexp.config.own import arguments
from seqexp.data import Data
from seqexp.dataset import imdb
from seqexp.dataset.cache import file_digest
from seqexp.dataset.download import download
from seqexp.dataset.imdb import ARCHIVE, IMDB
from seqexp.dataset.words import imdb_archive as archive
from seqexp.dataset.words.imdb_archive import reviews_of_archive, reviews_of_folder
from seqexp.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an archive of 60 reviews a split and class."""
    monkeypatch.setattr(archive, "NUM_REVIEWS", 60)
    write_reviews(tmp_path / ARCHIVE, 60)
    return tmp_path


def loaded(folder: Path, **choices: Any) -> Data:
    return IMDB(folder=str(folder), **choices).load()


def test_reviews_are_rows_of_words_with_their_class(folder: Path) -> None:
    data = loaded(folder, valid_share=0.2)
    assert data.spec.output_names == ("negative", "positive") and data.spec.num_outputs == 2
    assert [len(split) for split in data.splits().values()] == [96, 24, 120]
    assert all(split.targets.double().mean() == 0.5 for split in data.splits().values())
    symbols = data.spec.vocabulary.symbols
    for row, target in zip(data.train.tokens.tolist(), data.train.targets[:, 0], strict=True):
        words = [symbols[token - 1] for token in row]
        expected = ("good", "great", "moving") if target else ("bad", "dull", "silly")
        assert words[0] == "a" and words[1] in expected and words[2:5] == ["film", ".", "train"]


def test_words_that_were_not_trained_on_are_unknown(folder: Path) -> None:
    data = loaded(folder)
    assert "train" in data.spec.vocabulary.symbols and "test" not in data.spec.vocabulary.symbols
    assert (data.test.tokens[:, 4] == 1).all() and data.spec.vocabulary.symbols[0] == "<unk>"


def test_a_vocabulary_has_as_many_ids_as_asked_for(folder: Path) -> None:
    data = loaded(folder, max_tokens=6)
    assert len(data.spec.vocabulary) == 6
    assert data.spec.vocabulary.symbols == ("<unk>", ".", "a", "film", "train")
    assert data.train.tokens.max() == 5


def test_the_last_words_are_kept_and_short_reviews_are_padded_before(folder: Path) -> None:
    data = loaded(folder, max_length=3, truncate="head", pad="left")
    symbols = data.spec.vocabulary.symbols
    words = {tuple(symbols[token - 1] for token in row[:2]) for row in data.train.tokens.tolist()}
    assert data.spec.length == 3 and words == {(".", "train")}


def test_the_test_reviews_validate_where_that_is_asked_for(folder: Path) -> None:
    data = loaded(folder, valid_share=0.0, validate_on_test=True)
    assert len(data.train) == 120
    assert torch.equal(data.valid.tokens, data.test.tokens)
    assert torch.equal(data.valid.targets, data.test.targets)


def test_fewer_reviews_are_as_many_of_each_class(folder: Path) -> None:
    data = loaded(folder, num_train=20)
    assert len(data.train) == 20 and data.train.targets.double().mean() == 0.5
    assert torch.equal(data.valid.targets, loaded(folder).valid.targets)


def test_the_seed_chooses_the_reviews_that_are_held_out(folder: Path) -> None:
    assert loaded(folder).digest() == loaded(folder).digest() != loaded(folder, seed=1).digest()


def test_next_words_are_of_the_reviews_that_classes_are_of(folder: Path) -> None:
    classes, words = loaded(folder), loaded(folder, task="next_token")
    assert words.spec.output.value == "next_token"
    assert words.spec.vocabulary == classes.spec.vocabulary
    for name, split in words.splits().items():
        assert torch.equal(split.tokens, classes.splits()[name].tokens[:, :-1])


def test_folder_and_archive_and_cache_give_the_same(folder: Path, tmp_path: Path) -> None:
    first = loaded(folder, cache=str(tmp_path / "cache"))
    assert loaded(folder, cache=str(tmp_path / "cache")).digest() == first.digest()
    (tmp_path / "other").mkdir()
    with tarfile.open(folder / ARCHIVE) as packed:
        for member in filter(tarfile.TarInfo.isfile, packed):
            file, content = tmp_path / "other" / member.name, packed.extractfile(member)
            assert content is not None
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read())
    assert loaded(tmp_path / "other").digest() == first.digest()
    (tmp_path / "other/aclImdb/test/pos/3_1.txt").unlink()
    with pytest.raises(InputError, match="here are 59 in test/pos"):
        loaded(tmp_path / "other")


# --- archives that are not sound, or hostile --------------------------------------------------


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("/tmp/evil.txt"),
        member("../evil.txt"),
        member("aclImdb/train/pos/../../../../evil.txt"),
        member("aclImdb/train/pos/999_1.txt", 0, tarfile.SYMTYPE, "/etc/passwd"),
        member("aclImdb/train/pos/999_1.txt", 0, tarfile.LNKTYPE, "/etc/passwd"),
        member("aclImdb/train/pos/999_1.txt", 0, tarfile.CHRTYPE),
        member("aclImdb/train/pos/999_1.txt", 0, tarfile.FIFOTYPE),
        member("aclImdb/train/unsup/1_0.txt"),
    ],
    ids=lambda info: f"{info.name} of type {info.type!r}",
)
def test_what_is_no_review_is_neither_read_nor_written(folder: Path, hostile: Any) -> None:
    write_reviews(folder / ARCHIVE, 60, [hostile])
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    reviews = reviews_of_archive(folder / ARCHIVE)
    assert {split: len(texts) for split, texts in reviews.items()} == {"train": 120, "test": 120}
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
    assert not (folder.parent / "evil.txt").exists() and not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (member("aclImdb/train/pos/999_1.txt"), "here are 61 in train/pos"),
        (member("aclImdb/train/pos/5_1.txt"), "aclImdb/train/pos/5_1.txt is there twice"),
        (member("aclImdb/test/neg/1_2.txt", 2**20 + 1), "1_2.txt has 1,048,577 bytes"),
        (member("README", 2**20 + 1), "unpacks to more than 1,000,000 bytes"),
    ],
)
def test_archives_with_more_than_the_reviews_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, extra: Any, says: str
) -> None:
    if extra.name == "README":  # a bomb: much that is small when packed, and no review
        monkeypatch.setattr(archive, "MAX_UNPACKED", 1_000_000)
    write_reviews(folder / ARCHIVE, 60, [extra])
    with pytest.raises(InputError, match=f"{ARCHIVE}: .*{says}"):
        reviews_of_archive(folder / ARCHIVE)


HEADERS = {
    "pax": tarfile.XHDTYPE,
    "global pax": tarfile.XGLTYPE,
    "solaris pax": tarfile.SOLARIS_XHDTYPE,
    "long name": tarfile.GNUTYPE_LONGNAME,
    "long link": tarfile.GNUTYPE_LONGLINK,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_of_many_bytes_is_refused(folder: Path, kind: str) -> None:
    header = member("long", 400 * 2**20, HEADERS[kind]).tobuf()
    with gzip.open(folder / ARCHIVE, "wb", compresslevel=1) as packed:
        packed.write(header + b"30 mtime=1.0\n" * 100_000)
    with pytest.raises(InputError, match="'long' is a header of 419,430,400 bytes; at most 1,048"):
        reviews_of_archive(folder / ARCHIVE)


def test_archives_with_pax_headers_are_read(folder: Path) -> None:
    expected = reviews_of_archive(folder / ARCHIVE)
    with tarfile.open(folder / ARCHIVE) as plain:
        members = [(info, plain.extractfile(info)) for info in plain]
        with tarfile.open(folder / "pax.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as packed:
            for info, content in members:
                info.pax_headers = {"mtime": "1311183423.5", "comment": "a film"}
                packed.addfile(info, content)
            long = member("aclImdb/train/unsup/" + "x" * 300, 3)
            packed.addfile(long, io.BytesIO(b"abc"))
    found = reviews_of_archive(folder / "pax.tar.gz")
    assert {k: [d.text for d in v] for k, v in found.items()} == {
        k: [d.text for d in v] for k, v in expected.items()
    }


def test_many_members_are_passed_over_in_little_time(folder: Path) -> None:
    block = member("aclImdb/train/unsup/1_0.txt", 0).tobuf()
    content = gzip.decompress((folder / ARCHIVE).read_bytes())
    with gzip.open(folder / ARCHIVE, "wb", compresslevel=1) as packed:
        packed.write(block * 50_000 + content)
    began = time.process_time()
    assert len(reviews_of_archive(folder / ARCHIVE)["train"]) == 120
    assert time.process_time() - began < 10


def test_an_archive_of_another_sum_is_read_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (note,) = loaded(folder).notes
    assert "is not the published archive (SHA-256" in note and note.endswith("but is read")
    monkeypatch.setattr(imdb, "SHA256", file_digest(folder / ARCHIVE))
    assert loaded(folder).notes == ()


def test_a_review_that_is_no_text_is_named(folder: Path) -> None:
    with tarfile.open(folder / ARCHIVE, "w:gz") as packed:
        packed.addfile(member("aclImdb/train/pos/0_1.txt", 2), io.BytesIO(b"a\xff"))
    with pytest.raises(InputError, match="train/pos/0_1.txt is not UTF-8 text .byte 1"):
        reviews_of_archive(folder / ARCHIVE)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_damaged_archive_is_named(folder: Path, keep: float) -> None:
    content = (folder / ARCHIVE).read_bytes()
    (folder / ARCHIVE).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=f"{ARCHIVE}: is damaged or no .tar.gz archive"):
        loaded(folder)
    (folder / ARCHIVE).write_bytes(b"<html>not found</html>" * 50)
    with pytest.raises(InputError, match="is damaged or no .tar.gz archive"):
        loaded(folder)


def test_an_archive_with_too_few_reviews_says_how_many_there_are(folder: Path) -> None:
    write_reviews(folder / ARCHIVE, 59)
    with pytest.raises(InputError, match="59 in train/neg, 59 in train/pos, 59 in test/neg"):
        loaded(folder)
    with pytest.raises(InputError, match="here are 0 in train/neg"):
        reviews_of_folder(folder)


# --- the download -----------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """A server of the folder `home`, which has one file, `data.bin`."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/data.bin").write_bytes(b"data")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "home"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/data.bin"
        server.shutdown()
        thread.join()


SHA256_OF_DATA = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"
"""printf data | sha256sum"""


def test_a_download_gets_its_name_when_its_checksum_is_right(home: str, tmp_path: Path) -> None:
    download(home, SHA256_OF_DATA, tmp_path / "new/data.bin")
    assert (tmp_path / "new/data.bin").read_bytes() == b"data"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.bin"]


def test_a_damaged_download_is_named_and_removed(home: str, tmp_path: Path) -> None:
    says = f"{home}: the download is damaged.*it was removed.*put it at {tmp_path}/new/data.bin"
    with pytest.raises(InputError, match=says):
        download(home, "0" * 64, tmp_path / "new/data.bin")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/data.bin", "missing"])
def test_without_network_one_message_says_where_to_put_the_file(
    home: str, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = home.replace("data.bin", "no.bin") if url == "missing" else url
    monkeypatch.setattr(imdb, "URL", url)
    says = f"{url}: cannot be downloaded .*; download {url} yourself and put it at {tmp_path}/x/a"
    with pytest.raises(InputError, match=says):
        loaded(tmp_path / "x")


def test_a_place_that_cannot_be_written_to_is_named(home: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=f"{tmp_path}/file/x: .* cannot be written .*paths.data"):
        download(home, SHA256_OF_DATA, tmp_path / "file/x/data.bin")


# --- the notebook's experiment ----------------------------------------------------------------


def test_the_notebooks_network_has_its_number_of_parameters(golden: dict[str, Any]) -> None:
    config = check(composed("experiment=notebook/imdb"))
    words = tuple(f"word {number}" for number in range(19_999))
    dataset = config["dataset"]
    assert (dataset["max_tokens"], dataset["max_length"]) == (20_000, 80)
    from seqexp.spec import Output, TaskSpec, Vocabulary

    spec = TaskSpec(Vocabulary(words), 1, Output.SEQUENCE_CLASS, ("negative", "positive"), 80)
    model = build(arguments("model", config["model"]), spec=spec)
    assert sum(p.numel() for p in model.parameters()) == 2_691_713 == golden["params"][2]


@pytest.mark.slow
def test_the_real_reviews_are_tokenised_once_and_then_read_in_under_a_second(
    tmp_path: Path,
) -> None:
    if not (SHARED / ARCHIVE).is_file():
        pytest.skip("the reviews are not here")
    first = loaded(SHARED, cache=str(tmp_path), max_length=80)
    began = time.process_time()  # the machine may be busy
    second = loaded(SHARED, cache=str(tmp_path), max_length=80)
    assert time.process_time() - began < 1
    assert first.digest() == second.digest()
    assert [len(split) for split in second.splits().values()] == [22_500, 2_500, 25_000]
    assert len(second.spec.vocabulary) == 20_000
