"""Adam for models with large tables of token vectors: what a step costs depends on its batch."""

import math
from collections.abc import Mapping, Sequence
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

BLOCK = 4096
"""Rows that are brought up to date at a time where all are."""


class LazyAdam(Adam):
    """Adam whose tables of token vectors are stepped where they are read.

    A row that no token of a batch reads has no gradient, but Adam moves it all the same, as its
    first moment m fades: by lr_k c_k m rho^j / sqrt(v) in its j-th such step, where k counts all
    steps, c_k = sqrt(1 - beta2^k) / (1 - beta1^k), rho = beta1 / sqrt(beta2), and eps is left out.
    So all that a row has missed is one product with a number that depends on its last step alone,
    and a row is caught up when it is next read. The trajectory is that of Adam up to rounding as
    eps goes to 0; otherwise eps counts in missed steps as it did in the first of them.

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

    def serve(self, module: nn.Module, table: nn.Parameter) -> None:
        """Step a table lazily, whose rows are read by the token ids that a module is called with.

        It has to have sparse gradients.
        """

        # a function, since those are not copied with the module
        def before(_: nn.Module, inputs: tuple[Tensor]) -> None:
            with torch.no_grad():
                self._catch_up(table, torch.unique(inputs[0]))

        module.register_forward_pre_hook(before)
        # moments as of each row's last step
        self.state[table] = {
            "step": 0,
            "settled": 0,
            "exp_avg": torch.zeros_like(table),
            "exp_avg_sq": torch.zeros_like(table),
            "last": torch.zeros(len(table), dtype=torch.int64, device=table.device),
            # by last step, counted from `settled`: sums of lr c rho^j over the steps since
            "missed": torch.zeros(1024, dtype=torch.float64),
        }

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
        correction1, correction2 = 1 - beta1**step, 1 - beta2**step
        size = float(group["lr"]) / correction1
        m = state["exp_avg"][rows].lerp_(values, 1 - beta1)
        v = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, m)
        state["exp_avg_sq"].index_copy_(0, rows, v)
        divisor = (v.sqrt() / math.sqrt(correction2)).add_(group["eps"])
        table.index_add_(0, rows, m.div_(divisor), alpha=-size)
        if self.catch_up:
            state["last"][rows] = step
            self._miss(state, size * math.sqrt(correction2))

    def _miss(self, state: dict[str, Any], moved: float) -> None:
        """Add a step to what has been missed; `moved` is its lr_k c_k."""
        place = state["step"] - state["settled"]
        if place >= len(state["missed"]):
            state["missed"] = torch.cat([state["missed"], torch.zeros_like(state["missed"])])
        fading = self._fading[-place:]
        state["missed"][place - len(fading) : place] += moved * fading

    # --- what was missed --------------------------------------------------------------------------

    def _catch_up(self, table: Tensor, rows: Int[Tensor, " rows"]) -> None:
        """Bring rows to today: what they would be, had they been stepped without a gradient."""
        state, group = self.state[table], self._group(table)
        last = state["last"][rows]
        is_behind = last < state["step"]
        if not self.catch_up or not is_behind.any():
            return
        rows, last = rows[is_behind], last[is_behind]
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"][rows], state["exp_avg_sq"][rows]
        # in the first missed step: sqrt(v beta2 / (1 - beta2^k)) + eps, as sqrt(v) + eps
        first = (last + 1).double()
        eps = group["eps"] * torch.sqrt((1 - beta2**first) / beta2)
        moved = state["missed"][(last - state["settled"]).cpu()].to(table.device)
        # a row that was never read has no moments, and does not move
        tiny = torch.finfo(table.dtype).tiny
        divisor = v.sqrt().add_(_column(eps, v)).clamp_(min=tiny)
        table.index_add_(0, rows, (m / divisor).mul_(_column(moved, m)), alpha=-1)
        steps = (state["step"] - last).double()
        state["exp_avg"].index_copy_(0, rows, m.mul_(_column(beta1**steps, m)))
        state["exp_avg_sq"].index_copy_(0, rows, v.mul_(_column(beta2**steps, v)))
        state["last"][rows] = state["step"]

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date, for who reads the table itself."""
        for table, state in self.state.items():
            if "last" not in state or not self.catch_up:
                continue
            for rows in torch.split(torch.arange(len(table), device=table.device), BLOCK):
                self._catch_up(table, rows)
            state["settled"] = state["step"]
            state["missed"].zero_()

    def _group(self, table: Tensor) -> Mapping[str, Any]:
        return next(g for g in self.param_groups if any(p is table for p in g["params"]))

    def load_state_dict(self, state_dict: Any) -> None:
        """As saved; PyTorch would make all numbers of a state the parameter's type."""
        super().load_state_dict(state_dict)
        numbered = (p for group in self.param_groups for p in group["params"])
        for number, parameter in enumerate(numbered):
            saved = state_dict["state"].get(number, {})
            if "last" in saved:
                last = saved["last"].to(parameter.device, copy=True)
                own = {"step": int(saved["step"]), "last": last, "missed": saved["missed"].clone()}
                self.state[parameter].update(own)


def _column(values: Float[Tensor, " rows"], like: Tensor) -> Float[Tensor, "rows 1"]:
    return values[:, None].to(like.dtype)
