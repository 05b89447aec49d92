"""Names that others give, made fit for a terminal, a table and a page.

Files hold names as they are; what is shown to people goes through here. Imports nothing heavy.
"""

import re

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f"  # controls, but tab and line feed
    "\x7f-\x9f"  # delete, and the second set of controls
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\ud800-\udfff"  # halves of pairs, which no encoding can write
    "]"
)

_MARKUP = re.compile(r"[\\`*_{}\[\]()#!|~<>&$\"']|://|^\s*[-+=]|@")

SHORT = 60
"""Characters of a name in a figure or a line of a table."""


def visible(text: str) -> str:
    r"""The text with control characters as escapes, such as `\\x1b`; line feeds and tabs stay.

    A terminal obeys control characters: they may recolour or erase what stands there, or type.
    """
    return _HIDDEN.sub(_escape, text)


def one_line(text: str, most: int = SHORT) -> str:
    """A name in one line of at most so many characters, with control characters as escapes."""
    if len(text) <= most and text.isprintable():
        return text
    shown = visible(text[: most + 1]).replace("\n", r"\n").replace("\t", r"\t")
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def markdown(text: str, most: int = 4 * SHORT) -> str:
    """A name as a cell of a Markdown table: it can be neither markup nor HTML nor a link."""
    return _MARKUP.sub(lambda found: "".join(map(_entity, found[0])), one_line(text, most))


def shortened(text: str, most: int = 1000) -> str:
    """A message whose lines have at most so many characters, the middle of longer ones left out."""
    return "\n".join(_without_middle(line, most) for line in text.split("\n"))


def _without_middle(line: str, most: int) -> str:
    if len(line) <= most:
        return line
    end = most // 4
    return f"{line[: most - end - 5]} ... {line[-end:]}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\\r" if code == 13 else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _entity(letter: str) -> str:
    return letter if letter.isspace() else f"&#{ord(letter)};"
