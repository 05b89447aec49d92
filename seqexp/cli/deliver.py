"""Sends later what a run could not deliver while its store was away.

python -m seqexp deliver FOLDER [FOLDER...] [tracking.uri=URI]

FOLDER is a run's, or any above it. It is delivered to the store that you name: by tracking.uri, or
that of the folder `outputs` (or SEQEXP_OUTPUTS). A run of another store is not sent, and says which
that is. Exit status: 0 all is delivered, 1 something is not, 2 there is no such folder. Doing it
again changes nothing.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp.errors import InputError
from seqexp.tracking.journal.note import JOURNAL, NAME, UNWRITTEN, Note, deliver_command
from seqexp.tracking.store.address import absolute, database_file, default_uri, fault
from seqexp.tracking.store.environment import unfollowed
from seqexp.utils.files import inside
from seqexp.utils.lock import unused
from seqexp.utils.names import visible
from seqexp.utils.nearest import CLOSE_OPTION, did_you_mean
from seqexp.utils.streams import show

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "tracking.uri="


def main(words: Sequence[str]) -> int:
    """Deliver all journals below the folders that are given; returns the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    named = [text.removeprefix(KEY) for text in words if text.startswith(KEY)]
    folders = [text for text in words if not text.startswith(KEY)]
    wrong = _fault(named, folders)
    if wrong is not None:
        print(f"seqexp: {visible(wrong)}", file=sys.stderr)
        return 2
    uri = absolute(named[0]) if named else None
    away: dict[str, str] = {}
    if told := unfollowed(uri or default_uri()):
        print(visible(told), file=sys.stderr)
    results = [deliver(run, away, uri) for folder in folders for run in runs_below(Path(folder))]
    if not results:
        print("there is nothing to deliver: no run of seqexp was tracked below")
    return 0 if all(results) else 1


def _fault(named: Sequence[str], folders: Sequence[str]) -> str | None:
    """The fault of the arguments."""
    if len(named) > 1:
        return "tracking.uri stands twice"
    if named and (wrong := fault(named[0])):
        return wrong
    if not folders:
        return "no folder is given; --help says what to type"
    missing = [folder for folder in folders if not Path(folder).is_dir()]
    for word in missing:
        if word.startswith("-") or "=" in word:
            name = word.partition("=")[0].lstrip("-")
            hint = did_you_mean(name, [KEY.rstrip("=")], close=CLOSE_OPTION)
            return f"{word}: unknown{hint or '; give folders of runs'} (--help says what to type)"
    return f"there is no folder {', '.join(missing)}" if missing else None


def runs_below(folder: Path) -> list[Path]:
    """Folders of runs that have a journal."""
    if folder.name == JOURNAL and (folder / NAME).is_file():
        return [folder.parent]
    return sorted(note.parent.parent for note in folder.rglob(f"{JOURNAL}/{NAME}"))


def deliver(folder: Path, away: dict[str, str], uri: str | None = None) -> bool:
    """Deliver a run's journal and say how much that was; returns whether nothing is left.

    Args:
        folder: the run's; it may be of others.
        away: stores that did not answer, and why, so that each is waited for once only.
        uri: the store that the caller names; None is that of the configuration.
    """
    try:
        note = Note.read(inside(folder, JOURNAL))
        if note is None or note.run_id is None:
            show(f"{folder}: its run was never begun; nothing was told")
            return True
        _refuse_unnamed(folder, note, uri)
        with unused(folder) as is_abandoned:
            if not is_abandoned:
                show(f"{folder}: is still running; it delivers itself")
                return False
            is_delivered = _deliver(folder, uri or default_uri(), note.run_id, away)
            return is_delivered and not _says_unwritten(folder)
    except (InputError, OSError) as error:
        show(f"{folder}: NOT delivered ({error})")
        return False


def _refuse_unnamed(folder: Path, note: Note, uri: str | None) -> None:
    """A note is of whoever made the folder: it does not say where our token goes.

    Raises:
        InputError: if it names a store that the caller does not.
    """
    wrong = fault(note.uri)
    if wrong is not None and uri is None:
        raise InputError(f"the store of its note is none: {wrong}")
    if uri is None and absolute(note.uri) != default_uri():
        raise InputError(
            f"it was told to {note.uri}, and not to {default_uri()}. If you know that store and"
            f" want it sent there, name it:\n    {deliver_command(folder, note.uri)}\n "
        )
    if uri is not None and wrong is None and absolute(note.uri) != uri:
        show(f"{folder}: was told to {note.uri}, and is sent to {uri}, as you say")


def _deliver(folder: Path, uri: str, run_id: str, away: dict[str, str]) -> bool:
    from seqexp.tracking.journal.journal import Journal
    from seqexp.tracking.journal.sender import Outbox, first_line
    from seqexp.tracking.store.client import StoredRun
    from seqexp.tracking.store.points import curves_of

    journal = Journal(folder / JOURNAL)
    left = journal.told - journal.delivered
    try:
        client = _client(uri, away)
        client.get_run(run_id)  # before anything is sent: it may be another store
        run = StoredRun(client, run_id, journal.files, curves_of(uri))
        outbox = Outbox(journal, run.send)
        while outbox.deliver_batch():
            pass
        status = client.get_run(run_id).info.status
        if status == "RUNNING":  # it was killed before it could say so
            client.set_terminated(run_id, "KILLED")
            status = "KILLED"
    except Exception as error:  # whatever it is: say so, and go on with the next run
        undelivered = journal.told - journal.delivered
        show(f"{folder}: {undelivered} of {left} items NOT delivered ({first_line(error)})")
        return False
    finally:
        journal.close()
    refused = f", {len(outbox.refused)} refused" if outbox.refused else ""
    show(f"{folder}: {left} items delivered{refused}; run {run_id} is {status}")
    return True


def _client(uri: str, away: dict[str, str]) -> "MlflowClient":
    """A client of a store that answers.

    Raises:
        InputError: if it does not, or did not for an earlier run.
    """
    from seqexp.tracking.store.client import connect, input_errors

    if uri in away:
        raise InputError(away[uri])
    try:
        file = database_file(uri)
        if file is not None and not file.is_file():  # it would be made anew
            raise InputError(f"{file} is not there")
        with input_errors(uri):
            return connect(uri)
    except Exception as error:
        away[uri] = str(error)
        raise


def _says_unwritten(folder: Path) -> bool:
    """Say what is missing, since a full disk kept it from being written."""
    file = inside(folder, f"{JOURNAL}/{UNWRITTEN}")
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        names = opened.read(10_000).decode("utf-8", errors="replace").splitlines()
    shown = ", ".join(repr(name)[1:-1] for name in names[:12])
    print(
        f"{folder}: {len(names)} artifacts are MISSING, since the disk was full ({shown}); the"
        " run's command, given again, makes them, or deliver the folder that it named"
    )
    return True
