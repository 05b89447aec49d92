"""A run of more epochs goes on from the last state of a finished one that is the same otherwise.

It ends with the bits of a run that trained all epochs itself: batches and masks depend on the seed
and the epoch. Where a schedule knows the number of all updates, it does not, and trains anew.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.checkpoint.folder import RunFolder
from seqexp.checkpoint.provenance import CODE, DATA, are_texts, reports_of
from seqexp.checkpoint.result import Result
from seqexp.config.groups import Config
from seqexp.config.signature import signature
from seqexp.errors import InputError
from seqexp.utils.files import RUN, read_json

EPOCHS = "trainer.epochs"
"""Key in which both runs differ."""

CONTINUED_FROM = "seqexp.continued_from"
"""Tag of a run: the id of the run of fewer epochs that it went on from."""

RUNS, SWEEPS = "runs", "sweeps"
"""Folders of all runs and of all sweeps, in `paths.outputs`."""

log = logging.getLogger("seqexp")


@dataclass(frozen=True)
class Earlier:
    """A finished run of fewer epochs.

    Args:
        folder: its own.
        origin: what it depended on, by key.
        result: what came of it.
    """

    folder: Path
    origin: Mapping[str, str]
    result: Result

    @property
    def epochs(self) -> int:
        """That it was to train, at most."""
        return int(self.origin[EPOCHS])


def state_to_continue(
    config: Config, folder: RunFolder, origin: Mapping[str, str]
) -> tuple[Earlier, dict[str, Any]] | None:
    """The finished run of the most epochs that this one goes on from, and its last state.

    None where there is none. What keeps a run from it is said in a line.

    Args:
        config: of this run.
        folder: of this run, beside those of others.
        origin: what it depends on, by key.
    """
    if folder.path is None or config["force"]:
        return None
    found = sorted(_earlier(folder.path, origin), key=lambda one: -one.epochs)
    for earlier in found[:1]:
        why = why_not(config, earlier, origin) or _reported(config, earlier)
        state: dict[str, Any] | None = None
        if why is None:
            try:
                state = RunFolder(earlier.folder).checkpoint(earlier.origin)
                why = "it kept no checkpoint" if state is None else None
            except InputError as error:
                why = str(error)
        named = f"{earlier.folder.name} ({EPOCHS}={earlier.epochs}, run {earlier.result.run_id})"
        if why is not None or state is None:
            log.info(f"does not go on from {named}: {why}; trains from the start")
            return None
        log.info(f"goes on from {named}")
        return earlier, as_own(state, origin)
    return None


def as_own(state: Mapping[str, Any], origin: Mapping[str, str]) -> dict[str, Any]:
    """The last state of an earlier run as one of this run: nothing of it is recorded yet."""
    parts = state["parts"]
    own = {**parts, "story": {**parts["story"], "run_id": None}}
    return {**state, "origin": dict(origin), "mark": 0, "parts": own}


def _earlier(folder: Path, origin: Mapping[str, str]) -> Iterator[Earlier]:
    """Finished runs beside a folder that differ in fewer epochs, and perhaps in their code."""
    for place in _beside(folder):
        with suppress(InputError, OSError, ValueError):  # a damaged one is left alone
            noted = read_json(place / RUN)
            was: Any = noted.get("origin") if isinstance(noted, dict) else None
            if place == folder or not are_texts(was) or was.get(DATA) != origin[DATA]:
                continue
            differing = {key for key in {**was, **origin} if was.get(key) != origin.get(key)}
            if EPOCHS not in differing or differing - {EPOCHS, CODE}:
                continue
            result = RunFolder(place).result()
            if int(was[EPOCHS]) < int(origin[EPOCHS]) and result is not None:
                yield Earlier(place, was, result)


def _beside(folder: Path) -> Iterator[Path]:
    """Folders of runs of the same model, data and seed; of a sweep's job, of jobs of all sweeps.

    None where a run was given a folder elsewhere: what lies beside that is somebody's.
    """
    name, dash, _ = folder.name.rpartition("-")
    if folder.parent.name == RUNS:
        pattern = f"{_plain(name)}-*/{RUN}" if dash else f"*/{RUN}"
        yield from sorted(file.parent for file in folder.parent.glob(pattern))
    elif folder.parent.parent.name == SWEEPS:
        yield from sorted(file.parent for file in folder.parent.parent.glob(f"*/*/{RUN}"))


def _plain(name: str) -> str:
    return "".join("?" if letter in "[]*" else letter for letter in name)


def _reported(config: Config, earlier: Earlier) -> str | None:
    """The first way in which an earlier run was reported otherwise, so that curves differ."""
    changes = RunFolder(earlier.folder).changed_reports(reports_of(config))
    return f"it was reported otherwise ({changes[0]})" if changes else None


def why_not(config: Config, earlier: Earlier, origin: Mapping[str, str]) -> str | None:
    """Why a run cannot go on from an earlier one; None if it can."""
    trainer, schedule = config["trainer"], str(config["schedule"]["_target_"])
    if earlier.origin.get(CODE) != origin.get(CODE):
        return "the code that computes is another one now"
    if config.get("callbacks"):
        return "what callbacks of your own have recorded of its epochs is not recorded again"
    if earlier.result.pruned is not None:
        return f"a search stopped it after epoch {earlier.result.pruned}"
    if "total_steps" in signature(schedule).parameters:
        return f"{schedule.rpartition('.')[2]} plans the learning rate for all epochs"
    if trainer["starts"] > 1 and earlier.epochs < trainer["start_epochs"]:
        return f"its initial weights were chosen by {earlier.epochs} epochs"
    return None
