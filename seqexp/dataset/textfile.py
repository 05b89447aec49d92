"""Text files, gzipped or not, read whole.

Imports no torch: the config check reads motif files too.
"""

import gzip
import zlib
from pathlib import Path

from seqexp.errors import InputError


def read_text(path: Path, max_bytes: int, expected: str) -> str:
    """Content of a text file, unpacked if it is gzipped.

    Args:
        path: the file; its first bytes say whether it is gzipped, not its name.
        max_bytes: size of the unpacked content above which it is refused.
        expected: ends each message, as `expected is FASTA`.

    Raises:
        InputError: if it cannot be read, is damaged, too large, empty, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if len(content) > max_bytes:
        raise InputError(f"{path}: is larger than {max_bytes:,} bytes; {expected}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text; {expected}") from error
    if not text.strip():
        raise InputError(f"{path}: is empty; {expected}")
    return text
