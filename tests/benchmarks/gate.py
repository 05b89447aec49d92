"""What a training passes after each update and epoch: from time to time it waits there."""

import os
import time
from collections.abc import Callable
from typing import Literal, TextIO

Unit = Literal["epoch", "update"]


class Gate:
    """Times stretches of so many units, and waits after each until it is told to go on.

    CPU time is that of all threads of this process, from the end of one stretch to the end of the
    next: what was left to a thread in the background counts too. Wall time is without the waiting.

    Args:
        unit: what is counted.
        count: units of a stretch.
        tell: takes CPU and wall seconds of each.
        told: a line a stretch; at its end, the process ends.
    """

    def __init__(
        self, unit: Unit, count: int, tell: Callable[[dict[str, float]], None], told: TextIO
    ) -> None:
        self.unit, self.count, self.tell, self.told = unit, count, tell, told
        self.passes = 0
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def passed(self, unit: Unit) -> None:
        """An update or an epoch is done."""
        if unit != self.unit:
            return
        self.passes += 1
        if self.passes % self.count:
            return
        cpu, wall = time.process_time(), time.perf_counter()
        self.tell({"cpu": cpu - self.cpu, "wall": wall - self.wall})
        if not self.told.readline():
            os._exit(0)  # without the farewells of a training that was cut off
        self.cpu, self.wall = cpu, time.perf_counter()
