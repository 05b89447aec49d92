"""A trained model as a graph of ONNX, which other programs run without seqexp or PyTorch.

python -m seqexp export run=RUN output=FILE.onnx [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  output         file to write, which ends in .onnx
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Input is `tokens`, ids of (batch, time), 0 where a sequence is padded, or numbers of (batch, time,
features), NaN there; and `context`, where a model reads one. Output is `logits`. Batch and time are
free; of model.readout=flatten, time is that of the training. Symbols by their ids (the first is 1),
labels, the kind of task and the encoding of words are in the metadata, as seqexp.symbols,
seqexp.labels, seqexp.kind and seqexp.task. Before the file is kept, onnxruntime and the model are
compared on sequences of three sizes, padded ones too.

  pip install 'seqexp[onnx]'
  python -m seqexp export run=latest output=model.onnx
"""

import sys
from pathlib import Path

import torch

from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.errors import InputError
from seqexp.inference.onnx_graph.write import graph_of, refuse_without_packages
from seqexp.utils.files import appearing
from seqexp.utils.names import visible


def export(place: Place, one: Which, output: str, trusted: tuple[str, ...] = ()) -> None:
    """Write the graph, after it was compared with the model.

    Raises:
        InputError: if there is no such run, a package is missing, or the graph is not the model's.
    """
    refuse_without_packages()
    if not output.lower().endswith(".onnx"):
        raise InputError(f"output is {output}; give a file that ends in .onnx")
    torch.set_num_threads(1)
    store = Store(place)
    found = one.one(store)
    saved = store.model(found, trusted)
    try:
        proto, apart = graph_of(saved, found.info.run_id)
    except InputError as error:
        raise InputError(f"run is {one.run} ({found.info.run_name}): {error}") from error
    try:
        with appearing(Path(output)) as file:
            file.write(proto.SerializeToString())
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"output is {output}, which cannot be written ({reason})") from error
    size = proto.ByteSize() / 1e6
    print(
        f"{visible(output)}: {size:.1f} MB; the largest difference of a logit is {apart:.1e}",
        file=sys.stderr,
    )
