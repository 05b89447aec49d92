"""Seconds of a run by part add up, whatever part of them an earlier process took."""

from types import SimpleNamespace
from typing import Any

import pytest

from seqexp.callback.spent import memory, seconds_by_part, seconds_of_epochs
from seqexp.checkpoint.result import Story
from seqexp.utils.phases import DRAWING, READING


def test_an_epoch_is_training_and_validation() -> None:
    epoch = {"time/epoch_seconds": 5.0, "speed/sequences_per_second": 25.0}
    assert seconds_of_epochs({1: epoch, 2: epoch}, 100) == pytest.approx((8.0, 2.0))
    assert seconds_of_epochs({}, 100) == (0, 0)
    fast = {"time/epoch_seconds": 1.0, "speed/sequences_per_second": 99.0}
    assert seconds_of_epochs({1: fast}, 100)[1] == 0  # by rounding, never less than nothing


def test_parts_have_their_order_and_only_what_there_was() -> None:
    story = Story(spent={DRAWING: 2.0, READING: 1.0, "of no part": 9.0})
    data: Any = SimpleNamespace(train=[None] * 10)
    rows = seconds_by_part(story, data)
    assert [*rows.values()] == [1.0, 0.0, 0.0, 2.0]
    assert [*rows][:2] == ["reading the data", "training"]


def test_memory_is_in_bytes() -> None:
    assert all(size > 2**24 for size in memory().values())
