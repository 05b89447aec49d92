"""Small pictures with texts on them, in folders and archives."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}

Files = dict[str, bytes]


def png(values: Any, mode: str | None = None) -> bytes:
    """The content of a PNG file of these values, 0 to 255."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, dtype=np.uint8), mode).save(file, "png")
    return file.getvalue()


def coloured(colour: str, place: int, rows: int = 4, columns: int = 6) -> bytes:
    """A pixel of a colour at a place on black."""
    values = np.zeros((rows, columns, 3), np.uint8)
    values[place % rows, place // rows % columns] = COLOURS[colour]
    return png(values)


def questions(pairs: Sequence[tuple[str, str, Any]]) -> bytes:
    return json.dumps([list(pair) for pair in pairs]).encode()


def part_of_questions(count: int, first: int = 0) -> Files:
    """Pictures of a coloured pixel, with two questions each."""
    names = list(COLOURS)
    files: Files = {}
    asked: list[tuple[str, str, Any]] = []
    for number in range(count):
        colour = names[number % 3]
        files[f"images/{number}.png"] = coloured(colour, first + number // 3)
        asked.append(("What colour is it?", colour, number))
        asked.append(("Is it red?", "yes" if colour == "red" else "no", number))
    return {**files, "questions.json": questions(asked)}


def part_of_captions(count: int, first: int = 0) -> Files:
    names = list(COLOURS)
    files = {f"images/{n}.png": coloured(names[n % 3], first + n // 3) for n in range(count)}
    lines = [f"{n}\tA {names[n % 3]} point." for n in range(count)]
    return {**files, "captions.tsv": "\n".join(["image\tcaption", *lines, ""]).encode()}


def below(folder: str, files: Mapping[str, bytes]) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


def in_folder(path: Path, files: Mapping[str, bytes]) -> str:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return str(path)


def in_archive(path: Path, files: Mapping[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)
