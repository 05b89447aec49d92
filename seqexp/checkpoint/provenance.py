"""Identifies a run by its config and fingerprint, its data and its code."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seqexp
from seqexp.checkpoint.identity import (
    REPORTING_CODE,
    code_digest,
    computed,
    fingerprint,
    reporting_digest,
)
from seqexp.checkpoint.result import Start
from seqexp.config.groups import NOT_IN_FINGERPRINT, REPORTING, UNTOLD, Config
from seqexp.config.typed import command_line
from seqexp.tracking.labels import labels_of
from seqexp.tracking.tracker import RunFacts

if TYPE_CHECKING:
    from seqexp.data import Data  # PyTorch, which a sweep's own process has no use for

DATA = "the data's digest"
"""Key of the data's SHA-256 in what a run depends on."""

CODE = "the code's digest"
"""Key of the digest of the sources that compute."""


FROM_RUN = "seqexp.from_run"
"""Tag with the id of the run whose weights a model started from."""


MAX_WORDS = 60
"""Letters of what was typed, in the name of a run."""


def are_texts(value: Any) -> bool:
    """Whether a value is texts by key."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def is_result(found: Mapping[str, Any]) -> bool:
    """Whether a result has the fields and types that a summary and a table read."""
    metrics, summary = found.get("metrics", {}), found.get("summary", {})
    return (
        found.get("status") in ("FINISHED", "FAILED", "KILLED")
        and isinstance(found.get("run_id"), str | None)
        and isinstance(metrics, dict)
        and all(type(value) in (int, float) for value in metrics.values())
        and are_texts(summary)
        and type(found.get("seconds", 0.0)) in (int, float)
        and isinstance(found.get("error", ""), str)
        and isinstance(found.get("traceback", ""), str)
        and type(found.get("pruned")) in (int, type(None))
        and isinstance(found.get("history", {}), dict)
        and isinstance(found.get("gradient_flow", []), list)
    )


def run_facts(
    config: Config, start: Start, origin: Mapping[str, str], run_id: str | None, mark: int | None
) -> RunFacts:
    """Name, params and tags of a run; of one that resumes, also its id and where."""
    model, dataset = model_name(start), data_name(config, start)
    told = {key: value for key, value in config.items() if key not in UNTOLD}
    params = {**flatten(told), **start.choices}
    params["overrides"] = command_line(start.overrides)
    return RunFacts(
        experiment=config["experiment_name"] or dataset,
        name=start.name or run_name(model, dataset, config["seed"], start.overrides),
        params=params,
        tags={
            "seqexp.fingerprint": fingerprint(config),
            "seqexp.code": code_digest(tuple(config["trusted_packages"])),
            "seqexp.data_digest": origin[DATA],
            **code_version(),
            **lineage(config),
            **start.tags,
        },
        parent=start.parent,
        folder=start.folder,
        run_id=run_id,
        mark=mark,
        columns=start.swept or own_keys(start.overrides),
        labels=labels_of(config),
    )


def run_name(model: str, dataset: str, seed: int, overrides: Sequence[str]) -> str:
    """What a run is, and what sets it apart from the defaults: `cnn1d-fasta width=12 seed0`.

    Keys go by their last part, and files by their name.
    """
    pairs = [item.lstrip("+").partition("=")[::2] for item in overrides]
    unsaid = ("model", "dataset", "seed")
    own = [
        f"{key.rpartition('.')[2]}={Path(value).name if value.startswith(('/', '.')) else value}"
        for key, value in pairs
        if key in own_keys(overrides) and key not in unsaid
    ]
    words = " ".join(own)
    shown = f"{words[:MAX_WORDS]}..." if len(words) > MAX_WORDS else words
    return " ".join([f"{model}-{dataset}", *([shown] if shown else []), f"seed{seed}"])


def own_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of overrides that say what is computed and shown, in their order."""
    keys = [item.lstrip("+").partition("=")[0] for item in overrides]
    return [key for key in keys if key.partition(".")[0] not in (*NOT_IN_FINGERPRINT, "hydra")]


def lineage(config: Config) -> dict[str, str]:
    """The tag of a run whose model started from an earlier one: its id."""
    name = config["model"].get("from_run")
    return {} if name is None else {FROM_RUN: str(name).partition("@")[0]}


def origin_of(config: Config, data: "Data", num_processes: int = 1) -> dict[str, str]:
    """The facts that the state of a run depends on, by key: no other run may resume from it."""
    return {
        **flatten(computed(config)),
        DATA: data.digest(),
        "processes": str(num_processes),  # sums depend on them in the last bit
        "the task": json.dumps(data.spec.to_dict(), sort_keys=True),
        CODE: code_digest(tuple(config["trusted_packages"])),
    }


def reports_of(config: Config) -> dict[str, str]:
    """The facts that a report depends on, by key: the groups that only report, and their code."""
    told = {name: config[name] for name in REPORTING}
    return {**flatten(told), REPORTING_CODE: reporting_digest()}


def data_name(config: Config, start: Start) -> str:
    """The dataset's name on the command line, or its class where there was none."""
    return start.choices.get("dataset") or config["dataset"]["_target_"].rpartition(".")[2].lower()


def model_name(start: Start) -> str:
    """The model's name on the command line, where there was one."""
    return start.choices.get("model", "model")


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaves of a config by dotted key, as JSON writes them (texts without quotes)."""
    flat = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def code_version() -> dict[str, str]:
    """Commit of the source tree, if it is one, and versions of what computes."""
    tags = {"seqexp.version": seqexp.__version__, "seqexp.python": platform.python_version()}
    for package in ("torch", "numpy", "hydra-core", "mlflow"):
        tags[f"seqexp.{package}"] = metadata.version(package)
    folder = Path(seqexp.__file__).parent
    commit = git(folder, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = tags["seqexp.git_commit"] = commit
        tags["seqexp.git_dirty"] = json.dumps(bool(git(folder, "status", "--porcelain", ".")))
    return tags


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command; nothing where there is no git or no repository."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def sizes(data: "Data") -> dict[str, Any]:
    """Sequences a split, what the tokens mean, and what else is to be known."""
    counts = {f"num_{name}": len(split) for name, split in data.splits().items()}
    return {**counts, **data.spec.to_dict(), "notes": list(data.notes)}
