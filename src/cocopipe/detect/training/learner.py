"""What changes while a detector learns, as a whole that can be put back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cocopipe.detect.network.device import training_dtype
from cocopipe.detect.settings import Optimizer, Training
from cocopipe.detect.training.average import moving_average
from cocopipe.detect.training.choice import Choice
from cocopipe.detect.training.weight_groups import FACTOR, groups


@dataclass
class Learner:
    """A detector that learns, and how far it has come.

    Attributes:
        module: torchvision's, on its device.
        optimizer: Of the weights that are trained.
        scaler: Of float16's gradients; does nothing with other types.
        average: Of the weights of all steps; None where none is wanted.
        choice: What was seen of the epochs, and the weights of the best one.
        device: Where it is.
        step: Steps done, over all epochs.
        epochs: Epochs done, validation with them.
        epoch_s: Seconds that the present epoch took until `state` was taken.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    choice: Choice
    device: torch.device
    step: int = 0
    epochs: int = 0
    epoch_s: float = 0.0

    @classmethod
    def of(cls, module: nn.Module, settings: Training, device: torch.device) -> "Learner":
        """Begin with a module, which is moved to the device."""
        module = module.to(device)
        is_scaled = training_dtype(device) == torch.float16
        return cls(
            module,
            optimizer=_optimizer(settings.optimizer, module),
            scaler=torch.amp.GradScaler(device.type, enabled=is_scaled),
            average=None if settings.ema is None else moving_average(module, settings.ema),
            choice=Choice(settings.select, settings.patience),
            device=device,
        )

    @property
    def judged(self) -> nn.Module:
        """What is validated and saved: the average of the weights, where there is one."""
        return self.module if self.average is None else self.average.module

    def descend(self, loss: Tensor, rate: float, gradient_clip: float | None) -> None:
        """Change the weights so that ``loss`` falls."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        if gradient_clip is not None:
            self.scaler.unscale_(self.optimizer)
            groups = self.optimizer.param_groups
            trained = [weight for group in groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(trained, gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.module)
        self.step += 1

    def settle(self) -> None:
        """Give the module the weights that all this came to: the chosen ones, else the last."""
        if not self.choice.put_into(self.module) and self.average is not None:
            self.module.load_state_dict(self.average.module.state_dict())

    def state(self) -> dict[str, Any]:
        """Everything that decides how it goes on, torch's generators with it."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average and self.average.state_dict(),
            "choice": self.choice.state(),
            "step": self.step,
            "epochs": self.epochs,
            "epoch_s": self.epoch_s,
            "generator": torch.get_rng_state(),
            "gpu_generators": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.choice.restore(state["choice"])
        self.step, self.epochs = state["step"], state["epochs"]
        self.epoch_s = state["epoch_s"]
        torch.set_rng_state(state["generator"].cpu())
        generators = state["gpu_generators"]
        if self.device.type == "cuda" and len(generators) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([each.cpu() for each in generators])


def _optimizer(settings: Optimizer, module: nn.Module) -> torch.optim.Optimizer:
    weights = groups(module, settings)
    rate, decay, momentum = settings.learning_rate, settings.weight_decay, settings.momentum
    match settings.name:
        case "adamw":
            return torch.optim.AdamW(weights, lr=rate, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(
                weights, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
            )
