"""How well a detector does on the validation split, while it learns."""

import logging
from pathlib import Path

import torch
from torch import nn

from cocopipe.detect.network.detector import Detector, ModelConfig
from cocopipe.detect.prediction.expected import expected, say_sigmas
from cocopipe.detect.prediction.predict import BATCH_SIZE, images_of, predict_from
from cocopipe.detect.reading.loading import Loader, batches, loader
from cocopipe.detect.reading.order import in_order
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Training
from cocopipe.detect.training.average_precision import AveragePrecision
from cocopipe.detect.training.detections import Detections
from cocopipe.detect.training.losses import in_one, with_sum
from cocopipe.detect.training.norms import statistics_kept
from cocopipe.split.tables import document_of, image_ids

SCORE_THRESHOLD = 0.01
"""Predictions below it are dropped; that of an evaluation, unless it is told otherwise."""

_log = logging.getLogger(__name__)


class Validation:
    """A split, opened once for all epochs.

    Attributes:
        undefined: Why AP is not defined on it; None where it is.
    """

    def __init__(
        self,
        config: ModelConfig,
        split: Path,
        settings: Training,
        *,
        device: torch.device,
        workers: int,
    ) -> None:
        """Open a split, and warn where AP is not defined on it.

        Args:
            config: Of the detectors that are to be validated.
            split: A folder that the convert stage wrote, maybe without images.
            settings: Of the training.
            device: Where the detectors are.
            workers: Processes that read and decode; 0: none but this one.
        """
        self._config, self._device, self._seed = config, device, settings.seed
        self._targets: Loader | None = None
        self._images: Loader | None = None
        self.undefined: str | None = None
        truth = expected(split, config)
        say_sigmas(config)
        self._precisions = [AveragePrecision(truth, part) for part in config.parts]
        if len(image_ids(split, document_of(split, keypoints=config.keypoints is not None))):
            self._targets = _targets(config, split, settings, device=device, workers=workers)
        of_boxes, *_ = self._precisions
        if of_boxes.is_defined:
            self._images = images_of(
                split, config, batch_size=BATCH_SIZE, device=device, workers=workers
            )
        else:
            lacking = "no box to be found" if self._targets else "no images"
            self.undefined = f"AP is not defined: {split.name} has {lacking}"
            vain = ", and train.patience does nothing" if settings.patience else ""
            _log.warning("%s; the last epoch is taken%s", self.undefined, vain)

    @property
    def sources(self) -> list[Loader]:
        """What reads the split, to be ended with the training."""
        return [source for source in (self._targets, self._images) if source]

    def losses(self, module: nn.Module) -> dict[str, float]:
        """Return the means of a detector's losses; empty where there are no images."""
        if self._targets is None:
            return {}
        return validate(module, self._targets, seed=self._seed, device=self._device)

    def scores(self, module: nn.Module) -> dict[str, float]:
        """Return the APs that an evaluation comes to, of boxes first; empty where not defined."""
        if self._images is None:
            return {}
        results = predict_from(
            self._images,
            Detector(module, self._config),
            score_threshold=SCORE_THRESHOLD,
            device=self._device,
        )
        scores: dict[str, float] = {}
        for precision in self._precisions:
            scores |= precision.of(results)
        return scores


def _targets(
    config: ModelConfig, split: Path, settings: Training, *, device: torch.device, workers: int
) -> Loader:
    dataset = Detections(
        split,
        labels=config.labels,
        masks=config.needs_masks,
        keypoints=config.keypoint_count,
        augment=None,
        seed=settings.seed,
        shortest_side=config.min_size,
    )
    order = in_order(dataset.images.stored_order)
    return loader(dataset, order, batch_size=settings.batch_size, workers=workers, device=device)


def validate(
    module: nn.Module, source: Loader, *, seed: int, device: torch.device
) -> dict[str, float]:
    """Return the means of a detector's losses over the images of ``source``.

    torchvision gives losses in training mode only, so that is what the module is in, with
    norms and dropout as for prediction. The same weights and seed give the same losses:
    torch's generators are put back afterwards.
    """
    rows: list[torch.Tensor] = []
    counts: list[int] = []
    names: tuple[str, ...] = ()
    gpus = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=gpus), statistics_kept(module):
        torch.manual_seed(derive(seed, "validate"))
        for images, targets in batches(source, device):
            losses = with_sum(module(images, targets))
            names = tuple(losses)
            rows.append(in_one(losses))
            counts.append(len(images))
    # All at once: each trip waits for the GPU.
    values = zip(*torch.stack(rows).tolist(), strict=True)
    return {
        name: sum(value * count for value, count in zip(each, counts, strict=True)) / sum(counts)
        for name, each in zip(names, values, strict=True)
    }
