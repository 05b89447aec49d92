"""The journal on disk, and the outbox that delivers it, without MLflow."""

import errno
import logging
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seqexp.tracking.journal import journal as journal_module
from seqexp.tracking.journal.items import (
    End,
    Files,
    Inputs,
    Item,
    Mark,
    Points,
    Tags,
    from_line,
    to_line,
)
from seqexp.tracking.journal.journal import Journal, Reader
from seqexp.tracking.journal.sender import Outbox, Postman
from seqexp.tracking.store.address import fault

ITEMS: list[Item] = [
    Points({"loss": 0.1 + 0.2, "x": float("inf"), "y": -0.0}, 3, 1_700_000_000_123),
    Tags({"note": "a\nb é"}),
    Inputs("motif", "ab" * 32, {"num_train": 3}),
    Files("000000000003", image=("filters", 2)),
    Files("000000000004", table="comparison.json"),
    Mark([("point", "loss", 3, 2)]),
    End("FINISHED", 5),
]


def written(journal: Journal, start: int = 0) -> list[Item]:
    return [item for _, item in iter(Reader(journal, start).take, None)]


def point(step: int, key: str = "loss") -> Points:
    return Points({key: step / 7}, step, 1000 + step)


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_comes_back_from_its_line_as_it_was(item: Item) -> None:
    assert to_line(from_line(to_line(item))) == to_line(item)


def test_a_journal_torn_at_any_byte_keeps_all_items_before_it_and_goes_on(tmp_path: Path) -> None:
    lines = [to_line(item) for item in ITEMS]
    content = b"".join(lines)
    for size in range(len(content) + 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "journal-000000000000.jsonl").write_bytes(content[:size])
        journal = Journal(folder)
        whole = max(n for n in range(len(lines) + 1) if len(b"".join(lines[:n])) <= size)
        assert journal.told == whole
        journal.append(point(9))
        assert [to_line(item) for item in written(journal)] == [*lines[:whole], to_line(point(9))]
        journal.close()


def test_zeros_of_a_power_failure_are_cut_off(tmp_path: Path) -> None:
    good = to_line(point(1))
    (tmp_path / "journal-000000000000.jsonl").write_bytes(good + b"\0" * 50 + b"\n")
    (tmp_path / "delivered").write_bytes(b"\0" * 20)
    journal = Journal(tmp_path)
    assert (journal.told, journal.delivered) == (1, 0)
    journal.close()


def test_what_was_told_after_a_mark_comes_again_as_often_as_it_was_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(point(0))
    mark = journal.mark({})
    for item in (
        point(1),
        point(1),
        point(2, "x"),
        Files("000000000007", ("filters", 1)),
        Tags({}),
    ):
        journal.append(item)
    again = {("point", "loss", 1): 2, ("point", "x", 2): 1, ("image", "filters", 1): 1}
    assert journal.comes_again(mark) == again
    assert journal.comes_again(0) == Counter(again) + Counter({("point", "loss", 0): 1})
    assert journal.comes_again(mark + 1) is None  # there is an item of this number, but no mark
    journal.close()


def test_a_mark_keeps_what_is_still_to_come_again(tmp_path: Path) -> None:
    """Killed once more, while only a part of it had come."""
    journal = Journal(tmp_path)
    mark = journal.mark({("point", "loss", 7): 2, ("point", "loss", 6): 0})
    journal.append(point(8))
    assert journal.comes_again(mark) == {("point", "loss", 7): 2, ("point", "loss", 8): 1}
    journal.close()


def test_a_long_run_keeps_three_marks_and_only_what_is_needed(tmp_path: Path) -> None:
    journal, marks = Journal(tmp_path), []
    for step in range(20):
        journal.append(point(step))
        journal.keep_position(journal.told)
        marks.append(journal.mark({}))
    assert len(journal.segments()) == 4
    for index, mark in enumerate(marks[-3:]):
        assert journal.comes_again(mark) == {("point", "loss", 18 + i): 1 for i in range(index, 2)}
    assert journal.comes_again(marks[0]) is None and journal.comes_again(0) is None
    journal.close()
    again = Journal(tmp_path)
    assert (again.told, again.delivered) == (40, 39)
    again.close()


def test_who_waits_at_the_end_of_a_segment_goes_on_when_it_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    reader = Reader(journal, 0)
    seen: list[int] = []

    def read_meanwhile(descriptor: int) -> None:  # the mark is told, the next segment not begun
        if not seen:
            seen.extend(number for number, _ in iter(reader.take, None))
            journal.keep_position(journal.told)

    journal.append(point(0))
    with monkeypatch.context() as patch:
        patch.setattr("seqexp.tracking.journal.journal.os.fsync", read_meanwhile)
        journal.mark({})
    assert seen == [0, 1]
    for step in range(1, 9):
        journal.append(point(step))
        journal.mark({})
    assert journal.segments()[0] > 0
    assert [number for number, _ in iter(reader.take, None)] == list(range(2, 18))
    journal.close()


def test_what_is_not_delivered_is_never_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for step in range(20):
        journal.append(point(step))
        journal.mark({})
    assert [item for item in written(journal) if isinstance(item, Points)] == [
        point(step) for step in range(20)
    ]
    journal.close()


def test_numbers_go_on_after_the_checkpoints_where_a_journal_was_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path, first=7)
    assert journal.comes_again(7) is None
    assert journal.told == journal.delivered == 7
    journal.append(point(1))
    assert journal.mark({}) == 9
    assert len(written(journal, 7)) == 2
    journal.close()


def test_while_the_disk_is_full_items_wait_and_are_then_written_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal, real, room = Journal(tmp_path), os.write, [30]

    def write(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = real(descriptor, content[: room[0]])  # the last bytes there is room for
        room[0] -= size
        return size

    monkeypatch.setattr(os, "write", write)
    for step in range(5):
        journal.append(point(step))
    assert written(journal) == []
    mark = journal.mark({})
    room[0] = 10**6
    journal.append(point(5))
    items = written(journal)
    assert [item.step for item in items if isinstance(item, Points)] == list(range(6))
    assert journal.comes_again(mark) == {("point", "loss", 5): 1}
    assert caplog.text.count("No space left") == 1
    journal.close()


def test_artifacts_that_are_delivered_during_a_mark_do_not_hinder_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path)
    folders = [journal.files / name for name in ("1", "2")]
    for folder in folders:
        folder.mkdir()
        (folder / "x.png").write_bytes(b"x")
    real, synced = journal_module.sync, list[Path]()

    def sync(path: Path) -> None:
        synced.append(path)
        real(path)
        if path.name == "x.png":  # now the other thread sends what comes after it
            (other,) = set(folders) - {path.parent}
            shutil.rmtree(other, ignore_errors=True)

    monkeypatch.setattr(journal_module, "sync", sync)
    journal.mark({})
    assert sum(folder.exists() for folder in folders) == 1
    assert synced[-1] == tmp_path and caplog.text == ""
    journal.close()


# --- delivery ---------------------------------------------------------------------------------


class Store:
    """Takes items, when it likes to."""

    def __init__(self, fails: Callable[[], bool] = lambda: False) -> None:
        self.taken: list[Item] = []
        self.calls = 0
        self._fails = fails

    def send(self, items: Sequence[Item]) -> list[str]:
        self.calls += 1
        if self._fails():
            raise ConnectionError("no route")
        self.taken += items
        return []


def test_all_is_delivered_in_order_points_together(tmp_path: Path) -> None:
    journal, store = Journal(tmp_path), Store()
    told: list[Item] = [*map(point, range(50)), Tags({"a": "b"}), *map(point, range(50, 60))]
    for item in told:
        journal.append(item)
    journal.mark({})
    outbox = Outbox(journal, store.send)
    while outbox.deliver_batch():
        pass
    assert store.taken == told and store.calls == 3
    assert outbox.left == 0
    journal.close()


def test_a_store_that_fails_at_random_gets_each_item_once_in_order(tmp_path: Path) -> None:
    chance = random.Random(0)
    journal, store = Journal(tmp_path), Store(lambda: chance.random() < 0.7)
    outbox, told = Outbox(journal, store.send), []
    for step in range(300):
        told.append(point(step) if step % 3 else Tags({"step": str(step)}))
        journal.append(told[-1])
        for _ in range(chance.randrange(3)):
            try:
                outbox.deliver_batch()
            except ConnectionError:
                continue
    assert 0 < len(store.taken) < 300
    outbox = Outbox(journal, store.send)  # another process
    while outbox.left:
        try:
            outbox.deliver_batch()
        except ConnectionError:
            continue
    assert store.taken == told
    journal.close()


def test_an_end_before_a_resume_is_not_delivered_after_it(tmp_path: Path) -> None:
    journal, store = Journal(tmp_path), Store()
    for item in (point(0), End("KILLED", 1), point(1), End("FINISHED", 2)):
        journal.append(item)
    outbox = Outbox(journal, store.send, since=2)
    while outbox.deliver_batch():
        pass
    assert store.taken == [point(0), point(1), End("FINISHED", 2)]
    journal.close()


def test_a_slow_store_does_not_slow_the_one_who_tells(tmp_path: Path) -> None:
    told = threading.Event()
    journal = Journal(tmp_path)
    store = Store(lambda: not told.wait(20))  # answers when all is told; else it fails
    outbox = Outbox(journal, store.send)
    postman = Postman(outbox, "store")
    for step in range(1000):
        journal.append(point(step))
        postman.told(point(step))
    told.set()
    assert postman.close(patience=20)
    assert len(store.taken) == 1000 and outbox.left == 0
    journal.close()


def test_what_is_told_while_points_are_sent_waits_for_more(tmp_path: Path) -> None:
    journal, talks = Journal(tmp_path), threading.Event()

    def goes_on() -> bool:
        if not talks.is_set():
            journal.append(point(store.calls))
        return False

    store = Store(goes_on)
    journal.append(point(0))
    postman = Postman(Outbox(journal, store.send), "store")
    time.sleep(0.2)
    assert store.calls == 1
    talks.set()
    assert postman.close(patience=20)
    assert store.taken == [point(0), point(1)]
    journal.close()


def test_patience_ends_and_what_is_left_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, store = Journal(tmp_path), Store(lambda: True)
    outbox = Outbox(journal, store.send)
    postman = Postman(outbox, "the store")
    journal.append(point(0))
    postman.told(Tags({}))
    began = time.monotonic()
    assert not postman.close(patience=0)
    assert time.monotonic() - began < 10
    assert outbox.left == 1 and outbox.reason == "ConnectionError: no route"
    assert caplog.text.count("the store takes nothing now (ConnectionError: no route)") == 1
    journal.close()


def test_what_is_refused_is_set_aside_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path)
    outbox = Outbox(journal, lambda items: [f"{item} (bad)" for item in items if item == Tags({})])
    for item in (Tags({}), point(0), Tags({}), point(1)):
        journal.append(item)
    with caplog.at_level(logging.WARNING):
        while outbox.deliver_batch():
            pass
    assert outbox.left == 0 and len(outbox.refused) == 2
    assert caplog.text.count("the store refuses") == 1
    assert (tmp_path / "refused.txt").read_text().count("(bad)") == 2
    journal.close()


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["sqlite:////a/b.db", "http://127.0.0.1:5000", "https://h/mlflow"])
def test_a_file_or_a_server_is_an_address(uri: str) -> None:
    assert fault(uri) is None


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "mlruns", "sqlite://", "http://", "http://h:x", "databricks"]
)
def test_another_address_is_refused_with_what_is_allowed(uri: str) -> None:
    assert "sqlite:////absolute/path.db, or http://HOST:PORT" in str(fault(uri))


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    message = str(fault("http://me:secret@host:5000"))
    assert "password for host" in message and "MLFLOW_TRACKING_PASSWORD" in message
    assert "secret" not in message
