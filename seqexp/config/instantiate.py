"""Builds the objects that a checked configuration describes."""

import functools
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object

from seqexp.config.signature import signature
from seqexp.config.trust import TARGET


def function_of(node: Mapping[str, Any], **supplied: Any) -> Any:
    """A function that a checked part of the config names, with its arguments; or the object of a
    class, which is called as one. Of `supplied`, a class gets what its constructor names.
    """
    found = get_object(node[TARGET])
    if not isinstance(found, type):
        return functools.partial(found, **{k: v for k, v in node.items() if k != TARGET})
    wanted = signature(node[TARGET]).parameters
    return build(node, **{key: value for key, value in supplied.items() if key in wanted})


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
