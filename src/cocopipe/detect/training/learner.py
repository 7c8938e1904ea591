"""What changes while a detector learns, as a whole that can be put back."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from cocopipe.detect.network.device import mixed_precision, training_dtype
from cocopipe.detect.reading.order import Part
from cocopipe.detect.settings import Optimizer, Training
from cocopipe.detect.training.average import moving_average
from cocopipe.detect.training.choice import Choice
from cocopipe.detect.training.losses import in_one, with_sum
from cocopipe.detect.training.multi_scale import at_sizes
from cocopipe.detect.training.norms import lone_values_normed, synchronised
from cocopipe.detect.training.team import Team
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
        sizes: Shorter sides of images to choose from, pixels; None: the module's own.
        step: Steps done, over all epochs.
        epochs: Epochs done, validation with them.
        epoch_s: Seconds that the present epoch took until `state` was taken.
        team: With whom it learns.
        network: The module, as its losses are asked for.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    choice: Choice
    device: torch.device
    sizes: Sequence[int] | None = None
    step: int = 0
    epochs: int = 0
    epoch_s: float = 0.0
    team: Team = field(default_factory=Team)
    network: nn.Module = field(init=False)
    _losses: Tensor | None = None

    def __post_init__(self) -> None:
        self.network = self.module

    @classmethod
    def of(cls, module: nn.Module, settings: Training, device: torch.device) -> "Learner":
        """Begin with a module, which is moved to the device."""
        # On GPUs, convolutions are faster with a pixel's channels side by side.
        layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
        module = module.to(device, memory_format=layout)  # type: ignore[call-overload]
        is_scaled = training_dtype(device) == torch.float16
        return cls(
            module,
            optimizer=_optimizer(settings.optimizer, module),
            scaler=torch.amp.GradScaler(device.type, enabled=is_scaled),
            average=None if settings.ema is None else moving_average(module, settings.ema),
            choice=Choice(settings.select, settings.patience),
            device=device,
            sizes=settings.augment.multi_scale,
        )

    @property
    def judged(self) -> nn.Module:
        """What is validated and saved: the average of the weights, where there is one."""
        return self.module if self.average is None else self.average.module

    def join(self, team: Team, settings: Training) -> None:
        """Learn together with others, all from what the first one has."""
        self.team = team
        if team.size > 1:
            self.restore(team.told(self.state() if team.is_first else None))
        if settings.sync_norms:
            self.module = synchronised(self.module, self.device)
        if settings.compile:
            # The rest of a detector has other shapes for each image.
            self.module.backbone.compile()  # type: ignore[union-attr]
        self.network = team.network(self.module)

    def learn(
        self, images: list[Tensor], targets: list[dict[str, Tensor]], part: Part
    ) -> dict[str, Tensor]:
        """Add the gradients of a part of a step.

        Returns:
            The losses of the step so far, and their sum as ``loss``; of all who learn together
            where the part ends it.
        """
        network, device = self.network, self.device
        if self._losses is None:
            self.optimizer.zero_grad(set_to_none=True)
        waits = isinstance(network, DistributedDataParallel) and not part.ends_step
        with network.no_sync() if waits else nullcontext():  # type: ignore[operator]
            dtype = training_dtype(device)
            with (
                mixed_precision(self.module, device, dtype),
                lone_values_normed(self.module),
                at_sizes(self.module, self.sizes),
            ):
                losses = with_sum(network(images, targets))
            # Gradients are averaged over the team, and are to be summed.
            whole = losses["loss"] * (part.weight * self.team.size)
            torch.autograd.backward(self.scaler.scale(whole))
        row = in_one(losses) * part.weight
        self._losses = row if self._losses is None else self._losses + row
        if part.ends_step:
            row, self._losses = self.team.summed(self._losses), None
        return dict(zip(losses, row, strict=True))

    def descend(self, rate: float, gradient_clip: float | None) -> None:
        """Change the weights by the gradients that were added, so that the loss falls."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]
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
        """Everything that decides how it goes on."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average and self.average.state_dict(),
            "choice": self.choice.state(),
            "step": self.step,
            "epochs": self.epochs,
            "epoch_s": self.epoch_s,
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
