"""Refuses places that cannot be recorded in, before any data is read.

Importing it has OmegaConf know `${sqlite:PATH}`, the address of a database's file.
"""

import posixpath
import re
import unicodedata
from pathlib import Path

from omegaconf import OmegaConf

from seqexp.tracking.labels import leaves
from seqexp.tracking.store.address import fault, is_served, sqlite_uri
from seqexp.utils.names import one_line
from seqexp.utils.rules import Faults, Node

MAX_EXPERIMENT_NAME, MAX_KEY, MAX_TAG = 500, 250, 5000
"""Characters that MLflow takes: of an experiment's name, of a tag's name, of its value."""

MAX_NOTES = 4000
"""Characters; our own description stands in the same tag, of which MLflow keeps 8000."""

RESERVED = ("mlflow", "seqexp")
"""First parts of names of tags that have a meaning of their own."""

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


def tags_are_texts_by_name(tags: Node) -> Faults:
    for name, value in leaves(tags):
        shown = one_line(name)
        if not isinstance(value, str):
            yield f"tags.{shown} is {value!r}; give a text, as tags.{shown}=ann"
        elif len(value) > MAX_TAG:
            yield (f"tags.{shown} has {len(value):,} characters; MLflow takes at most {MAX_TAG:,}")
        if name.partition(".")[0].lower() in RESERVED:
            yield (
                f"tags.{shown}: tags that begin with {' or '.join(RESERVED)} are MLflow's and"
                " seqexp's own; give another name"
            )
        elif not re.fullmatch(r"[\w.\- :/]+", name) or len(name) > MAX_KEY:
            yield (
                f"tags.{shown}: MLflow takes names of at most {MAX_KEY} letters, digits, blanks"
                " and _ - . : /; give another"
            )
        elif posixpath.normpath(name) != name or name.startswith(("/", "..")):
            yield f"tags.{shown}: MLflow takes no name that is a path like this; give another"


def notes_have_room(notes: str | None) -> Faults:
    if notes is not None and len(notes) > MAX_NOTES:
        yield (
            f"notes has {len(notes):,} characters; give at most {MAX_NOTES:,}: what the run came"
            " to stands below them on its page"
        )


def model_can_be_registered(tracking: Node) -> Faults:
    name = tracking.get("register")
    if name is None:
        return
    if not tracking["log_model"]:
        yield (
            f"tracking.register is {name!r}, but tracking.log_model is false, so that there is no"
            " model to register; give one of them"
        )
    shown = one_line(name)
    if not re.fullmatch(r"[^/:'\"\x00-\x1f\x7f]+", name) or not name.strip() or name in (".", ".."):
        yield (
            f"tracking.register is {shown!r}; give a name in one line, without / : and quotation"
            " marks"
        )
    elif len(name) > MAX_KEY:
        yield f"tracking.register has {len(name)} characters; give at most {MAX_KEY}"


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
