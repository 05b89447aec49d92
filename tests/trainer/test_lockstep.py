"""Trainings in lockstep: they take turns, in one thread, and each can be cut off."""

import contextvars
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from seqexp.trainer.lockstep import Replica, train_in_lockstep
from seqexp.trainer.replicas import JointUpdates, Result
from seqexp.trainer.training import Updates, Work


class Sums(JointUpdates):
    """Each even number and the sum of all; what is odd is left undone."""

    def do(self, works: Sequence[Work]) -> list[Result | None]:
        total = sum(work.masks for work in works)
        return [
            (Updates(tokens=work.masks, count=total), ()) if work.masks % 2 == 0 else None
            for work in works
        ]


def number(update: Any, value: int) -> tuple[int, int]:
    """An update of a number, and what comes of it."""
    work = Work.__new__(Work)  # of no training
    work.masks = value
    updates, _ = update(work)
    return updates.tokens, updates.count


def ended(*trains: Callable[[Any], Any]) -> list[Any]:
    replicas: list[Replica[Any]] = [Replica(train) for train in trains]
    train_in_lockstep(replicas, Sums())
    assert all(replica.has_ended and replica.work is None for replica in replicas)
    return [replica.outcome for replica in replicas]


def test_all_wait_for_each_other_and_go_on_in_their_order() -> None:
    seen = []

    def train(name: str, count: int, update: Any) -> str:
        for index in range(count):
            seen.append((name, number(update, 2 * index)))
        return name.upper()

    assert ended(partial(train, "a", 3), partial(train, "b", 2)) == ["A", "B"]
    assert seen == [
        *(("a", (0, 0)), ("b", (0, 0))),
        *(("a", (2, 4)), ("b", (2, 4))),
        ("a", (4, 4)),
    ]


def test_what_is_left_undone_is_done_by_its_own_training(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Updates(tokens=-1, count=1), ()
    monkeypatch.setattr("seqexp.trainer.lockstep.update", lambda work: alone)
    found = ended(lambda update: number(update, 2), lambda update: number(update, 3))
    assert found == [(2, 5), (-1, 1)]


def test_one_that_fails_leaves_the_others_going() -> None:
    def fails(update: Any) -> None:
        number(update, 2)
        raise ValueError("bad")

    failed, fine = ended(fails, lambda update: [number(update, n) for n in (4, 6)])
    assert str(failed) == "bad" and fine == [(4, 6), (6, 6)]


def test_one_that_is_cut_off_closes_what_is_open_where_it_waits() -> None:
    closed = []

    def train(update: Any) -> None:
        try:
            number(update, 2)
        finally:
            closed.append(threading.current_thread())

    waiting, new = Replica(train), Replica(train)
    waiting.go_on()
    error = KeyboardInterrupt()
    for replica in (waiting, new, waiting):
        replica.cut_off(error)
        assert replica.has_ended and replica.outcome is error
    assert closed == [threading.main_thread()]  # the new one had nothing open


def test_a_signal_reaches_the_one_that_trains() -> None:
    def told(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def train(update: Any) -> str:
        number(update, 2)
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            return "told"
        return "not told"

    before = signal.signal(signal.SIGTERM, told)
    try:
        assert ended(train, lambda update: number(update, 4)) == ["told", (4, 6)]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_each_has_the_context_of_its_start_and_changes_no_other() -> None:
    setting = contextvars.ContextVar("setting", default="none")
    setting.set("of all")

    def train(name: str, update: Any) -> tuple[str, str]:
        before = setting.get()
        setting.set(name)
        number(update, 2)
        return before, setting.get()

    assert ended(partial(train, "a"), partial(train, "b")) == [("of all", "a"), ("of all", "b")]
    assert setting.get() == "of all"
