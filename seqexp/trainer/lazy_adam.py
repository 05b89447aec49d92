"""Adam for models with large tables of token vectors: what a step costs depends on its batch."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Interval, Len
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adam

from seqexp.ranges import NotNegative

Decay = Annotated[float, Interval(ge=0, lt=1)]

NEGLIGIBLE = 1e-20
"""Of a row's movement in one step: after so much decay, later steps are left out."""

EXACT = ("last", "moved")
"""Of a table's state, whose numbers are not of the table's type."""

BLOCK = 4096
"""Rows that are brought up to date at a time where all are."""


class LazyAdam(Adam):
    """Adam whose tables of token vectors are stepped where they are read.

    A row that no token of a batch reads has no gradient, but Adam moves it all the same, as its
    first moment m fades: by lr_k c_k m rho^j / sqrt(v) in its j-th such step, where k counts all
    steps, c_k = sqrt(1 - beta2^k) / (1 - beta1^k), rho = beta1 / sqrt(beta2), and eps is left out.
    So all that a row has missed is one product with a number that depends on its last step alone,
    and a row is caught up when it is next read. The trajectory is that of Adam up to rounding as
    eps goes to 0; otherwise eps counts in missed steps as it did in the row's last one.

    What was not handed to `serve` is stepped as by `torch.optim.Adam`.

    Args:
        params: what is stepped.
        lr: learning rate.
        betas: decay of the two moments, an update; beta1 below sqrt(beta2), or what is missed would
            not fade.
        eps: is added to sqrt(v).
        catch_up: move rows for steps that they were not read in. Without, neither they nor their
            moments change then, as in `torch.optim.SparseAdam`: rare rows keep old gradients for
            longer, and end elsewhere.

    Raises:
        ValueError: on betas that do not fade.

    Source: Kingma & Ba (2015), algorithm 1; the sum over missed steps follows from it with g = 0.
    """

    def __init__(
        self,
        params: Any,
        lr: NotNegative = 0.001,
        betas: Annotated[Sequence[Decay], Len(2, 2)] = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        catch_up: bool = True,
    ) -> None:
        beta1, beta2 = betas
        super().__init__(params, lr=lr, betas=(beta1, beta2), eps=eps, fused=True)
        self.catch_up = catch_up
        if beta1**2 >= beta2:
            raise ValueError(f"betas are {beta1} and {beta2}; give a beta1 below sqrt(beta2)")
        rho = beta1 / math.sqrt(beta2)
        reach = 1 if rho == 0 else math.ceil(math.log(NEGLIGIBLE) / math.log(rho))
        # rho^reach, ..., rho^1: of the steps before the last, oldest first
        self._fading = rho ** torch.arange(reach, 0, -1, dtype=torch.float64)

    def serve(self, table: nn.Parameter) -> Callable[[Int[Tensor, " rows"]], None]:
        """Step a table lazily, whose gradients are to be sparse.

        Returns what has to be called before rows are read, with these.
        """
        self.state[table] = {
            "step": 0,
            "settled": 0,  # the step after which all rows were up to date
            "exp_avg": torch.zeros_like(table),  # m and v after each row's last step
            "exp_avg_sq": torch.zeros_like(table),
            "direction": torch.zeros_like(table),  # m / (sqrt(v) + eps) of it
            "last": torch.zeros(len(table), dtype=torch.int64, device=table.device),
            # how far along its direction a row has been moved since
            "moved": torch.zeros(len(table), dtype=torch.float64, device=table.device),
            # how far it is to be, by its last step counted from `settled`: sums of lr c rho^j
            "missed": torch.zeros(1024, dtype=torch.float64),
        }

        # a function, since those are not copied with a model
        def on_reading(rows: Tensor) -> None:
            with torch.no_grad():
                self._catch_up(table, rows)

        return on_reading

    # --- one step ---------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Step all that has a gradient; of tables, the rows that have one."""
        tables = [
            (group, table, table.grad)
            for group in self.param_groups
            for table in group["params"]
            if table.grad is not None and table.grad.is_sparse
        ]
        for _, table, _ in tables:
            table.grad = None  # for Adam, which wants none that is sparse
        super().step()
        for group, table, gradient in tables:
            self._step_table(group, table, gradient.coalesce())
            table.grad = gradient

    def _step_table(self, group: Mapping[str, Any], table: Tensor, gradient: Tensor) -> None:
        state, (beta1, beta2) = self.state[table], group["betas"]
        state["step"] += 1
        step, rows, values = state["step"], gradient.indices()[0], gradient.values()
        m, v = (state[name].index_select(0, rows) for name in ("exp_avg", "exp_avg_sq"))
        if self.catch_up:  # of the steps before this one, in which they had no gradient
            faded = (step - 1 - state["last"].index_select(0, rows)).double()
            m.mul_(_column(beta1**faded, m))
            v.mul_(_column(beta2**faded, v))
        m.lerp_(values, 1 - beta1)
        v.mul_(beta2).addcmul_(values, values, value=1 - beta2)
        correction = math.sqrt(1 - beta2**step)
        # a gradient that was always 0 leaves 0 / 0, and does not move
        tiny = torch.finfo(v.dtype).tiny
        direction = m / v.sqrt().add_(max(group["eps"] * correction, tiny))
        for name, new in (("exp_avg", m), ("exp_avg_sq", v), ("direction", direction)):
            state[name].index_copy_(0, rows, new)
        distance = float(group["lr"]) * correction / (1 - beta1**step)
        table.index_add_(0, rows, direction, alpha=-distance)
        if self.catch_up:
            state["last"].index_fill_(0, rows, step)
            state["moved"].index_fill_(0, rows, 0)
            self._miss(state, distance)

    def _miss(self, state: dict[str, Any], distance: float) -> None:
        """Add a step to what rows miss, by their last step; its distance is lr_k c_k."""
        place = state["step"] - state["settled"]
        if place >= len(state["missed"]):
            state["missed"] = torch.cat([state["missed"], torch.zeros_like(state["missed"])])
        fading = self._fading[-place:]
        state["missed"][place - len(fading) : place] += distance * fading

    # --- what was missed --------------------------------------------------------------------------

    def _catch_up(self, table: Tensor, rows: Int[Tensor, " rows"]) -> None:
        """Bring rows to where they would be, had they been stepped without a gradient."""
        state = self.state[table]
        if not self.catch_up or state["step"] == state["settled"]:
            return
        places = state["last"].index_select(0, rows) - state["settled"]
        due = state["missed"].to(table.device).index_select(0, places)
        distance = due - state["moved"].index_select(0, rows)
        state["moved"].index_copy_(0, rows, due)
        direction = state["direction"].index_select(0, rows)
        table.index_add_(0, rows, direction.mul_(_column(distance, direction)), alpha=-1)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date, for who reads the table itself."""
        for table, state in self.state.items():
            if "last" not in state or not self.catch_up:
                continue
            for rows in torch.split(torch.arange(len(table), device=table.device), BLOCK):
                self._catch_up(table, rows)
            beta1, beta2 = self._group(table)["betas"]
            steps = (state["step"] - state["last"]).double()
            for name, decay in (
                ("exp_avg", beta1),
                ("exp_avg_sq", beta2),
                ("direction", beta1 / math.sqrt(beta2)),
            ):
                state[name].mul_(_column(decay**steps, table))
            state["last"].fill_(state["step"])
            state["moved"].zero_()
            state["missed"].zero_()
            state["settled"] = state["step"]

    def _group(self, table: Tensor) -> Mapping[str, Any]:
        return next(g for g in self.param_groups if any(p is table for p in g["params"]))

    def load_state_dict(self, state_dict: Any) -> None:
        """As saved; PyTorch would make all numbers of a state the parameter's type."""
        super().load_state_dict(state_dict)
        numbered = (p for group in self.param_groups for p in group["params"])
        for number, parameter in enumerate(numbered):
            saved = state_dict["state"].get(number, {})
            if "last" in saved:
                on_device = {name: saved[name].to(parameter.device, copy=True) for name in EXACT}
                numbers = {"step": int(saved["step"]), "missed": saved["missed"].clone()}
                self.state[parameter].update({**on_device, **numbers})


def _column(values: Float[Tensor, " rows"], like: Tensor) -> Float[Tensor, "rows 1"]:
    return values[:, None].to(like.dtype)
