"""Sends later what a run could not deliver while its store was away.

python -m seqexp.tracking.deliver FOLDER [FOLDER...]

FOLDER is a run's, or any above it. Exit status: 0 all is delivered, 1 something is not, 2 there is
no such folder. Doing it again changes nothing.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from seqexp.errors import InputError
from seqexp.streams import at_any_terminal, show
from seqexp.tracking.address import database_file
from seqexp.tracking.note import JOURNAL, NAME, Note


@at_any_terminal
def main(arguments: Sequence[str] | None = None) -> int:
    """Deliver all journals below the folders that are given; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seqexp.tracking.deliver", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    folders = parser.parse_args(arguments).folders
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        print(f"there is no folder {', '.join(missing)}", file=sys.stderr)
        return 2
    away: dict[str, str] = {}
    results = [deliver(run, away) for folder in folders for run in runs_below(folder)]
    if not results:
        print("there is nothing to deliver: no run of seqexp was tracked below")
    return 0 if all(results) else 1


def runs_below(folder: Path) -> list[Path]:
    """Folders of runs that have a journal."""
    if folder.name == JOURNAL and (folder / NAME).is_file():
        return [folder.parent]
    return sorted(note.parent.parent for note in folder.rglob(f"{JOURNAL}/{NAME}"))


def deliver(folder: Path, away: dict[str, str]) -> bool:
    """Deliver a run's journal and say how much that was; returns whether nothing is left.

    `away` holds stores that did not answer, and why, so that each is waited for once only.
    """
    from seqexp.tracking.orphans import abandoned  # MLflow: only where there is something to do

    note = Note.read(folder / JOURNAL)
    if note is None or note.run_id is None:
        show(f"{folder}: its run was never begun; nothing was told")
        return True
    with abandoned(folder) as is_abandoned:
        if not is_abandoned:
            show(f"{folder}: is still running; it delivers itself")
            return False
        return _deliver(folder, note.uri, note.run_id, away)


def _deliver(folder: Path, uri: str, run_id: str, away: dict[str, str]) -> bool:
    from seqexp.tracking.journal import Journal
    from seqexp.tracking.outbox import Outbox, first_line
    from seqexp.tracking.store import StoredRun, connect, input_errors

    journal = Journal(folder / JOURNAL)
    left = journal.told - journal.delivered
    try:
        if uri in away:
            raise InputError(away[uri])
        file = database_file(uri)
        if file is not None and not file.is_file():  # it would be made anew
            raise InputError(f"{file} is not there")
        with input_errors(uri):
            client = connect(uri)
        outbox = Outbox(journal, StoredRun(client, run_id, journal.files).send)
        while outbox.deliver_batch():
            pass
        if client.get_run(run_id).info.status == "RUNNING":  # it was killed before it could say so
            client.set_terminated(run_id, "KILLED")
    except Exception as error:  # whatever it is: say so, and go on with the next run
        away[uri] = str(error)
        undelivered = journal.told - journal.delivered
        show(f"{folder}: {undelivered} of {left} items NOT delivered ({first_line(error)})")
        return False
    finally:
        journal.close()
    status = client.get_run(run_id).info.status
    refused = f", {len(outbox.refused)} refused" if outbox.refused else ""
    show(f"{folder}: {left} items delivered{refused}; run {run_id} is {status}")
    return True


if __name__ == "__main__":
    sys.exit(main())
