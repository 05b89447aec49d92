"""Pictures in PNG files, read by Pillow within limits. Imports no torch.

A picture is grey or in colours, with 1 to 16 bits a value; palettes are looked up. Transparent
pictures are refused: how they look depends on what lies behind them.
"""

import io
import struct
import warnings
import zlib

import numpy as np
from jaxtyping import Float32
from PIL import Image

from seqexp.errors import InputError

MAX_BYTES = 2**24
"""Bytes of a file."""

MAX_PIXELS = 2**22
"""Pixels of a picture; a small file may claim to have very many."""

Picture = Float32[np.ndarray, "rows columns channels"]
"""Values from 0 (black) to 1 (white, or full colour), of one channel or of red, green and blue."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OTHERS = {b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WebP", b"II*\0": "TIFF"}
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, LookupError)
"""What Pillow raises for a file that is damaged, whatever is wrong with it."""


def read_png(content: bytes, place: str, size: tuple[int, int] | None = None) -> Picture:
    """The picture of a file's content.

    Args:
        content: of the file.
        place: of the file in messages.
        size: rows and columns to which the picture is scaled; None leaves them.

    Raises:
        InputError: naming the file, if it is no PNG, damaged, too large or transparent.
    """
    _check_start(content, place)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            warnings.simplefilter("error")
            image.load()
            flat = _without_alpha(image, place)
            if size is not None:
                flat = _scaled(flat, size)
            values = np.asarray(flat, dtype=np.float32)
    except (*_DAMAGED, Warning) as error:
        raise InputError(f"{place}: is damaged ({error}); give a sound PNG file") from error
    values /= 65535 if flat.mode == "I;16" else 255
    return values[:, :, None] if values.ndim == 2 else values


def _check_start(content: bytes, place: str) -> None:
    """Refuse what is no PNG file, or is too large, before anything of it is unpacked."""
    if not content.startswith(_SIGNATURE):
        found = next((name for start, name in _OTHERS.items() if content.startswith(start)), None)
        what = "is empty" if not content else f"is no PNG file{f' but {found}' if found else ''}"
        raise InputError(f"{place}: {what}; save the picture as PNG")
    fault = "it begins with no header" if content[12:16] != b"IHDR" else _chunk_fault(content)
    if fault is not None:
        raise InputError(f"{place}: is damaged ({fault}); give a sound PNG file")
    columns, rows = struct.unpack(">II", content[16:24])
    if not 0 < rows * columns <= MAX_PIXELS:
        raise InputError(
            f"{place}: has {columns} x {rows} pixels; 1 to {MAX_PIXELS:,} pixels are read"
        )


def _chunk_fault(content: bytes) -> str | None:
    """What is wrong with the chunks of a file, whose sums Pillow does not check; None if nothing.

    A chunk is its length, its name, its content and a sum of both.
    """
    start = len(_SIGNATURE)
    while start < len(content):
        (size,) = struct.unpack(">I", content[start : start + 4].ljust(4, b"\0"))
        name, end = content[start + 4 : start + 8], start + 8 + size
        if end + 4 > len(content):
            break
        if zlib.crc32(content[start + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return f"the sum of {name.decode('ascii', 'replace')!r} is wrong"
        if name == b"IEND":
            return None
        start = end + 4
    return "it is cut off"


def _without_alpha(image: Image.Image, place: str) -> Image.Image:
    """Grey values in mode L or I;16, or colours in mode RGB."""
    if "transparency" in image.info or image.mode in ("LA", "RGBA"):
        lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
        if lowest < 255:  # type: ignore[operator]
            raise InputError(f"{place}: is transparent in parts; save it without transparency")
    if image.mode == "I;16":
        return image
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    rows, columns = size
    if image.mode == "I;16":  # which Pillow scales without smoothing
        image = Image.fromarray(np.asarray(image, dtype=np.float32) / 257).convert("L")
    return image.resize((columns, rows), Image.Resampling.BOX)
