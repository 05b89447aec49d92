"""What an earlier run has recorded of the epochs that a run of more epochs does not train again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqexp.callback.base import Observed
from seqexp.checkpoint.continuing import Earlier
from seqexp.errors import InputError
from seqexp.tracking.journal.note import JOURNAL, Note
from seqexp.tracking.store.address import absolute

OF_UPDATES = ("step/", "gradient_flow/", "valid/", "motif/")
"""Curves that are not, or not all, in the history of epochs."""

AT_END = "motif/"
"""Curves that have a point more at the last epoch, of the weights that were tested."""

log = logging.getLogger("seqexp")


def tell_again(run: Observed, earlier: Earlier, uri: str | None) -> None:
    """Record the points and pictures of an earlier run's epochs, which this one shares.

    Args:
        run: that goes on.
        earlier: that it goes on from.
        uri: of the store of both.
    """
    if not run.tracker.keeps:
        return
    history = run.story.history
    for epoch, metrics in history.items():
        run.tracker.metrics(metrics, epoch)
    known = {name for metrics in history.values() for name in metrics}
    try:
        points = _points(earlier, uri, known)
    except InputError as error:
        log.warning(f"curves of single updates stay in the earlier run: {error}")
        return
    for step, values in sorted(points.items()):
        run.tracker.metrics(values, step)


def tell_pictures(run: Observed, state: Mapping[str, Any]) -> None:
    """Record the pictures of filters that a state holds, an epoch each."""
    for epoch, image in state["parts"].get("show", {}).get("frames", {}).items():
        run.tracker.image(image.numpy().tobytes(), "filters", epoch)


def _points(earlier: Earlier, uri: str | None, known: set[str]) -> dict[int, dict[str, float]]:
    """Further points of the earlier run by step, from the store.

    Raises:
        InputError: if it is in another store, or that does not answer.
    """
    from seqexp.tracking.store.client import input_errors
    from seqexp.tracking.store.runs import Runs

    note = Note.read(earlier.folder / JOURNAL)
    if uri is None or note is None or note.run_id is None or absolute(note.uri) != absolute(uri):
        raise InputError("it is not in the store of this one")
    runs = Runs(uri)
    found: dict[int, dict[str, float]] = {}
    with input_errors(uri):
        names = runs.client.get_run(note.run_id).data.metrics
        for name in sorted({*names} - known):
            if name.startswith(OF_UPDATES):
                history = runs.client.get_metric_history(note.run_id, name)
                for step, value in _kept(name, history, earlier.epochs):
                    found.setdefault(step, {})[name] = value
    return found


def _kept(name: str, history: Sequence[Any], epochs: int) -> Iterator[tuple[int, float]]:
    """The points of a curve that a run of more epochs has too, by step."""
    last = [point for point in history if point.step == epochs]
    for point in history:
        if name.startswith(AT_END) and point.step == epochs:
            continue
        yield point.step, point.value
    if name.startswith(AT_END) and len(last) > 1:
        yield epochs, last[0].value
