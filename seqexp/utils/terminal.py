"""Output for a person at a terminal: colours, and the progress of a training.

Files and pipes get plain lines: no colours, no carriage returns. What the terminal cannot write,
and control characters in what others named, are shown as escapes.
"""

import logging
import os
import sys
from typing import TextIO

from seqexp.utils.names import visible
from seqexp.utils.phases import OF_PHASE, is_elsewhere, screen
from seqexp.utils.streams import fitting, is_terminal, silence

RED, YELLOW = "31", "33"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where that is welcome. Source: https://no-color.org."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{colour}m{text}\033[0m"


def log_to_console(level: int) -> None:
    """Have the log written to standard output, where no composition says how."""
    console = Console(sys.stdout)
    console.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[console])


class PlainFormatter(logging.Formatter):
    """Lines for a file, with control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several."""
        return visible(super().format(record))


class Formatter(logging.Formatter):
    """Plain lines; on a terminal, warnings are yellow and errors red."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several."""
        text = fitting(super().format(record), sys.stdout)
        if record.levelno < logging.WARNING:
            return text
        return coloured(text, RED if record.levelno >= logging.ERROR else YELLOW, sys.stdout)


class Console(logging.StreamHandler[TextIO]):
    """Writes to standard output while it has a reader; then the run continues silently.

    Lines of phases are written to files alone where a terminal shows the phases.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or several, above the line that says what goes on."""
        if getattr(record, OF_PHASE, False) and is_elsewhere():
            return
        with screen.cleared():
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Stop writing where the reader has gone, as `head` does, or the disk is full."""
        if isinstance(sys.exc_info()[1], OSError):
            silence(self.stream)
        else:
            super().handleError(record)
