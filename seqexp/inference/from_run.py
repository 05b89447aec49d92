"""The weights of an earlier run, from which a model starts: `model.from_run`.

They are data: a task and tensors, held against `claims` and copied into the folder of outputs. No
class that the earlier run names is built, and nothing of its config is read. A run that resumes
needs neither the copy nor the store.
"""

import functools
import hashlib
import re
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from seqexp.config.groups import Config
from seqexp.errors import InputError
from seqexp.inference import claims
from seqexp.inference.saved_model import SPEC, WEIGHTS
from seqexp.model.warm_start import Weights
from seqexp.tracking.store.address import sqlite_uri
from seqexp.utils.files import digest, inside, read_json, write_whole

KEY = "model.from_run"

FOLDER = "from_runs"
"""Of the outputs: copies of weights, a folder a run."""

DIGITS = 16
"""Of a SHA-256 of weights and their task, in the name of a run."""

WHOLE = re.compile(rf"[0-9a-f]{{32}}@[0-9a-f]{{{DIGITS}}}")

FORM = re.compile(rf"[0-9a-f]{{1,32}}(@[0-9a-f]{{{DIGITS}}})?")


def settled(config: Config) -> Config:
    """The config with the whole name of the run that its model starts from, as ID@DIGEST.

    So all that identifies a run says which weights it started from.

    Raises:
        InputError: if there is no such run, it has no model, or its weights are others than those
            of the digest that is given.
    """
    given = config["model"].get("from_run")
    if given is None:
        return config
    name = _named(given, _store(config), str(_copies(config)))
    return {**config, "model": {**config["model"], "from_run": name}}


def run_of(name: str) -> str:
    """The id of the run in the name that `settled` gives."""
    return name.partition("@")[0]


def read(config: Config) -> Weights | None:
    """The weights of the run that a settled config names; None where it names none.

    Raises:
        InputError: if they are damaged, or cannot be had any more.
    """
    name = config["model"].get("from_run")
    if name is None:
        return None
    if not WHOLE.fullmatch(name):  # of a stored config it may be any text
        raise InputError(f"{KEY} is {str(name)[:100]!r}; expected is the name of a run, ID@DIGEST")
    folder = inside(Path(config["paths"]["outputs"]).absolute(), f"{FOLDER}/{name}")
    if not _is_whole(folder, name):
        with tempfile.TemporaryDirectory() as temporary:
            found = _download(name, _store(config), temporary)
            folder.mkdir(parents=True, exist_ok=True)
            for file in (SPEC, WEIGHTS):
                write_whole(folder / file, (found / file).read_bytes())
    spec = claims.task(read_json(folder / SPEC), str(folder / SPEC))
    claims.header(folder / WEIGHTS)
    try:
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors has its own error type for each kind of damage
        raise InputError(f"{folder / WEIGHTS}: is damaged ({error})") from error
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(
                f"{folder / WEIGHTS}: {key[:100]} has inf or nan: nothing to start from"
            )
    return Weights(run_of(name), spec, tensors)


def digest_of(folder: Path) -> str:
    """The first digits of the SHA-256 of the weights in a model's folder, and of their task."""
    told = " ".join(digest(folder / file) for file in (SPEC, WEIGHTS))
    return hashlib.sha256(told.encode()).hexdigest()[:DIGITS]


def _store(config: Config) -> str:
    """Address of the store; of a run that keeps nothing, that of the folder of outputs."""
    given = config["tracking"].get("uri")
    outputs = Path(config["paths"]["outputs"]).absolute()
    return str(given) if given is not None else sqlite_uri(outputs / "mlflow.db")


def _copies(config: Config) -> Path:
    return Path(config["paths"]["outputs"]).absolute() / FOLDER


@functools.cache
def _named(given: str, store: str, copies: str) -> str:
    """The same run for a whole process, so that all jobs of a sweep start from it."""
    if WHOLE.fullmatch(given) and _is_whole(Path(copies) / given, given):
        return given
    if not FORM.fullmatch(given):
        raise InputError(
            f"{KEY} is {given!r}; give the id of a run (32 digits and letters a to f), its first"
            " few, or on the command line latest or best"
        )
    with tempfile.TemporaryDirectory() as temporary:
        found = _download(given, store, temporary)
        return f"{_run_id(given, store)}@{digest_of(found)}"


def _is_whole(folder: Path, name: str) -> bool:
    """Whether a copy is there, and is of the content that its name says."""
    are_files = all((folder / file).is_file() for file in (SPEC, WEIGHTS))
    return are_files and digest_of(folder) == name.partition("@")[2]


@functools.cache
def _run_id(given: str, store: str) -> str:
    from seqexp.tracking.store.runs import Runs

    return str(Runs(store).find(run_of(given), KEY).info.run_id)


def _download(given: str, store: str, folder: str) -> Path:
    """The model of a run, in a folder of the caller's.

    Raises:
        InputError: if there is none, or its weights are not those of the digest.
    """
    from seqexp.tracking.store.runs import MODEL, Runs

    runs = Runs(store)
    run = runs.find(run_of(given), KEY)
    named = f"{KEY} is {given}, and run {run.info.run_id} ({run.info.run_name}, {run.info.status})"
    found = runs.download(run, MODEL, folder)
    if found is None:
        raise InputError(
            f"{named} has no model; it is kept when a run finishes, unless tracking.log_model=false"
        )
    for file in (SPEC, WEIGHTS):
        if not (found / file).is_file():
            raise InputError(f"{named} has a model without {file}")
    wanted, there = given.partition("@")[2], digest_of(found)
    if wanted and wanted != there:
        raise InputError(
            f"{named} has other weights now: the digest of its model is {there}; give"
            f" {KEY}={run.info.run_id} to start from these"
        )
    return found
