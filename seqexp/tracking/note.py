"""Which run a journal belongs to, kept beside it as `run.json`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "run.json"

JOURNAL = "tracking"
"""Folder of the journal, in the run's."""


@dataclass(frozen=True)
class Note:
    """Store and run of a journal.

    Args:
        uri: of the store.
        token: a tag of the run, written down before the run is created: where a kill came before
            its id could be noted, the run is found by it.
        run_id: None until the run is known.
    """

    uri: str
    token: str
    run_id: str | None = None

    @classmethod
    def read(cls, folder: Path) -> "Note | None":
        """The note of a journal's folder, if there is one."""
        file = folder / NAME
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

    def write(self, folder: Path) -> None:
        """Leave the note there, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / f"{NAME}.new"
        with written.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        written.replace(folder / NAME)
