"""Old names of modules, classes and commands, for one release: each is read as the new one.

A finder of modules finds what is imported by an old name and says, once, what the new one is.
Nothing but the standard library is imported here, since every import of `seqexp` comes by.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

TARGET = "_target_"

COMMANDS = {
    "seqexp.predict": "predict",
    "seqexp.sample": "sample",
    "seqexp.compare": "compare",
    "seqexp.reproduce": "reproduce",
    "seqexp.ui": "ui",
    "seqexp.tracking.deliver": "deliver",
}
"""Modules that were run by `python -m`: old name -> first word of `python -m seqexp`."""

MODULES = {
    "seqexp.arguments": "seqexp.cli.arguments",
    "seqexp.bar": "seqexp.utils.progress",
    "seqexp.claims": "seqexp.inference.claims",
    "seqexp.commands": "seqexp.cli",
    "seqexp.commands.command": "seqexp.cli.subcommand",
    "seqexp.commands.compare": "seqexp.cli.compare",
    "seqexp.commands.place": "seqexp.cli.store_location",
    "seqexp.commands.predict": "seqexp.cli.predict",
    "seqexp.commands.records": "seqexp.formats.records",
    "seqexp.commands.reproduce": "seqexp.cli.reproduce",
    "seqexp.commands.sample": "seqexp.cli.sample",
    "seqexp.commands.stored": "seqexp.cli.run_lookup",
    "seqexp.commands.ui": "seqexp.cli.ui",
    "seqexp.compare": "seqexp.cli.compare",
    "seqexp.comparing": "seqexp.callback.baselines",
    "seqexp.compile": "seqexp.kernels.build",
    "seqexp.dataset.apart": "seqexp.dataset.words.apart",
    "seqexp.dataset.archive": "seqexp.dataset.words.imdb_archive",
    "seqexp.dataset.blocks": "seqexp.dataset.characters.blocks",
    "seqexp.dataset.channel": "seqexp.dataset.reads.channel",
    "seqexp.dataset.classify": "seqexp.dataset.words.classification",
    "seqexp.dataset.corpus": "seqexp.dataset.words.corpus",
    "seqexp.dataset.documents": "seqexp.dataset.words.documents",
    "seqexp.dataset.done": "seqexp.dataset.characters.progress",
    "seqexp.dataset.entries": "seqexp.dataset.cache",
    "seqexp.dataset.labelled": "seqexp.dataset.dna.labelled",
    "seqexp.dataset.labels": "seqexp.dataset.words.labels",
    "seqexp.dataset.looking": "seqexp.dataset.read_only",
    "seqexp.dataset.pfm": "seqexp.formats.motifs",
    "seqexp.dataset.read_files": "seqexp.dataset.reads.files",
    "seqexp.dataset.records": "seqexp.formats.dna",
    "seqexp.dataset.sentences": "seqexp.dataset.words.synthetic",
    "seqexp.dataset.shuffle": "seqexp.dataset.dna.shuffle",
    "seqexp.dataset.splits": "seqexp.dataset.dna.splits",
    "seqexp.dataset.strands": "seqexp.dataset.reads.strands",
    "seqexp.dataset.textfile": "seqexp.formats.text",
    "seqexp.dataset.uniform": "seqexp.seeding",
    "seqexp.dataset.vectors": "seqexp.formats.vectors",
    "seqexp.dataset.views": "seqexp.dataset.reads.views",
    "seqexp.dataset_rules": "seqexp.dataset.check",
    "seqexp.decode.edits": "seqexp.decode.consensus.edits",
    "seqexp.decode.estimate": "seqexp.decode.consensus.error_rates",
    "seqexp.decode.join": "seqexp.decode.consensus.join",
    "seqexp.decode.pair_hmm": "seqexp.decode.consensus.pair_hmm",
    "seqexp.decode.rank": "seqexp.decode.consensus.rank",
    "seqexp.decode.recursion": "seqexp.decode.consensus.alignments",
    "seqexp.decode.score": "seqexp.decode.consensus.score",
    "seqexp.decode.slide": "seqexp.decode.window",
    "seqexp.decode.typical": "seqexp.decode.consensus.typical",
    "seqexp.decode.yardsticks": "seqexp.decode.consensus.baselines",
    "seqexp.drawing": "seqexp.utils.drawing",
    "seqexp.explain": "seqexp.cli.words_of_errors",
    "seqexp.facts": "seqexp.checkpoint.provenance",
    "seqexp.files": "seqexp.utils.files",
    "seqexp.flowing": "seqexp.callback.gradient_flow",
    "seqexp.folder": "seqexp.checkpoint.folder",
    "seqexp.identity": "seqexp.checkpoint.identity",
    "seqexp.interpret.alignment": "seqexp.interpret.filters.alignment",
    "seqexp.interpret.baseline": "seqexp.interpret.filters.baselines",
    "seqexp.interpret.card": "seqexp.interpret.filters.card",
    "seqexp.interpret.chance": "seqexp.interpret.filters.chance",
    "seqexp.interpret.figures": "seqexp.interpret.filters.figures",
    "seqexp.interpret.flow_figures": "seqexp.interpret.gradient_flow.figures",
    "seqexp.interpret.match": "seqexp.interpret.filters.tomtom",
    "seqexp.interpret.match_figure": "seqexp.interpret.filters.match_figure",
    "seqexp.interpret.matrix": "seqexp.interpret.filters.matrix",
    "seqexp.interpret.motif_files": "seqexp.interpret.filters.motif_files",
    "seqexp.interpret.ngrams": "seqexp.interpret.filters.ngrams",
    "seqexp.interpret.read_errors": "seqexp.interpret.reads.errors",
    "seqexp.interpret.read_figures": "seqexp.interpret.reads.figures",
    "seqexp.interpret.report": "seqexp.interpret.filters.report",
    "seqexp.interpret.where": "seqexp.interpret.saliency.mutagenesis",
    "seqexp.interpret.where_figure": "seqexp.interpret.saliency.figure",
    "seqexp.interpret.windows": "seqexp.interpret.filters.windows",
    "seqexp.jobs": "seqexp.cli.job",
    "seqexp.listing": "seqexp.cli.help",
    "seqexp.model.compiled": "seqexp.kernels.recurrence_cpp",
    "seqexp.model.kernel": "seqexp.kernels.recurrence",
    "seqexp.model.parts": "seqexp.model.layers",
    "seqexp.model.token_convolution": "seqexp.kernels.convolution_cpp",
    "seqexp.model_rules": "seqexp.model.check",
    "seqexp.names": "seqexp.utils.names",
    "seqexp.nearest": "seqexp.utils.nearest",
    "seqexp.planning": "seqexp.sweep.dry_run",
    "seqexp.predict": "seqexp.cli.predict",
    "seqexp.pruning": "seqexp.callback.pruning",
    "seqexp.ranking": "seqexp.task.ranking",
    "seqexp.reading": "seqexp.callback.reads",
    "seqexp.recurring": "seqexp.callback.kernels",
    "seqexp.reporting": "seqexp.callback.report",
    "seqexp.reproduce": "seqexp.cli.reproduce",
    "seqexp.resuming": "seqexp.checkpoint.resuming",
    "seqexp.rules": "seqexp.config.check",
    "seqexp.sample": "seqexp.cli.sample",
    "seqexp.saved": "seqexp.inference.saved_model",
    "seqexp.saving": "seqexp.callback.checkpoint",
    "seqexp.say": "seqexp.callback.console",
    "seqexp.showing": "seqexp.callback.filters",
    "seqexp.signature": "seqexp.config.signature",
    "seqexp.stopping": "seqexp.utils.signals",
    "seqexp.streams": "seqexp.utils.streams",
    "seqexp.sweep.compare": "seqexp.sweep.statistics",
    "seqexp.sweep.drawing": "seqexp.sweep.figures",
    "seqexp.sweep.launchers": "seqexp.sweep.launcher",
    "seqexp.sweep.parent": "seqexp.sweep.grid.parent_run",
    "seqexp.sweep.search_figure": "seqexp.sweep.optuna.figure",
    "seqexp.sweep.search_run": "seqexp.sweep.optuna.parent_run",
    "seqexp.sweep.searcher": "seqexp.sweep.optuna.sweeper",
    "seqexp.sweep.space": "seqexp.sweep.optuna.space",
    "seqexp.sweep.stacks": "seqexp.sweep.replicas",
    "seqexp.sweep.study": "seqexp.sweep.optuna.study",
    "seqexp.sweep.sweeper": "seqexp.sweep.grid.sweeper",
    "seqexp.terminal": "seqexp.utils.terminal",
    "seqexp.together": "seqexp.cli.replicas",
    "seqexp.tracing": "seqexp.callback.saliency",
    "seqexp.tracking.address": "seqexp.tracking.store.address",
    "seqexp.tracking.answers": "seqexp.tracking.store.answers",
    "seqexp.tracking.beginning": "seqexp.tracking.store.start",
    "seqexp.tracking.database": "seqexp.tracking.store.database",
    "seqexp.tracking.deliver": "seqexp.cli.deliver",
    "seqexp.tracking.items": "seqexp.tracking.journal.items",
    "seqexp.tracking.links": "seqexp.tracking.store.links",
    "seqexp.tracking.note": "seqexp.tracking.journal.note",
    "seqexp.tracking.orphans": "seqexp.tracking.store.orphans",
    "seqexp.tracking.outbox": "seqexp.tracking.journal.sender",
    "seqexp.tracking.waiting": "seqexp.tracking.journal.waiting",
    "seqexp.tracking_rules": "seqexp.tracking.check",
    "seqexp.trainer.lazy_adam": "seqexp.optimizer.lazy_adam",
    "seqexp.trainer.processes": "seqexp.trainer.distributed",
    "seqexp.trainer.rows": "seqexp.kernels.lazy_adam_rows",
    "seqexp.trainer.schedule": "seqexp.optimizer.schedule",
    "seqexp.trainer.stack": "seqexp.trainer.replicas",
    "seqexp.trainer.starts": "seqexp.trainer.restarts",
    "seqexp.training_rules": "seqexp.trainer.check",
    "seqexp.trust": "seqexp.config.trust",
    "seqexp.typed": "seqexp.config.typed",
    "seqexp.ui": "seqexp.cli.ui",
    "seqexp.watching": "seqexp.callback.base",
    "seqexp.workers": "seqexp.utils.workers",
    "seqexp.writing": "seqexp.callback.samples",
}
"""Modules that are elsewhere: old name -> new name."""

_DIVIDED = {
    "seqexp.config": {
        "seqexp.config.check": "Paths Root check_resolved describe find_faults value_faults",
        "seqexp.config.groups": "Config OPTIONAL_GROUPS SUPPLIED",
        "seqexp.config.instantiate": "build",
        "seqexp.config.trust": "TARGET",
    },
    "seqexp.dataset.cache": {
        "seqexp.dataset.words.cache": "ARRAYS SPLITS cached read refuse_unsound write",
    },
    "seqexp.dataset.channel": {
        "seqexp.formats.dna": "LETTERS",
    },
    "seqexp.dataset.characters": {
        "seqexp.dataset.characters.encoding": (
            "Characters MAX_UNPACKED VERSION of_files of_text read"
        ),
    },
    "seqexp.dataset.documents": {
        "seqexp.dataset.words.labels": "Document",
        "seqexp.formats.records": "JSON_LINES SEPARATORS",
    },
    "seqexp.dataset.pfm": {
        "seqexp.formats.matrix": "LETTERS PositionFrequencyMatrix",
    },
    "seqexp.dataset.read_files": {
        "seqexp.formats.dna": "LETTERS",
    },
    "seqexp.dataset.records": {
        "seqexp.dataset.dna.labelled": "Record records_of_table values_by_name",
        "seqexp.formats.fasta": "read_fasta",
        "seqexp.formats.records": "read_table",
    },
    "seqexp.dataset.words": {
        "seqexp.dataset.words.tokenizer": ("TOKENIZER UNKNOWN read_vectors tokenize vocabulary"),
    },
    "seqexp.decode.consensus": {
        "seqexp.decode.consensus.table": (
            "Decoded channel_of consensus decoded_by polish_medoids scored"
        ),
    },
    "seqexp.facts": {
        "seqexp.checkpoint.result": "Result Start Story",
    },
    "seqexp.interpret.filters": {
        "seqexp.interpret.filters.extraction": (
            "Filters LearnedFilter consensus motif_metrics ranked read_filters reading shown"
        ),
        "seqexp.interpret.letters": "VISIBLE",
    },
    "seqexp.interpret.gradient_flow": {
        "seqexp.interpret.gradient_flow.measure": (
            "BINS Flow GradientFlow LAGS LOWEST Layer LayerFlow Recurrent Sample Step "
            "draw_sample singular_values unroll"
        ),
    },
    "seqexp.model.recurrent": {
        "seqexp.model.cells": (
            "CELLS Cell CellName FORGET_GATE FUSED GATES State gate_activations gru_step "
            "lstm_step rnn_step"
        ),
        "seqexp.model.recurrent_layer": "Dropout DropoutMasks Kernel RecurrentLayer Stepwise",
    },
    "seqexp.run": {
        "seqexp.build": (
            "ALONE MAX_TOKENS_OF_A_GRADIENT ROWS_COUNTED begin build_model build_optimizer "
            "build_torch keep_freed_memory load prepare prepare_training "
            "refuse_endless_gradients start_from_vectors step_lazily told_whose total_steps "
            "validated"
        ),
        "seqexp.callback.progress": "shown",
    },
    "seqexp.saved": {
        "seqexp.inference.pyfunc": "TextModel _load_pyfunc",
        "seqexp.inference.text": "OPEN_LETTERS decode encode",
    },
    "seqexp.spec": {
        "seqexp.data": "Batch Cluster Data MANY MAX_ON_DEVICE Pattern Sequences WordVectors",
        "seqexp.seeding": "stream_seed",
    },
    "seqexp.sweep.grid": {
        "seqexp.sweep.grid.settings": "Grid",
    },
    "seqexp.sweep.optuna": {
        "seqexp.sweep.optuna.settings": "Optuna",
    },
    "seqexp.tracking.journal": {
        "seqexp.tracking.journal.journal": "Journal READ_BYTES Reader SEGMENTS_KEPT",
    },
    "seqexp.tracking.store": {
        "seqexp.tracking.store.client": (
            "PROBE_SECONDS REFUSALS REFUSED_FILES StoredRun connect input_errors is_refusal "
            "recorded"
        ),
    },
    "seqexp.trainer.score": {
        "seqexp.task.cross_entropy": "cross_entropy_sum",
        "seqexp.task.classes": "count_correct probabilities",
    },
}
"""Modules that lost some of their names: old module -> new module -> the names in it."""

NAMES = {
    old: {name: new for new, names in parts.items() for name in names.split()}
    for old, parts in _DIVIDED.items()
}
"""The same as old module -> name -> new module."""

_said: set[tuple[str, str]] = set()


def module_of(module: str, name: str) -> str:
    """The module in which a name is now that was in `module`; that one where it has not moved."""
    return NAMES.get(module, {}).get(name) or MODULES.get(module, module)


def with_new_targets(node: Any, is_said: bool = False) -> Any:
    """A config in which each `_target_` has its new name.

    Args:
        node: groups by name, lists and values; it is not changed.
        is_said: say what is renamed, since whoever wrote it can change it.
    """
    if isinstance(node, Mapping):
        values = {key: with_new_targets(value, is_said) for key, value in node.items()}
        if isinstance(node.get(TARGET), str):
            values[TARGET] = _new_target(node[TARGET], is_said)
        return values
    return [with_new_targets(value, is_said) for value in node] if isinstance(node, list) else node


def _new_target(target: str, is_said: bool) -> str:
    module, _, name = target.rpartition(".")
    new = module_of(module, name)
    if new == module:
        return target
    if is_said:
        _say(f"{TARGET}: {target}", f"{new}.{name}")
    return f"{new}.{name}"


def kind_of_task(name: str) -> str:
    """The name of a kind of task now; names of before had a hyphen, and are said."""
    new = name.replace("-", "_")
    if new != name:
        _say(f'output = "{name}"', f'"{new}"')
    return new


def _say(old: str, new: str) -> None:
    """Tell the person at the keyboard once what to write."""
    if (old, new) not in _said and sys.stderr is not None:
        _said.add((old, new))
        print(
            f"seqexp: {old} is {new} now; the old name goes with the next release", file=sys.stderr
        )


# --- imports ----------------------------------------------------------------------------------


def install() -> None:
    """Have imports by an old name find what is there now."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder:
    """Finds modules by their old names, and adds old names to modules that lost them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module that is elsewhere now, or one that lost names; None for all others."""
        if name in MODULES:
            is_package = any(other.startswith(f"{name}.") for other in MODULES)
            return ModuleSpec(name, OldModule(), is_package=is_package)  # type: ignore[arg-type]
        return self._with_old_names(name, path, target) if name in NAMES else None

    def _with_old_names(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            executed = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                executed(module)
                module.__dict__.setdefault("__getattr__", _looked_up(name))

            # of this loader only: all else of it, as its source, stays as it is
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class OldModule:
    """Loads a module without content of its own: what is asked of it is looked up elsewhere."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Have its names looked up where they are now."""
        module.__dict__["__getattr__"] = _looked_up(module.__name__)

    def get_code(self, name: str) -> CodeType:
        """The code that `python -m` of the old name runs."""
        text = f"from seqexp.utils.old_names import run\nrun({name!r})\n"
        return compile(text if name in COMMANDS else "", name, "exec")


def _looked_up(old: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module by its old name."""

    def attribute(name: str) -> Any:
        new = module_of(old, name)
        if new != old and name == "__all__":
            return [item for item in dir(import_module(new)) if not item.startswith("_")]
        if new == old or name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        value = getattr(import_module(new), name)
        if not name.startswith("_"):
            _say(f"{old}.{name}", f"{new}.{name}")
        return value

    return attribute


def run(old: str) -> None:
    """Run an old command, such as `python -m seqexp.predict`, after printing its new form."""
    from seqexp.cli.subcommand import run_command

    _say(f"python -m {old}", f"python -m seqexp {COMMANDS[old]}")
    sys.exit(run_command(COMMANDS[old], sys.argv[1:]))
