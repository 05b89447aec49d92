"""PyTorch Lightning around the same network as the bare loop's.

With all off: no logger, no checkpoints, no bar. `logging`: loss and accuracy of each update and
epoch to MLflow, points every so many updates, checkpoints as often as ours. Truncated
backpropagation through time is by hand, since Lightning has had none of its own since version 2.
"""

import logging
import warnings
from datetime import timedelta
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor

from tests.benchmarks.gate import Gate
from tests.benchmarks.peers.network import Batches, Network, decay_of, loss_of, optimizer_of
from tests.benchmarks.work import CHECKED, Work

OFF: dict[str, Any] = {"logger": False, "enable_checkpointing": False}

SILENT: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Module(lightning.LightningModule):
    """The network, its loss and its optimizer."""

    def __init__(self, work: Work, is_logged: bool) -> None:
        super().__init__()
        self.network, self.work, self.is_logged = Network(work), work, is_logged
        self.automatic_optimization = work.window is None
        self.states = None
        self.losses: list[float] = []  # of the check

    def configure_optimizers(self) -> Any:
        optimizer, decay = optimizer_of(self.work, self.network), decay_of(self.work)
        if not decay:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
        scheduler = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_train_epoch_start(self) -> None:
        self.states = None

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        tokens, targets = batch
        logits, states = self.network(tokens, self.states)
        loss = loss_of(self.work.spec["output"], logits, targets)
        if len(self.losses) <= CHECKED:
            self.losses.append(loss.item())
        if self.is_logged:
            self._log("train", loss, logits, targets, on_step=True)
        if not self.automatic_optimization:
            self.states = tuple(state.detach() for state in states)
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        tokens, targets = batch
        logits, _ = self.network(tokens)
        loss = loss_of(self.work.spec["output"], logits, targets)
        if self.is_logged:
            self._log("valid", loss, logits, targets, on_step=False)

    def _log(
        self, split: str, loss: Tensor, logits: Tensor, targets: Tensor, on_step: bool
    ) -> None:
        right = (logits > 0) if logits.shape[-1] == 1 else logits.argmax(dim=-1)
        accuracy = (right.reshape(targets.shape) == targets).float().mean()
        values = {f"{split}/loss_nats": loss, f"{split}/accuracy": accuracy}
        self.log_dict(values, on_step=on_step, on_epoch=True, batch_size=len(targets))


class Passing(Callback):
    """Waits at the gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.gate.passed("update")

    def on_train_epoch_end(self, *arguments: Any) -> None:
        self.gate.passed("epoch")


def quieten(work: Work) -> None:
    """No advice on the standard error, and this many threads."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(work.threads)


def losses(work: Work, variant: str) -> list[float]:
    """Of the batches of the check, each before its update."""
    quieten(work)
    module = Module(work, is_logged=False)
    batches = [(torch.tensor(tokens), torch.tensor(targets)) for tokens, targets in work.checked()]
    loader = torch.utils.data.DataLoader(batches, batch_size=None)  # of a list, it makes many
    lightning.Trainer(max_epochs=1, **OFF, **SILENT).fit(module, loader)
    return module.losses


def train(work: Work, variant: str, gate: Gate) -> None:
    """For ever."""
    quieten(work)
    settings, folder = work.config["trainer"], work.folder / "lightning"
    kept, callbacks = OFF, [Passing(gate)]
    if variant == "logging":
        kept = {
            "logger": MLFlowLogger("bench", tracking_uri=f"sqlite:///{folder}.db"),
            "log_every_n_steps": settings["log_every_steps"],
            "default_root_dir": folder,
        }
        every = timedelta(minutes=settings["checkpoint"]["every_minutes"])
        callbacks.append(ModelCheckpoint(folder, train_time_interval=every))
    batches = Batches(work, "train", settings["batch_size"], shuffle=True)
    valid = Batches(work, "valid", settings["eval_batch_size"], shuffle=False)
    trainer = lightning.Trainer(max_epochs=-1, callbacks=callbacks, **kept, **SILENT)
    trainer.fit(Module(work, variant == "logging"), batches, valid if len(valid) else None)
