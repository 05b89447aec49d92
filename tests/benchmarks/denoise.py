"""CPU milliseconds a cluster of `decode=denoise` and of the polish, by the model of a run.

python tests/benchmarks/denoise.py --model outputs/mlartifacts/RUN/artifacts/model/data/model \
    --file ../shared/data/reads/cnr_valid.txt.gz --length 110 --clusters 200 --reads 3 5 10
"""

import argparse
import time
from functools import partial
from pathlib import Path

import torch

from seqexp.callback.denoise import first_reads
from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.decode.consensus.table import channel_of, polish_medoids
from seqexp.decode.denoise import Denoise, denoise
from seqexp.inference.saved_model import load
from seqexp.model.read_scores import Scores

TOGETHER = 50


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--model", required=True, help="a run's folder model/data/model")
    parser.add_argument("--file", help="clusters with true sequences; without: simulated")
    parser.add_argument("--length", type=int, default=110, help="of the true sequences")
    parser.add_argument("--free", action="store_true", help="do not tell the length")
    parser.add_argument("--clusters", type=int, default=200, help="the first")
    parser.add_argument("--reads", type=int, nargs="+", default=[3, 5, 10], help="of each cluster")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(arguments.model)).model
    count = arguments.clusters
    data = NoisyReads(reads=arguments.file, max_clusters=count)
    if arguments.file is None:
        data = NoisyReads(
            num_clusters=count, num_reads=max(arguments.reads), length=arguments.length
        )
    length = None if arguments.free else arguments.length
    settings = Denoise(length=length)
    for number in arguments.reads:
        clusters = first_reads(data.clusters(), number)
        channel = channel_of(clusters)
        parts = [clusters[i : i + TOGETHER] for i in range(0, len(clusters), TOGETHER)]
        took: dict[str, list[float]] = {
            "polish": [],
            "denoise": [],
        }  # seconds a cluster
        right = 0
        for part in parts:
            reads = [cluster.reads for cluster in part]
            began = time.process_time()
            polish_medoids(reads, channel, length)
            middle = time.process_time()
            found = denoise(reads, channel, partial(Scores, model), settings)
            took["polish"].append((middle - began) / len(part))
            took["denoise"].append((time.process_time() - middle) / len(part))
            right += sum(a.sequence == b.truth for a, b in zip(found, part, strict=True))
        told = ", ".join(
            f"{name} {1000 * sum(v) / len(v):.1f} ms (least of {len(v)} parts {1000 * min(v):.1f})"
            for name, v in took.items()
        )
        print(f"{len(clusters)} clusters of {number} reads: {told}; {right} exact", flush=True)


if __name__ == "__main__":
    main()
