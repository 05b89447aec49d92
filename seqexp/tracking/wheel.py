"""The wheel of seqexp as it is here, which travels with each model.

`mlflow models predict --env-manager virtualenv` installs it on a machine that has no seqexp; its
name on a package index may be anybody's.
"""

import hashlib
import io
import os
import shutil
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from seqexp.utils.files import write_whole

PACKAGE = Path(__file__).resolve().parent.parent

FOLDER = "wheels"
"""Of a model, with the wheel in it."""

LEFT_OUT = (".pyc", ".md")
"""Endings of files that nothing runs or reads."""

WHEEL = """\
Wheel-Version: 1.0
Generator: seqexp
Root-Is-Purelib: true
Tag: py3-none-any
"""


def name() -> str:
    """The name of the file."""
    return f"seqexp-{metadata.version('seqexp')}-py3-none-any.whl"


def requirement() -> str:
    """What `pip install -r`, in a model's folder, finds the wheel by."""
    return f"{FOLDER}/{name()}" if _told("METADATA") is not None else "seqexp"


def put(folder: Path, kept: Path | None = None) -> None:
    """Put the wheel into a model's folder, where the installation says what the package needs.

    It is made once: from then on each model has a hard link to the same file.

    Args:
        folder: of the model.
        kept: where it is kept from one run to the next; None: it is made anew.

    Raises:
        OSError: if there is no room.
    """
    if _told("METADATA") is None:
        return
    file = folder / FOLDER / name()
    file.parent.mkdir(parents=True, exist_ok=True)
    if kept is None:
        file.write_bytes(made())
        return
    source = kept / f"{_state()}.whl"
    if not source.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        write_whole(source, made())
    linked(source, file)


def linked(source: Path, file: Path) -> None:
    """Make a file a hard link of another, or a copy where file systems differ."""
    with suppress(FileNotFoundError):
        file.unlink()
    try:
        os.link(source, file)
    except OSError:
        shutil.copyfile(source, file)


def made() -> bytes:
    """The wheel: all files of the package, and what its installation says of it."""
    info = f"seqexp-{metadata.version('seqexp')}.dist-info"
    files = {target: source.read_bytes() for target, source in _sources()}
    for told in ("METADATA", "entry_points.txt"):
        files[f"{info}/{told}"] = (_told(told) or "").encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    rows = [f"{target},sha256={_digest(data)},{len(data)}\n" for target, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for target, data in files.items():
            archive.writestr(zipfile.ZipInfo(target), data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _sources() -> Iterator[tuple[str, Path]]:
    """Path in the wheel, and file, of all that the package consists of."""
    roots = {"seqexp": PACKAGE}
    if not (PACKAGE / "conf").is_dir():  # the source tree, where it stands beside the package
        roots["seqexp/conf"] = PACKAGE.parent / "conf"
    for target, root in roots.items():
        for folder, _, names in sorted(os.walk(root)):
            for file in sorted(Path(folder, one) for one in names):
                if file.suffix not in LEFT_OUT:
                    yield f"{target}/{file.relative_to(root).as_posix()}", file


def _state() -> str:
    """SHA-256 of the files' names, sizes and times."""
    sha = hashlib.sha256((_told("METADATA") or "").encode())
    for target, file in _sources():
        found = file.stat()
        sha.update(f"{target} {found.st_size} {found.st_mtime_ns}\n".encode())
    return sha.hexdigest()[:32]


def _told(file: str) -> str | None:
    """What the installation of the package says."""
    with suppress(metadata.PackageNotFoundError):
        found = metadata.distribution("seqexp")
        told = found.read_text(file)
        if told is None and file == "METADATA":  # of a source tree that pip has looked into
            told = found.read_text("PKG-INFO")
        return told
    return None


def _digest(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
