"""MLflow's environment variables that name a place to record in: seqexp does not follow them.

What a command does stands in the command, and is kept with the run.
"""

import logging
import os

from seqexp.tracking.store.address import absolute

PLACES = {
    "MLFLOW_TRACKING_URI": "tracking.uri",
    "MLFLOW_REGISTRY_URI": "tracking.uri",
    "MLFLOW_EXPERIMENT_NAME": "experiment_name",
    "MLFLOW_EXPERIMENT_ID": "experiment_name",
    "MLFLOW_RUN_ID": "",
}
"""Variables, and the keys that do the same."""


def unfollowed(uri: str, only_looks: bool = False) -> str | None:
    """One line on the variables that are set and name another place than a store; None: no one.

    Args:
        uri: of the store that is used.
        only_looks: whether runs are looked for there, and none is recorded.
    """
    names = [name for name in PLACES if not only_looks or name.endswith("URI")]
    given = {name: os.environ.get(name) for name in names}
    found = [n for n, v in given.items() if v and not (n.endswith("URI") and _is_same(v, uri))]
    if not found:
        return None
    keys = list(dict.fromkeys(PLACES[name] for name in found if PLACES[name]))
    verb = "is" if len(found) == 1 else "are"
    instead = f"; give {' and '.join(f'{key}=...' for key in keys)} instead" if keys else ""
    what = "looked for" if only_looks else "kept"
    return f"{', '.join(found)} {verb} not followed, runs are {what} in {uri}{instead}"


def _is_same(given: str, uri: str) -> bool:
    try:
        return absolute(given) == absolute(uri)
    except ValueError:  # no address
        return False


def quieten() -> None:
    """Have MLflow say nothing but warnings; to be called after its import, which undoes it."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
