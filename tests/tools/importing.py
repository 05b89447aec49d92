"""Imports modules, each alone in a fork, and looks up what they name in others' modules.

    python importing.py MODULE [MODULE...]

Prints a line for each fault: a module of ours that needs another to be imported before it, and an
`a.b.c` in its text where nothing that it imports itself imports `a.b`. The first is tried after all
packages of others are there, as an import statement works the same with them; the second in forks
of a process that has imported PyTorch only, where the text names such a thing.
"""

import ast
import gc
import importlib
import importlib.util
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType


def tree_of(name: str) -> ast.Module:
    """The text of a module."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def below_packages(name: str) -> dict[tuple[str, ...], bool]:
    """Dotted names in a module's text that reach a module by its package, and which are there.

    All that the module imports of others is imported before.
    """
    tree = tree_of(name)
    bound = dict(bindings(tree))
    found = {}
    for chain in sorted(chains(tree, set(bound))):
        value: object = bound[chain[0]]
        for place, attribute in enumerate(chain[1:], start=2):
            if not isinstance(value, ModuleType):
                break
            is_there = hasattr(value, attribute)
            if not is_there or f"{value.__name__}.{attribute}" in sys.modules:
                found[chain[:place]] = is_there
            value = getattr(value, attribute, None)
    return found


def say_unknown(name: str) -> None:
    """Print the names that nothing imports."""
    for chain, is_there in below_packages(name).items():
        if not is_there:
            print(f"{name}: {'.'.join(chain)} is not imported")


def say_not_alone(name: str) -> None:
    """Print why a module cannot be imported, if it cannot."""
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"{name}: {type(error).__name__}: {error}")


def bindings(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Names that imports of others' modules bind, anywhere in a file, after importing them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] != "seqexp":
                    importlib.import_module(alias.name)
                    top = alias.name if alias.asname else alias.name.partition(".")[0]
                    yield alias.asname or top, sys.modules[top]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] == "seqexp":
                continue
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(module, alias.name)


def chains(tree: ast.Module, roots: set[str]) -> set[tuple[str, ...]]:
    """Dotted names that begin with one of the roots, unless the file gives it another meaning."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    found = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {chain for chain in found if chain and chain[0] in roots - own}


def dotted(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` as its parts; nothing where it begins with another expression."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return (*before, node.attr)
    return ()


def in_a_fork(work: Callable[[], None]) -> None:
    """Do it in a child of this process, and wait for it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        work()
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def with_all_packages(names: Sequence[str], doubtful: Path) -> None:
    """Import each in a fork of a process that has imported all packages; note whom to look at."""
    doubted = [name for name in names if below_packages(name)]
    doubtful.write_text("\n".join(doubted))
    for name in names:
        in_a_fork(partial(say_not_alone, name))


def main() -> None:
    """All modules that are given."""
    gc.disable()  # a third of the time of each import, and forks would copy what it looks at
    import torch  # noqa: F401  (seconds, which forks share)

    with tempfile.TemporaryDirectory() as folder:
        doubtful = Path(folder) / "doubtful"
        in_a_fork(partial(with_all_packages, sys.argv[1:], doubtful))
        for name in doubtful.read_text().split():
            in_a_fork(partial(say_unknown, name))


if __name__ == "__main__":
    main()
