"""Refuses places that cannot be recorded in, before any data is read.

Importing it has OmegaConf know `${sqlite:PATH}`, the address of a database's file.
"""

import unicodedata
from pathlib import Path

from omegaconf import OmegaConf

from seqexp.tracking.store.address import fault, is_served, sqlite_uri
from seqexp.utils.rules import Faults, Node

MAX_EXPERIMENT_NAME = 500
"""Characters that MLflow takes."""

OmegaConf.register_new_resolver("sqlite", lambda path: sqlite_uri(Path(path)), replace=True)


def store_has_an_address(tracking: Node) -> Faults:
    uri = tracking.get("uri")
    if uri is None:
        return
    wrong = fault(uri)
    if wrong is not None:
        yield wrong
    elif tracking["_target_"].endswith(".ServerTracker") and not is_served(uri):
        yield (
            f"tracking.uri is {uri!r}, no server's address; give http://HOST:PORT, or"
            " tracking=mlflow for a file of your own"
        )


def experiment_has_a_name(tracking: Node, experiment_name: str | None) -> Faults:
    name = experiment_name
    if tracking.get("uri") is None or not isinstance(name, str):
        return
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    if not name.strip():
        yield f"experiment_name is {name!r}; give a name, or null for the dataset's"
    elif len(name) > MAX_EXPERIMENT_NAME:
        yield (
            f"experiment_name is {shown!r}, of {len(name)} characters; MLflow takes at most"
            f" {MAX_EXPERIMENT_NAME}"
        )
    elif any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        yield f"experiment_name is {shown!r}; give one line without control characters"
