"""What is known of each piece of a long work, so that it goes on where it was cut off."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqexp.utils.files import write_whole
from seqexp.utils.workers import each


class Done:
    """A file of JSON lines, each on the disk as soon as its piece is done.

    Args:
        path: of the file.
        plan: of what the pieces are; those of another plan are forgotten.
    """

    def __init__(self, path: Path, plan: Any) -> None:
        self.found: dict[tuple[str, int], Any] = {}
        self.path, head = path, _line(plan)
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        kept = [head]
        if lines[:1] == [head]:
            for line in lines[1:]:
                if not line.endswith(b"\n"):  # it was cut off
                    break
                try:
                    step, index, value = json.loads(line)
                    self.found[step, index] = value
                except (ValueError, TypeError, RecursionError):  # not as it was written
                    break
                kept.append(line)
        write_whole(path, b"".join(kept))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> "Done":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    def forget(self, step: str) -> None:
        """Do the pieces of a step anew."""
        self.found = {key: value for key, value in self.found.items() if key[0] != step}

    def all(
        self,
        step: str,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        workers: int,
        after: Callable[[int], None],
        is_sound: Callable[[int, Any], bool],
    ) -> list[Any]:
        """What a function returns for each call: values of JSON. Those that are known are not made.

        `after` is told the number of each call that is done, or was. `is_sound` says whether the
        known result of a call can be one.
        """
        for (known, index), value in list(self.found.items()):
            if known == step and not (index in range(len(calls)) and is_sound(index, value)):
                del self.found[known, index]
        missing = [index for index in range(len(calls)) if (step, index) not in self.found]
        for index in set(range(len(calls))).difference(missing):
            after(index)
        for place, value in each(function, (calls[index] for index in missing), workers):
            self._keep(step, missing[place], value)
            after(missing[place])
        return [self.found[step, index] for index in range(len(calls))]

    def stream(
        self,
        step: str,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        workers: int,
        after: Callable[[int], None],
        is_sound: Callable[[int, Any], bool],
    ) -> list[Any]:
        """As `all`, for calls that are too large to be there together: each is drawn once."""
        numbers: list[int] = []
        count = 0

        def missing() -> Iterator[tuple[Any, ...]]:
            nonlocal count
            for index, call in enumerate(calls):
                count = index + 1
                if (step, index) in self.found and is_sound(index, self.found[step, index]):
                    after(index)
                    continue
                numbers.append(index)
                yield call

        for place, value in each(function, missing(), workers):
            self._keep(step, numbers[place], value)
            after(numbers[place])
        return [self.found[step, index] for index in range(count)]

    def _keep(self, step: str, index: int, value: Any) -> None:
        self.found[step, index] = value
        os.write(self._file, _line([step, index, value]))
        os.fsync(self._file)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
