"""Keeps the id of a journal's run beside it, as `run.json`."""

import json
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from seqexp.errors import InputError
from seqexp.tracking.store.address import absolute
from seqexp.utils.files import read_json, write_whole

NAME = "run.json"

JOURNAL = "tracking"
"""Folder of the journal, in the run's."""

UNWRITTEN = "unwritten.txt"
"""Beside it: names of artifacts that a full disk kept from being written."""

_WHAT = "note on a run: uri, token and run_id"


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
        """The note of a journal's folder, if there is one.

        Raises:
            InputError: if it is damaged, or is no note.
        """
        file = folder / NAME
        if not file.is_file():
            return None
        found = read_json(file, _WHAT)
        if not isinstance(found, dict) or set(found) - {"uri", "token", "run_id"}:
            raise InputError(f"{file}: is no {_WHAT}")
        uri, token, run_id = (found.get(key) for key in ("uri", "token", "run_id"))
        if not isinstance(uri, str) or not _is_id(token) or not (run_id is None or _is_id(run_id)):
            raise InputError(f"{file}: is no {_WHAT}")
        return cls(uri, str(token), run_id)

    def write(self, folder: Path) -> None:
        """Leave the note there, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / NAME, json.dumps(asdict(self)).encode())


def _is_id(value: object) -> bool:
    """Whether it is one as MLflow and `uuid` make them: it stands in a query and in addresses."""
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,64}", value) is not None


def deliver_command(folder: Path, uri: str) -> str:
    """The shell command that sends the undelivered items of a run's folder."""
    where = f"tracking.uri={absolute(uri)}"
    return f"python -m seqexp deliver {shlex.quote(str(folder))} {shlex.quote(where)}"
