"""Constructor signatures, read from source without importing it.

A config is checked against the constructors it names. Importing those would import torch, which
takes seconds; parsing their files takes milliseconds, so a mistyped key is reported at once.
Where the source cannot answer (a compiled module, a class made at run time), the target is
imported after all.
"""

import ast
import builtins
import collections.abc
import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import traceback
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.utils.old_names import module_of

LIGHT_MODULES = ("typing", "collections.abc", "annotated_types", "pathlib", "seqexp.ranges")


class UnknownType:
    """Stands for a type that the source does not tell without an import; no config value fits."""

    def __class_getitem__(cls, item: object) -> type["UnknownType"]:
        return cls


@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor or function."""

    annotation: Any
    required: bool
    default: Any = None  # where it is a plain value


@dataclass(frozen=True)
class Signature:
    """The arguments that a target takes by name."""

    parameters: dict[str, Parameter]
    takes_any: bool = False  # **kwargs


class TargetError(LookupError):
    """The dotted name leads to no class or function."""


@functools.cache
def signature(target: str) -> Signature:
    """Arguments of the class or function at a dotted name, as `seqexp.model.cnn1d.CNN1D`.

    Raises:
        TargetError: if there is no such module, class or function.
    """
    return signature_by_source(target) or _imported(target)


@functools.cache
def signature_by_source(target: str) -> Signature | None:
    """`signature` without importing anything; None where the source does not tell."""
    module, _, name = target.rpartition(".")
    found = _find(module, name) if module else None
    return None if found is None else _of_node(*found)


@functools.cache
def constants(target: str) -> dict[str, Any]:
    """The plain values that a class at a dotted name holds, by name; none of anything else."""
    module, _, class_name = target.rpartition(".")
    found = _find(module, class_name) if module else None
    if found is None or not isinstance(found[1], ast.ClassDef):
        return {}
    values = {}
    for item in found[1].body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            with contextlib.suppress(ValueError, TypeError):  # not a plain value
                values[item.targets[0].id] = ast.literal_eval(item.value)
    return values


def home(target: str) -> tuple[str, bool] | None:
    """Module in which a name is defined and whether it is a class; None if no source tells."""
    module, _, name = target.rpartition(".")
    found = _find(module, name) if module else None
    return None if found is None else (found[0].name, isinstance(found[1], ast.ClassDef))


def derives(target: str, base: str) -> bool:
    """Whether a class at a dotted name has a base of this name, as far as the source tells."""
    module, _, name = target.rpartition(".")
    found = _find(module, name) if module else None
    if found is None or not isinstance(found[1], ast.ClassDef):
        return False
    names = [node.id for node in found[1].bases if isinstance(node, ast.Name)]
    return base in names or any(derives(f"{found[0].name}.{name}", base) for name in names)


# --- from source ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Module:
    """A parsed source file; knows what a name in it means."""

    name: str
    is_package: bool
    statements: dict[str, ast.stmt]

    def absolute(self, node: ast.ImportFrom) -> str:
        """Module that a `from ... import` names, with leading dots resolved."""
        if not node.level:
            return node.module or ""
        keep = len(self.name.split(".")) - node.level + (1 if self.is_package else 0)
        return ".".join([*self.name.split(".")[:keep], *([node.module] if node.module else [])])


def _source_file(module: str) -> Path | None:
    """Source of a module, found by the finders of its top package without importing any of it."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # a top-level name: nothing is imported
    except (ImportError, ValueError):
        return None
    for depth, _ in enumerate(rest, start=2):
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = ".".join(module.split(".")[:depth])
        spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


@functools.cache
def _parse(module: str) -> _Module | None:
    """Top-level statements of a module by the names they bind."""
    file = _source_file(module)
    if file is None:
        return None
    statements: dict[str, ast.stmt] = {}
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):  # the import says what is wrong with it
        return None
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            statements[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            statements[node.targets[0].id] = node
        elif isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                statements[alias.asname or alias.name] = node
    return _Module(module, file.name == "__init__.py", statements)


def _find(module_name: str, name: str) -> tuple[_Module, ast.stmt] | None:
    """Definition of a name, followed through `from ... import`."""
    module_name = module_of(module_name, name)
    module = _parse(module_name)
    node = module.statements.get(name) if module is not None else None
    if module is None or node is None:
        return None
    if isinstance(node, ast.ImportFrom):
        original = next(a.name for a in node.names if (a.asname or a.name) == name)
        return _find(module.absolute(node), original)
    return (module, node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None


def _of_node(module: _Module, node: ast.stmt) -> Signature | None:
    if isinstance(node, ast.FunctionDef):
        return _of_arguments(module, node.args, skip_first=False)
    assert isinstance(node, ast.ClassDef)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_arguments(module, item.args, skip_first=True)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
        return Signature(
            {
                item.target.id: _parameter(module, item.annotation, item.value)
                for item in fields
                if isinstance(item.target, ast.Name)
            }
        )
    for base in node.bases:
        found = _find(module.name, base.id) if isinstance(base, ast.Name) else None
        if found is not None:
            return _without_fixed(_of_node(*found), node)
    return None


def _without_fixed(inherited: Signature | None, node: ast.ClassDef) -> Signature | None:
    """An inherited constructor without what its class fixes: `class RNN(Network, cell="rnn")`."""
    fixed = {keyword.arg for keyword in node.keywords}
    if inherited is None or not fixed:
        return inherited
    free = {name: p for name, p in inherited.parameters.items() if name not in fixed}
    return Signature(free, inherited.takes_any)


def _of_arguments(module: _Module, arguments: ast.arguments, skip_first: bool) -> Signature:
    positional = arguments.args[1:] if skip_first else arguments.args
    bare: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = [
        *zip(positional, [*bare, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    parameters = {
        argument.arg: _parameter(module, argument.annotation, default)
        for argument, default in pairs
    }
    return Signature(parameters, takes_any=arguments.kwarg is not None)


def _parameter(module: _Module, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    try:
        value = ast.literal_eval(default) if default is not None else None
    except ValueError:  # a default that only running the module would tell
        value = None
    return Parameter(_annotation(module, annotation), default is None, value)


def _annotation(module: _Module, node: ast.expr | None) -> Any:
    """The type that an annotation means; `Any` where that needs an import."""
    if node is None:
        return Any
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    try:
        # the file is one that the config may call anyway: its annotations run no code of others
        value = eval(ast.unparse(node), {"__builtins__": {}}, _Names(module))
    except Exception:  # an annotation in a form we do not know limits nothing
        return Any
    return Any if value is UnknownType else value


class _Names(dict[str, Any]):
    """Looks a name of an annotation up: builtin types, light modules, the module's own aliases."""

    def __init__(self, module: _Module) -> None:
        super().__init__()
        self.module = module

    def __missing__(self, name: str) -> Any:
        node = self.module.statements.get(name)
        if isinstance(node, ast.ImportFrom):
            original = next(a.name for a in node.names if (a.asname or a.name) == name)
            source = module_of(self.module.absolute(node), original)
            if source in LIGHT_MODULES:
                return getattr(importlib.import_module(source), original)
            other = _parse(source)
            return UnknownType if other is None else _Names(other)[original]
        if isinstance(node, ast.Assign):
            value = _annotation(self.module, node.value)
            return UnknownType if value is Any else value
        if isinstance(node, ast.Import) and name in ("typing", "collections"):
            return {"typing": typing, "collections": collections}[name]
        if node is None and isinstance(getattr(builtins, name, None), type):
            return getattr(builtins, name)
        return UnknownType


# --- by import, where the source does not tell ------------------------------------------------


def _imported(target: str) -> Signature:
    """`signature` from the object itself."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise TargetError(f"{target} is not a dotted name, as seqexp.model.cnn1d.CNN1D")
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
        function = getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise TargetError(str(error)) from error
    except Exception as error:  # whatever the user's module does when it is imported
        raise TargetError(f"{module_name} cannot be imported ({told(error)})") from error
    if not callable(function):
        raise TargetError(f"{target} is neither a class nor a function")
    try:
        listed = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return Signature({}, takes_any=True)
    try:
        constructor = vars(function).get("__init__", function)
        hints = typing.get_type_hints(constructor, include_extras=True)
    except Exception:  # annotations that do not evaluate limit nothing
        hints = {}
    named = {
        parameter.name: Parameter(
            hints.get(parameter.name, Any),
            parameter.default is parameter.empty,
            None if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in listed.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in listed.values())
    return Signature(named, takes_any)


def told(error: Exception) -> str:
    """An error of a module, and the line of it."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" in {Path(item.filename).name}, line {item.lineno}" for item in where)
    return f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else place}"
