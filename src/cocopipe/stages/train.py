"""Stage train: fine-tune a torchvision detector."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cocopipe.detect.network.detector import build, save
from cocopipe.detect.network.device import choose
from cocopipe.detect.network.parts import Part, parts_of
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.events import Event
from cocopipe.detect.training.frozen import train_layers
from cocopipe.detect.training.loop import train as fit
from cocopipe.detect.training.multi_scale import check_sizes
from cocopipe.detect.training.report import Course, write_course
from cocopipe.detect.training.team import Resources
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.params import Params
from cocopipe.split.tables import categories, document_of
from cocopipe.tracking.artifacts import log_dataset_files
from cocopipe.tracking.losses import LossLog
from cocopipe.tracking.machine import log_machine
from cocopipe.tracking.weights import log_published_weights
from lineage import StageRun


def train(run: StageRun, params: Params) -> Course:
    """Write ``models/detector`` and ``reports/train``; log losses and scores as they come."""
    settings = params.train
    train_split, val_split = run.dep("train").location, run.dep("val").location
    device = choose(params.machine.device)
    log_machine(
        workers=params.machine.workers, device=str(device), processes=params.machine.processes
    )
    tells_points = Part.KEYPOINTS in parts_of(settings.model)
    detector = build(
        settings.model,
        categories=categories(train_split, document_of(train_split, keypoints=tells_points)),
        weights=_declared(run, settings.weights),
        image_size=settings.image_size,
        seed=settings.seed,
    )
    log_published_weights(settings.model, settings.weights)
    train_layers(detector, settings.trainable_layers, settings.weights)
    check_sizes(detector, settings.augment.multi_scale)
    events = fit(
        detector,
        train_split,
        val_split,
        settings,
        Resources(
            device,
            workers=params.machine.workers,
            processes=params.machine.processes,
            micro_batch=params.machine.micro_batch,
        ),
        _checkpoints(run, params.machine.checkpoint_minutes),
    )
    with new_directory(run.out("detector")) as model, new_directory(run.out("train")) as report:
        course = write_course(_told(events, LossLog(run.client, run.run_id)), report)
        save(detector, model)
    log_dataset_files([train_split, val_split], images=params.tracking.images)
    return course


def _checkpoints(run: StageRun, minutes: float | None) -> Checkpoints | None:
    """Where the training goes on from, and leaves what another attempt needs for that."""
    return None if minutes is None else Checkpoints(run.kept, 60 * minutes)


def _told(events: Iterable[Event], log: LossLog) -> Iterator[Event]:
    """The same events, each told to ``log`` first; what MLflow gets is no way to the report."""
    for event in events:
        log.take(event)
        yield event


def _declared(run: StageRun, weights: str) -> str:
    """Refuse a path that no dependency of the stage covers: DVC would not see it change."""
    path = Path(weights)
    # Not resolved: DVC may have put a link into its cache there.
    if path.exists() and not run.declares(path.absolute()):
        raise UserError(
            f"train.weights is {weights}, which no dependency of the train stage covers, so that a"
            " change of it would go unseen: put it into models/initial."
        )
    return weights
