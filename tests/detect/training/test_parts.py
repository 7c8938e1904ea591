"""Detectors of masks and keypoints learn, are validated and kept as those of boxes are."""

from dataclasses import replace
from pathlib import Path

import pytest

from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.detector import Detector, build
from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.expected import expected
from cocopipe.detect.prediction.predict import predict
from cocopipe.detect.training.events import EpochEnd, Step, TrainingEnd
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.team import Resources
from cocopipe.errors import UserError
from cocopipe.split.tables import categories
from tests.detect.small import CPU, TRAINING, tiny
from tests.detect.splits import posed, rectangles, write_split


@pytest.mark.parametrize(
    ("part", "loss"), [(Part.MASK, "loss_mask"), (Part.KEYPOINTS, "loss_keypoint")]
)
def test_a_detector_learns_more_than_boxes(tmp_path: Path, part: Part, loss: str) -> None:
    document, files = rectangles(16, seed=2, odd=False)
    split = write_split(tmp_path, document, files, posed(document))
    detector = tiny(part)
    settings = replace(
        TRAINING,
        epochs=8,
        eval_epochs=8,
        batch_size=8,
        optimizer=replace(TRAINING.optimizer, learning_rate=0.01),
        augment=replace(TRAINING.augment, photometric=0, crop=0, scale=None),
    )
    events = [*train(detector, split, split, settings, Resources(CPU))]
    steps = [event.losses[loss] for event in events if isinstance(event, Step)]
    assert steps[-1] < 0.9 * steps[0]
    ends = [event for event in events if isinstance(event, EpochEnd)]
    assert loss in ends[0].losses
    names = ["AP", "AP50", f"AP_{part}", f"AP50_{part}"]
    assert [list(end.scores) for end in ends if end.scores] == [names]
    assert isinstance(events[-1], TrainingEnd)
    assert events[-1].scores[f"AP50_{part}"] > 0
    assert_as_evaluated(detector, split, events[-1].scores)


def assert_as_evaluated(detector: Detector, split: Path, scores: dict[str, float]) -> None:
    """Scores of the training are those of an evaluation, by pycocotools."""
    results = predict(detector, split, batch_size=1, score_threshold=0.01, device=CPU, workers=0)
    truth = expected(split, detector.config)
    evaluated = {
        name: value
        for part in detector.config.parts
        for name, value in score(truth, results, part).metrics.items()
    }
    assert scores == pytest.approx({name: evaluated[name] for name in scores}, abs=1e-9)


@pytest.mark.parametrize("part", [Part.MASK, Part.KEYPOINTS])
def test_what_is_not_annotated_is_said_before_anything_is_learnt(
    part: Part, tmp_path: Path, split: Path
) -> None:
    document, files = rectangles(3, seed=1, odd=False)
    for item in document["annotations"]:
        del item["segmentation"]
    bare = write_split(tmp_path, document, files)
    sentence = {Part.MASK: "without a mask", Part.KEYPOINTS: "has no keypoint in any of its"}
    for train_split, val_split in [(bare, split), (split, bare)]:
        events = train(tiny(part), train_split, val_split, TRAINING, Resources(CPU))
        with pytest.raises(UserError, match=sentence[part]):
            next(events)


def test_categories_without_keypoints_are_refused(split: Path) -> None:
    with pytest.raises(UserError, match="needs keypoints, which category 'blue' of the dataset"):
        build(
            "keypointrcnn_resnet50_fpn",
            categories=categories(split),
            weights="none",
            image_size=64,
            seed=0,
        )
