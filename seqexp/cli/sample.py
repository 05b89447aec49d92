"""What a model writes that was trained on a text.

python -m seqexp sample run=RUN prompt=TEXT [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  prompt         what the text begins with
  length         symbols to add; 200
  temperature    below 1 the probable becomes more probable; 0 takes the most probable always; 1
  top_k          draw among so many of the most probable symbols; null: among all
  seed           selects the draws; 0
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

  python -m seqexp sample run=latest prompt='the cat ' temperature=0.5
"""

import torch

from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.decode.sample import Sample
from seqexp.errors import InputError
from seqexp.inference import text
from seqexp.ranges import Count, Seed, Temperature
from seqexp.spec import PAD, Output
from seqexp.utils.streams import show


def sample(
    place: Place,
    one: Which,
    prompt: str,
    length: Count = 200,
    temperature: Temperature = 1.0,
    top_k: Count | None = None,
    seed: Seed = 0,
    trusted: tuple[str, ...] = (),
) -> None:
    """Print the prompt and what follows it.

    Raises:
        InputError: if there is no such run, its model classifies, or it cannot read the prompt.
    """
    torch.set_num_threads(1)
    store = Store(place)
    found = one.one(store)
    model = store.model(found, trusted)
    spec = model.spec
    if spec.output is not Output.NEXT_TOKEN:
        names = ", ".join(spec.output_names)
        does = f"predicts {names}" if spec.output.has_numbers else f"tells {names} apart"
        raise InputError(
            f"run is {one.run}, whose model ({found.info.run_name}) {does} and does not write; see"
            " python -m seqexp predict"
        )
    if spec.context is not None:
        raise InputError(
            f"run is {one.run}, whose model ({found.info.run_name}) writes a target for what it"
            " reads, and does not continue a text; see python -m seqexp predict"
        )
    try:
        ids = text.encode(prompt, spec)
    except InputError as error:
        raise InputError(f"prompt is {prompt!r}: {error}") from error
    if ids == [PAD]:
        known = ", ".join(spec.vocabulary.symbols[:30])
        raise InputError(f"prompt is empty; give at least one of the symbols {known}")
    settings = Sample(prompt, length, (float(temperature),), top_k, None, seed)
    for _, written in settings.write(model.model, ids, torch.device("cpu")):  # type: ignore[arg-type]
        show(text.decode([*ids, *written], spec))
