"""Imports all that a job may need: of the process that jobs are forked from."""

import contextlib
import gc
import importlib

NAMES = (
    *("torch", "seqexp.cli.main", "seqexp.run", "seqexp.config.check"),
    *("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "seqexp.tracking.mlflow"),
    *("seqexp.tracking.store.client", "seqexp.interpret.filters.report", "PIL.Image"),
)
"""Modules; what they import comes with them. Another than ours may be absent."""

gc.disable()
for _name in NAMES:
    with contextlib.suppress(ImportError):  # a job that needs it says so
        importlib.import_module(_name)
with contextlib.suppress(ImportError, AttributeError):  # a second, in each job that keeps a model
    importlib.import_module("mlflow.utils.requirements_utils")._init_modules_to_packages_map()
with contextlib.suppress(ImportError, AttributeError):
    importlib.import_module("sqlalchemy.orm").configure_mappers()
gc.freeze()  # pages that nobody writes to stay shared
