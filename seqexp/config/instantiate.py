"""Builds the objects that a checked configuration describes."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object

from seqexp.config.trust import TARGET


def build(node: Mapping[str, Any], **supplied: Any) -> Any:
    """The object that a checked part of the config describes, nested parts included.

    Hydra's `instantiate` would turn a dataclass among `supplied` into a dict.
    """
    arguments = {
        str(key): build(value) if isinstance(value, Mapping) and TARGET in value else value
        for key, value in node.items()
        if key != TARGET
    }
    return get_object(node[TARGET])(**arguments, **supplied)
