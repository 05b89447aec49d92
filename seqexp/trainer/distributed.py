"""Several processes that train one model: each takes its share of the rows of every batch."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqexp.data import Batch
from seqexp.errors import LostProcessError
from seqexp.spec import unscored

T = TypeVar("T")

PATIENCE = timedelta(minutes=30)
"""How long processes wait for each other; the first one may be drawing or writing."""

SETTLING = 0.5
"""Seconds in which the threads of a group let go of what they have computed; it takes some ms."""


def first_line(error: BaseException) -> str:
    """What an error says first, without the place in PyTorch's source."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[\S+:\d+\]\s*", "", said).partition(". This is")[0].rstrip(".")


@dataclass(frozen=True)
class Processes:
    """Which of the processes this is; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that keeps, records and says things."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """This one's rows of a batch. Where it has none, a row that is not scored."""
        if self.count == 1:
            return batch
        rows = slice(self.rank, None, self.count)
        has_none = self.rank >= len(batch.tokens)
        if has_none:  # a layer may refuse no rows at all
            rows = slice(0, 1)
        context = None if batch.context is None else batch.context[rows]
        targets = batch.targets[rows]
        if has_none:
            targets = torch.full_like(targets, unscored(targets))
        tokens = batch.tokens[rows]
        numbers = None if batch.numbers is None else batch.numbers[rows]
        return replace(batch, tokens=tokens, targets=targets, context=context, numbers=numbers)

    def averaging(self, losses: nn.Module, uses_all: bool = True) -> nn.Module:
        """Have gradients of what this module returns averaged over all processes.

        Unless it `uses_all` of its weights each time, those that it has used are looked for.
        """
        if self.count == 1:
            return losses
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(losses, find_unused_parameters=not uses_all)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether one of them says so."""
        if self.count == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def gathered(self, value: T) -> list[T]:
        """The value of each, in order."""
        found = [value] * self.count
        if self.count > 1:
            torch.distributed.all_gather_object(found, value)
        return found

    def told(self, value: T) -> T:
        """The value of the first."""
        values = [value]
        if self.count > 1:
            torch.distributed.broadcast_object_list(values)
        return values[0]


CONNECTION = re.compile(r"gloo/|NCCL|ProcessGroup|Connection (reset|closed|refused)")
"""Words of PyTorch's errors on connections of processes, which have no type of their own."""


@contextlib.contextmanager
def joined(use_gpu: bool) -> Iterator[Processes]:
    """The processes that `torchrun` has started, or this one alone.

    Raises:
        LostProcessError: if another one has ended while this one waited for it.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    from torch import distributed

    if use_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if use_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), count)
    except RuntimeError as error:
        if CONNECTION.search(str(error)) is None:
            raise
        raise LostProcessError(
            f"process {distributed.get_rank()} of {count}: another process of this training has"
            f" ended, or cannot be reached ({first_line(error)}). What it said stands above, or on"
            " its own machine. The same command resumes from the last checkpoint"
        ) from error
    finally:
        # To let go of the last tensors, a thread of the group takes the GIL, which sleep gives
        # away. The group's destructor may wait for that thread while it holds the GIL: for ever.
        time.sleep(SETTLING)
        distributed.destroy_process_group()
