"""The identity of a run: its config, its data files and the code that computes.

The same command finds the same run again. What only reports, as `decode` and `interpret`, is told
apart from what computes: a finished run is reported again from its weights where only that has
changed. Nothing here imports torch.
"""

import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from seqexp.config.groups import GROUPS, NOT_IN_FINGERPRINT, OWN_CODE, REPORTING, Config
from seqexp.utils.files import digest

_HERE = Path(__file__).parent.parent

COMPUTES = (
    *("spec.py", "data.py", "seeding.py", "ranges.py", "build.py"),
    *("formats", "dataset", "task", "model", "kernels", "trainer", "optimizer"),
)
"""Sources of seqexp that weights depend on."""

REPORTS = ("metrics.py", "interpret", "decode", "callback")
"""Sources of seqexp that show what a trained model does."""

REPORTING_CODE = "the code that reports"
"""Key of the digest of these sources."""


def identity(config: Config) -> str:
    """SHA-256 of a checked config, the files that its dataset names, and the code that computes.

    The same on every machine.
    """
    return _identity(config, counted(config))


def identity_of_training(config: Config) -> str:
    """`identity` without what only reports: runs that share it have the same weights."""
    return _identity(config, computed(config))


def _identity(config: Config, told: Config) -> str:
    named = [value for value in config["dataset"].values() if isinstance(value, str)]
    files = [digest(Path(value)) for value in named if Path(value).is_file()]
    code = code_digest(tuple(config["trusted_packages"]))
    return _sha(json.dumps([_digest(told), files, code]))


def fingerprint(config: Config) -> str:
    """SHA-256 of all that a config says on what is computed and shown."""
    return _digest(counted(config))


def _digest(config: Config) -> str:
    return _sha(json.dumps(config, sort_keys=True))


def counted(config: Config) -> Config:
    """The part of a config that says what is computed and shown."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_FINGERPRINT}
    kept = {key: value for key, value in kept.items() if value or key not in OWN_CODE}
    for name, group in GROUPS.items():
        if group.free and name in kept:
            kept[name] = {key: v for key, v in kept[name].items() if key not in group.free}
    return kept


def computed(config: Config) -> Config:
    """The part of a config that weights depend on."""
    return {key: value for key, value in counted(config).items() if key not in REPORTING}


@functools.cache
def code_digest(trusted_packages: tuple[str, ...] = ()) -> str:
    """SHA-256 of the sources that weights depend on, and of torch's and numpy's versions."""
    versions = [f"{package} {metadata.version(package)}\n" for package in ("torch", "numpy")]
    roots = [*(_HERE / name for name in COMPUTES), *_folders(trusted_packages)]
    return _digest_of_sources("".join(versions), roots)


@functools.cache
def reporting_digest() -> str:
    """SHA-256 of the sources that show what a trained model does."""
    return _digest_of_sources("", [_HERE / name for name in REPORTS])


def _digest_of_sources(before: str, roots: Sequence[Path]) -> str:
    sha = hashlib.sha256(before.encode())
    for root in roots:
        for file in sources(root):
            sha.update(f"{file.relative_to(root.parent).as_posix()}\n".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()


def sources(root: Path) -> list[Path]:
    """A file, or those of a folder that compute."""
    if not root.is_dir():
        return [root]
    return sorted(file for file in root.rglob("*") if file.suffix in (".py", ".cpp", ".h"))


def _folders(packages: tuple[str, ...]) -> Iterator[Path]:
    """Where the sources of other packages are; a module that is one file is that file."""
    for package in packages:
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            file = Path(found.origin)
            yield file.parent if file.name == "__init__.py" else file


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
