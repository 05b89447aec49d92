"""What identifies a run: its config and fingerprint, its data, its code."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import seqexp
from seqexp.config import Config
from seqexp.identity import code_digest, fingerprint
from seqexp.spec import Data
from seqexp.tracking.tracker import RunFacts, Status

RESULT = "result.json"
"""File in a run's folder that a sweep reads its table from."""


@dataclass(frozen=True)
class Start:
    """What the command line knows beside the config."""

    choices: Mapping[str, str] = field(default_factory=dict)  # group -> option
    overrides: Sequence[str] = ()
    folder: Path | None = None  # of the run's files; None writes none
    parent: str | None = None  # run id of the sweep
    name: str | None = None


@dataclass
class Result:
    """What came of a run."""

    status: Status = "FINISHED"
    run_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    gradient_flow: list[dict[str, Any]] = field(default_factory=list)  # first and last, by lag
    history: dict[int, dict[str, float]] = field(default_factory=dict)  # metrics by epoch


def run_facts(config: Config, start: Start, digest: str) -> RunFacts:
    """Name, params and tags of a run."""
    model, dataset = start.choices.get("model", "model"), data_name(config, start)
    params = {**flatten(config), **start.choices}
    params["overrides"] = " ".join(start.overrides)
    return RunFacts(
        experiment=config["experiment_name"] or dataset,
        name=start.name or f"{model}-{dataset}-seed{config['seed']}",
        params=params,
        tags={
            "seqexp.fingerprint": fingerprint(config),
            "seqexp.code": code_digest(tuple(config["trusted_packages"])),
            "seqexp.data_digest": digest,
            **code_version(),
        },
        parent=start.parent,
    )


def data_name(config: Config, start: Start) -> str:
    """The dataset's name on the command line, or its class where there was none."""
    return start.choices.get("dataset") or config["dataset"]["_target_"].rpartition(".")[2].lower()


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


def sizes(data: Data) -> dict[str, Any]:
    """Sequences a split, what the tokens mean, and what else is to be known."""
    counts = {f"num_{name}": len(split) for name, split in data.splits().items()}
    return {**counts, **data.spec.to_dict(), "notes": list(data.notes)}
