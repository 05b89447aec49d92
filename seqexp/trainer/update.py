"""One update of a training: losses, gradients, and a step of the optimizer."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seqexp.errors import NonFiniteError
from seqexp.seeding import stream_seed
from seqexp.spec import Carry
from seqexp.trainer.adversarial import AdversarialNoise
from seqexp.trainer.distributed import Processes
from seqexp.trainer.score import Score
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training, Updates, Work


def update(work: Work) -> tuple[Updates, Carry]:
    """One step of the optimizer.

    Returns what was summed, and the state after the first part, as a value. Where nothing is
    scored, the state goes on and no step is taken.

    Raises:
        NonFiniteError: naming the place and the parameter; nothing was changed.
    """
    training = work.training
    settings, processes = training.settings, training.processes
    if work.scored == 0:
        with torch.no_grad():
            return Updates(), training.losses(work.parts[:1], work.carry, work.masks)[2]
    for parameter in training.parameters.values():
        parameter.grad = None
    if training.noise is None:
        nats, extras, kept = _go_back(work)
    else:
        nats, extras, kept = _go_back_twice(work, training.noise)
    gradients = list(_gradients(training).values())
    norm = _norm(gradients)
    nats_sum, norm_sum, *extra_sums = _numbers(processes, nats.detach(), norm, extras)
    norm_before = norm_sum / processes.count  # which is the same in all of them
    # before the step: a non-finite update must never be applied
    _refuse_non_finite(training, nats_sum, norm_before, work.where)
    norm_after, clipped = _clip(gradients, norm, norm_before, settings)
    training.optimizer.step()
    training.step_schedule()
    training.step += 1
    score = Score(nats_sum, work.scored, tuple(extra_sums))
    norms = (norm_before, norm_after, norm_before)  # their sums and the largest, of this one
    return Updates(score, 0, 1, *norms, int(clipped)), kept


def _numbers(processes: Processes, nats: Tensor, norm: Tensor, extras: Tensor) -> list[float]:
    """The sum of each number over all processes."""
    if processes.count == 1 and nats.is_cpu:  # nothing has to be brought together
        return [nats.item(), norm.item(), *map(float, extras.tolist())]
    # one transfer for all that is needed from the device
    columns = [nats.double()[None], norm.double()[None], extras.double()]
    found: list[float] = processes.sum(torch.cat(columns)).tolist()
    return found


def _go_back(work: Work, share: float = 1.0) -> tuple[Tensor, Tensor, Carry]:
    """Add a share of the gradient of the loss; returns what `Losses` does."""
    training = work.training
    nats, extras, kept = training.losses(work.parts, work.carry, work.masks)
    loss = nats / (work.scale / training.processes.count)  # gradients are averaged over processes
    if training.penalty is not None:
        loss = loss + training.penalty()
    (loss if share == 1.0 else share * loss).backward()
    return nats, extras, kept


def _go_back_twice(work: Work, noise: AdversarialNoise) -> tuple[Tensor, Tensor, Carry]:
    """As `_go_back`, of the mean of the loss and that with noise on the vectors; the sums and the
    state are without noise.

    Dropout has masks of its own in the second pass, the same for all windows of a sequence. Under
    the masks of the first, units that it drops would have no noise, and all others have more.
    """
    with noise.watching():
        found = _go_back(work, 0.5)
    with noise.added():
        _go_back(replace(work, masks=stream_seed(work.masks, "noise")), 0.5)
    return found


def _gradients(training: Training) -> dict[str, Tensor]:
    """By parameter; of those of a few rows only, these rows, once each."""
    found = {}
    for name, parameter in training.parameters.items():
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            found[name] = parameter.grad.values()
        else:
            found[name] = parameter.grad
    return found


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all of them as one vector."""
    # as nn.utils.get_total_norm, which sorts them by device first, for longer than small norms take
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def _clip(
    gradients: Sequence[Tensor], norm: Tensor, size: float, settings: Settings
) -> tuple[float, bool]:
    """Limit the gradient in place, by value and then by norm.

    Returns its norm after that, and whether anything was changed.

    Source: Pascanu, Mikolov & Bengio (2013), algorithm 1, for the norm.
    """
    clipped = False
    if settings.clip_value is not None:
        largest = max(float(gradient.abs().max()) for gradient in gradients)
        if largest > settings.clip_value:
            clipped = True
            for gradient in gradients:
                gradient.clamp_(-settings.clip_value, settings.clip_value)
            norm = _norm(gradients)
            size = float(norm)
    if settings.clip_norm is not None and size > settings.clip_norm:
        clipped = True
        for gradient in gradients:
            gradient.mul_(settings.clip_norm / norm)
        size = settings.clip_norm
    return size, clipped


def _refuse_non_finite(training: Training, nats: float, norm: float, where: str) -> None:
    if math.isfinite(nats) and math.isfinite(norm):
        return
    for name, parameter in training.parameters.items():
        if not torch.isfinite(parameter).all():
            raise NonFiniteError(f"{name} has inf or nan before {where}")
    for name, gradient in _gradients(training).items():
        if not torch.isfinite(gradient).all():
            what = "nan" if torch.isnan(gradient).any() else "inf"
            loss = f" (the loss is {nats})" if not math.isfinite(nats) else ""
            raise NonFiniteError(f"gradient of {name} is {what} at {where}{loss}; {_ADVICE}")
    if not math.isfinite(nats):
        raise NonFiniteError(f"the loss is {nats} at {where}; {_ADVICE}")
    raise NonFiniteError(f"the norm of the gradient overflows at {where}; {_ADVICE}")


_ADVICE = "the step was not taken. Try a smaller optimizer.lr, or trainer.clip_norm=1"
