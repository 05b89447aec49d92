"""Adam for models with large tables of token vectors: what a step costs depends on its batch."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Len
from jaxtyping import Int
from torch import Tensor, nn
from torch.optim import Adam

from seqexp.kernels import lazy_adam_rows as rows
from seqexp.ranges import SLOWEST, NotNegative, Rate

NEGLIGIBLE = 1e-20
"""Of a row's movement in one step: after so much decay, later steps are left out."""


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
        betas: decay of the two moments, an update; beta1 at most `SLOWEST` sqrt(beta2), or what is
            missed would not fade.
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
        betas: Annotated[Sequence[Rate], Len(2, 2)] = (0.9, 0.999),
        eps: NotNegative = 1e-8,
        catch_up: bool = True,
    ) -> None:
        beta1, beta2 = betas
        super().__init__(params, lr=lr, betas=(beta1, beta2), eps=eps, fused=True)
        self.catch_up = catch_up
        self._fading = torch.empty(0, dtype=torch.float64)
        if not catch_up:
            return
        if beta1 > SLOWEST * math.sqrt(beta2):
            raise ValueError(
                f"betas are {beta1} and {beta2}, so that what rows miss would not fade; give a"
                f" beta1 of at most {SLOWEST} sqrt(beta2), or catch_up=false"
            )
        self.rho = beta1 / math.sqrt(beta2) if beta1 else 0.0
        reach = math.ceil(math.log(NEGLIGIBLE) / math.log(self.rho)) if self.rho else 1
        # rho^reach, ..., rho^1: of the steps before the last, oldest first
        self._fading = self.rho ** torch.arange(reach, 0, -1, dtype=torch.float64)

    def serve(self, table: nn.Parameter) -> Callable[[Int[Tensor, " rows"]], None]:
        """Step a table lazily, whose gradients are to be sparse.

        Returns what has to be called before rows are read, with these.
        """
        self.state[table] = rows.begun(table)

        # a function, since those are not copied with a model
        def on_reading(read: Tensor) -> None:
            state = self.state[table]
            if self.catch_up and state["step"] > state["settled"]:
                with torch.no_grad():
                    rows.catch_up(table, state, read)

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
        number = state["step"] = state["step"] + 1
        correction = math.sqrt(1 - beta2**number)
        distance = float(group["lr"]) * correction / (1 - beta1**number)
        eps = group["eps"] * correction
        step = rows.Step(number, (beta1, beta2), eps, distance, self.catch_up)
        rows.take_step(table, state, gradient.indices()[0], gradient.values(), step)
        if self.catch_up:
            self._miss(state, distance)

    def _miss(self, state: rows.State, distance: float) -> None:
        """Add a step to what rows miss, by their last step."""
        place = state["step"] - state["settled"]
        if place >= len(state["missed"]):
            state["missed"] = torch.cat([state["missed"], torch.zeros_like(state["missed"])])
        fading = self._fading[-place:]
        state["missed"][place - len(fading) : place] += distance * fading

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date, for who reads the table itself."""
        for group in self.param_groups:
            for table in group["params"]:
                if self.catch_up and "missed" in self.state.get(table, {}):
                    rows.settle(table, self.state[table], group["betas"], self.rho)

    def load_state_dict(self, state_dict: Any) -> None:
        """As saved; PyTorch would make all numbers of a state the parameter's type.

        Raises:
            InputError: if it was computed by compiled steps and these cannot be had.
        """
        super().load_state_dict(state_dict)
        numbered = (p for group in self.param_groups for p in group["params"])
        for number, parameter in enumerate(numbered):
            saved = state_dict["state"].get(number, {})
            if "missed" in saved:
                self.state[parameter] = rows.copied(saved, parameter)
