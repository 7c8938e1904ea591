import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cocopipe.detect.data import Detections
from cocopipe.detect.loading import loader
from cocopipe.detect.models import Detector, build, save
from cocopipe.detect.order import in_order
from cocopipe.detect.training import EpochEnd, Step, learning_rate_at, train, validate
from cocopipe.errors import UserError
from tests.detect.splits import CATEGORIES, rectangles, write_split

pytestmark = [
    pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

CPU = torch.device("cpu")


def make(architecture: str = "fcos_tiny", image_size: int | None = 64) -> Detector:
    return build(architecture, categories=CATEGORIES, weights="none", image_size=image_size, seed=0)


def run(detector: Detector, split: Path, **settings: Any) -> Iterator[Step | EpochEnd]:
    defaults: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 3,
        "optimizer": "adamw",
        "learning_rate": 0.002,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "schedule": "one_cycle",
        "warmup": 0.25,
        "gradient_clip": 10.0,
        "augment": {"horizontal_flip": 0.5, "photometric": 0.5, "scale": [0.8, 1.2], "crop": 0.3},
        "seed": 0,
        "device": CPU,
        "workers": 0,
    }
    return train(detector, split, split, **(defaults | settings))


def test_it_yields_every_step_and_epoch(split: Path) -> None:
    events = list(run(make(), split))
    assert [type(event).__name__ for event in events] == (["Step"] * 3 + ["EpochEnd"]) * 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [(event.epoch, event.step) for event in steps] == [
        *((1, step) for step in (1, 2, 3)),
        *((2, step) for step in (4, 5, 6)),
    ]
    parts = {"classification", "bbox_regression", "bbox_ctrness"}
    for event in events:
        assert set(event.losses) == {*parts, "loss"}
        assert event.losses["loss"] == pytest.approx(sum(event.losses[part] for part in parts))
    assert max(event.learning_rate for event in steps) == 0.002
    assert all(event.images_per_s > 0 for event in steps)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    split: Path, tmp_path: Path
) -> None:
    saved = []
    for number, settings in enumerate([{}, {}, {"workers": 2}, {"seed": 1}]):
        torch.manual_seed(number)
        detector = make()
        losses = [event.losses for event in run(detector, split, **settings)]
        out = tmp_path / str(number)
        out.mkdir()
        save(detector, out)
        saved.append(((out / "model.safetensors").read_bytes(), losses))
    assert saved[0] == saved[1] == saved[2]
    assert saved[0] != saved[3]


def test_the_loss_falls(split: Path) -> None:
    ends = [
        event.losses["loss"]
        for event in run(make(), split, epochs=8, augment={}, batch_size=4)
        if isinstance(event, EpochEnd)
    ]
    assert ends[-1] < 0.8 * ends[0]


def test_sgd_takes_plain_gradient_steps(split: Path) -> None:
    detector = make()
    before = {name: part.clone() for name, part in detector.module.named_parameters()}
    settings = {"weight_decay": 0, "momentum": 0, "schedule": "constant", "warmup": 0}
    events = run(
        detector, split, optimizer="sgd", learning_rate=0.1, gradient_clip=None, **settings
    )
    next(events)
    for name, part in detector.module.named_parameters():
        assert part.grad is not None
        assert torch.allclose(part, before[name] - 0.1 * part.grad, atol=1e-6)
    events.close()  # type: ignore[attr-defined]


def test_gradients_are_clipped(split: Path) -> None:
    detector = make()
    next(run(detector, split, gradient_clip=0.01))
    gradients = [part.grad for part in detector.module.parameters() if part.grad is not None]
    assert nn.utils.get_total_norm(gradients).item() == pytest.approx(0.01, rel=1e-3)


def test_a_remainder_of_one_image_is_a_step_too(split: Path) -> None:
    detector = make("ssdlite320_mobilenet_v3_large", image_size=None)
    alone = [part for part in detector.module.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    before = alone.weight.clone()
    events = run(detector, split, batch_size=7, epochs=1, warmup=0, schedule="constant", augment={})
    next(events)
    assert alone.num_batches_tracked == 1
    next(events)
    assert alone.num_batches_tracked == 1, "one value has no statistics"
    assert alone.weight.grad is not None
    assert not torch.equal(alone.weight, before)


def test_one_image_a_step_has_statistics_where_its_maps_are_large(split: Path) -> None:
    detector = make()
    next(run(detector, split, batch_size=1))
    norms = [part for part in detector.module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert all(norm.num_batches_tracked == 1 for norm in norms)


def test_a_mask_detector_learns_from_masks(split: Path) -> None:
    (first,) = itertools.islice(run(make("maskrcnn_resnet50_fpn"), split, batch_size=2), 1)
    assert "loss_mask" in first.losses


def test_a_loss_that_is_not_finite_stops_with_its_parts(split: Path) -> None:
    detector = make()
    with torch.no_grad():
        next(detector.module.parameters()).fill_(math.inf)
    with pytest.raises(UserError) as caught:
        list(run(detector, split))
    message = str(caught.value)
    assert message.startswith("the loss is not finite at step 1 with learning rate 0.0")
    assert "bbox_ctrness nan" in message
    assert message.endswith("lower learning_rate, or set gradient_clip")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lion"}, "optimizer 'lion' is unknown: use one of adamw, sgd"),
        ({"schedule": "poly"}, "schedule 'poly' is unknown: use one of one_cycle"),
        ({"augment": {"flip": 1}}, "augment.flip is unknown"),
    ],
)
def test_unknown_settings_are_refused(split: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(run(make(), split, **settings))


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    split = write_split(tmp_path, *rectangles(1, seed=0, odd=False))
    with pytest.raises(UserError, match="train has no object to learn from"):
        list(run(make(), split))


@pytest.mark.parametrize("architecture", ["fcos_tiny", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_validation_changes_nothing_and_repeats_itself(split: Path, architecture: str) -> None:
    detector = make(architecture)
    dataset = Detections(split, labels=detector.config.labels, masks=False, augment=None, seed=0)
    source = loader(dataset, in_order(len(dataset)), batch_size=3, workers=0, device=CPU)
    module = detector.module.eval()
    before = {name: part.clone() for name, part in module.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    losses = validate(module, source, seed=3, device=CPU)
    assert torch.rand(1) == expected
    assert validate(module, source, seed=3, device=CPU) == losses
    assert not module.training
    assert all(torch.equal(part, before[name]) for name, part in module.state_dict().items())
    assert all(part.grad is None for part in module.parameters())


def rates(schedule: str, warmup: float, steps: int = 100) -> list[float]:
    return [
        learning_rate_at(step, steps, peak=1.0, schedule=schedule, warmup=warmup)
        for step in range(steps)
    ]


def test_one_cycle_is_torchs_but_for_where_it_ends() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1, total_steps=101, pct_start=0.3, cycle_momentum=False
    )
    expected = []
    for _ in range(100):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    ours = rates("one_cycle", 0.3)
    assert max(ours) == ours[29] == 1
    # Within the two steps by which the two count differently.
    assert all(abs(a - b) < 0.11 for a, b in zip(ours, expected, strict=True))
    assert ours[-1] < 0.001


def test_the_other_schedules_warm_up_linearly() -> None:
    for schedule in ("cosine", "step", "constant"):
        assert rates(schedule, 0.1)[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates("constant", 0.1)[10:] == [1.0] * 90
    assert rates("cosine", 0)[0] == 1
    assert rates("cosine", 0)[50] == pytest.approx(0.5)
    step = rates("step", 0)
    assert [step[at] for at in (59, 60, 84, 85)] == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.5, 1])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_trainings_have_a_rate_too(schedule: str, warmup: float, steps: int) -> None:
    assert all(0 < rate <= 1 for rate in rates(schedule, warmup, steps))
