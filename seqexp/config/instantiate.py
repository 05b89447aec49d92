"""Builds the objects that a checked configuration describes."""

import functools
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object

from seqexp.config.signature import signature
from seqexp.config.trust import TARGET


def function_of(node: Mapping[str, Any], **supplied: Any) -> Any:
    """A function that a checked part of the config names, with its arguments; or the object of a
    class, which is called as one. Of `supplied`, it gets what it or its constructor names.
    """
    found, wanted = get_object(node[TARGET]), signature(node[TARGET]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    if isinstance(found, type):
        return build(node, **supplied)
    return functools.partial(found, **{k: v for k, v in node.items() if k != TARGET}, **supplied)


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
