"""A run's folder: found again by the same command, used by one process at a time."""

import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from seqexp.checkpoint import store
from seqexp.checkpoint.packed import pack, unpack
from seqexp.checkpoint.provenance import are_texts, is_result
from seqexp.checkpoint.result import Result
from seqexp.errors import InputError
from seqexp.utils.files import RESULT, RUN, inside, read_json, set_aside, write_whole
from seqexp.utils.lock import locked

log = logging.getLogger("seqexp")

CHECKPOINTS = "checkpoints"

TWIN = "twin"
"""Folder of the model that reads the other way round."""

STATE = (RUN, RESULT, CHECKPOINTS, TWIN, "tracking")
"""Files by which the same command resumes, instead of starting anew."""


class RunFolder:
    """The files of a run; keeps nothing where there is no folder.

    Args:
        path: the folder; None is none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def within(self, name: str) -> "RunFolder":
        """A folder inside, for a further training of the same run."""
        return RunFolder(None if self.path is None else self.path / name)

    def set_aside(self) -> None:
        """Move a run's files away, so that the next run starts anew."""
        if self.path is not None:
            set_aside(self.path, STATE)

    def run_id(self, origin: Mapping[str, str]) -> str | None:
        """The run that was begun here, None where there was none.

        Raises:
            InputError: if it was begun from something else, with the keys that differ.
        """
        noted = self._read(RUN)
        if noted is None:
            return None
        was: Any = noted.get("origin")
        run_id: str | None = noted.get("run_id")
        if not are_texts(was) or not (run_id is None or isinstance(run_id, str)):
            raise self._foreign(RUN)
        self._refuse_other(RUN, was, origin)
        return run_id

    def result(self) -> Result | None:
        """The result of the run, if it has finished."""
        found = self._read(RESULT)
        # of what, only the note on the run says
        if found is None or found.get("status") != "FINISHED" or self._file(RUN) is None:
            return None
        if not is_result(found):
            raise self._foreign(RESULT)
        known = {field.name for field in fields(Result)}  # another version may have others
        return Result(**{key: value for key, value in found.items() if key in known})

    def checkpoint(self, origin: Mapping[str, str]) -> dict[str, Any] | None:
        """The newest sound checkpoint, None where there is none.

        Raises:
            InputError: if all are damaged, or it is of another run, with the keys that differ.
        """
        if self.path is None:
            return None
        folder = inside(self.path, CHECKPOINTS)
        state, faults = store.newest(folder)
        for fault in faults:
            log.warning(f"{fault}; the checkpoint before it is used")
        if state is None:
            return None
        if not isinstance(state, dict) or not are_texts(state.get("origin")):
            raise self._foreign(CHECKPOINTS)
        self._refuse_other(CHECKPOINTS, state["origin"], origin)
        try:
            return dict(unpack(state, folder))
        except InputError as error:
            raise InputError(f"{folder}: {error}; force=true starts anew") from error

    def changed_reports(self, reports: Mapping[str, str]) -> list[str]:
        """A line for each way in which a run was reported otherwise than it is to be now."""
        noted = self._read(RUN)
        was: Any = {} if noted is None else noted.get("reports", {})
        if not are_texts(was):
            raise self._foreign(RUN)
        return [] if noted is None else list(_differing(was, reports))

    def new_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The tags and notes that the run has not yet been given."""
        was: Any = (self._read(RUN) or {}).get("labels", {})
        if not are_texts(was):
            raise self._foreign(RUN)
        return {key: value for key, value in labels.items() if was.get(key) != value}

    def label(self, labels: Mapping[str, str]) -> None:
        """Note tags and notes that a run has been given after its end."""
        noted = self._read(RUN)
        if noted is not None:
            self._write(RUN, {**noted, "labels": {**noted.get("labels", {}), **labels}})

    def begin(
        self,
        run_id: str | None,
        origin: Mapping[str, str],
        reports: Mapping[str, str],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Note which run this is, how it is reported, and what it is labelled with."""
        process = {"pid": os.getpid(), "host": platform.node()}
        what = {"origin": dict(origin), "reports": dict(reports), "labels": dict(labels or {})}
        self._write(RUN, {"run_id": run_id, **process, **what})
        if self.path is not None:  # of an interrupted one that goes on
            (self.path / RESULT).unlink(missing_ok=True)

    def save(self, state: Any) -> None:
        """Write a checkpoint."""
        if self.path is not None:
            folder = inside(self.path, CHECKPOINTS)
            store.write(folder, pack(state, folder))

    def end(self, result: Result) -> None:
        """Write the result. Of a finished run's checkpoints, the last one is kept."""
        self._write(RESULT, asdict(result))
        if self.path is not None and result.status == "FINISHED":
            store.drop(store.files(inside(self.path, CHECKPOINTS))[:-1])

    def _file(self, name: str) -> Path | None:
        path = None if self.path is None else self.path / name
        return path if path is not None and path.exists() else None

    def _read(self, name: str) -> dict[str, Any] | None:
        file = self._file(name)
        if file is None:
            return None
        try:
            found = read_json(file, "what seqexp notes on a run")
        except InputError as error:
            raise InputError(f"{error}; it cannot be read, and force=true starts anew") from error
        if not isinstance(found, dict):
            raise self._foreign(name)
        return found

    def _foreign(self, name: str) -> InputError:
        """The error for a file that seqexp has not written so."""
        assert self.path is not None
        return InputError(
            f"{self.path / name}: is not what seqexp writes there; force=true starts anew"
        )

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / name, json.dumps(content, indent=2).encode())

    def _refuse_other(self, name: str, was: Mapping[str, str], now: Mapping[str, str]) -> None:
        told = "\n  ".join(_differing(was, now))
        if not told:
            return
        assert self.path is not None
        raise InputError(
            f"{self.path / name}: is of another run; nothing was changed. Give what it had, another"
            f" hydra.run.dir, or force=true, which starts anew\n  {told}"
        )


@contextmanager
def owned(path: Path | None) -> Iterator[RunFolder]:
    """A run's folder, for this process alone.

    Raises:
        InputError: if another process has it.
    """
    if path is None:
        yield RunFolder(None)
        return
    path.mkdir(parents=True, exist_ok=True)
    for name in STATE:  # a link would have others' files written, or removed
        inside(path, name)
    refusal = "another process is running this; wait for it, or change the seed"
    with locked(path, refusal, seconds=3):  # who looks for orphans holds it for a moment
        yield RunFolder(path)


def _differing(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for key in {**was, **now}:
        if was.get(key) != now.get(key):
            yield f"{key}: was {_short(was.get(key))}, is {_short(now.get(key))}"


def _short(value: str | None) -> str:
    shown = "not there" if value is None else value
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
