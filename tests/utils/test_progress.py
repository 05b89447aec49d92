"""What a log says of a long work; what a terminal shows is in test_terminal."""

import logging
import time

import pytest

from seqexp.utils import progress as bar
from seqexp.utils.progress import Work


def test_a_log_has_a_line_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, "seqexp")
    with Work(200, "B", "encoding") as work:
        for _ in range(10):
            now[0] += bar.QUIET * 0.4
            work.advance(20)
    assert [record.message for record in caplog.records] == [
        f"encoding: {share}%" for share in (30, 60, 90)
    ]
