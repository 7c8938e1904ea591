"""A training that is stopped, and goes on."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from cocopipe.detect.network.detector import Detector
from cocopipe.detect.training import checkpoints, losses
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.events import Event
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.team import Resources
from tests.detect.small import ADAMW, CPU, TRAINING, new_detector, written

EVENTS = 10
"""Of `SETTINGS` on eight images: two steps and an end, three times, and the end of all."""

SETTINGS = replace(
    TRAINING,
    epochs=8,
    batch_size=4,
    optimizer=replace(ADAMW, learning_rate=0.008),
    ema=0.8,
    select="best",
    patience=1,
)
"""They have weights averaged, the best of which come before the last, and those before the eighth
epoch."""

CLOCKS = ("images_per_s", "duration_s", "validation_s", "time_s")


@pytest.fixture(autouse=True)
def at_any_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_COST", float("inf"))


def run(
    detector: Detector,
    split: Path,
    folder: Path | None,
    *,
    workers: int = 0,
    every_s: float = 0,
) -> Iterator[Event]:
    kept = Checkpoints(folder, every_s) if folder else None
    return train(detector, split, split, SETTINGS, Resources(CPU, workers), kept)


def without_clocks(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in asdict(event).items() if name not in CLOCKS}
        for event in events
    ]


@pytest.fixture(scope="module")
def undisturbed(
    split: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], tuple[bytes, bytes]]:
    """What comes of a training that nobody stops: its events, and the model's bytes."""
    detector = new_detector(image_size=64)
    events = without_clocks(list(run(detector, split, None)))
    assert len(events) == EVENTS
    assert events[-1]["epoch"] == 2
    assert (events[-1]["epochs"], events[-1]["stopped"]) == (3, "no better AP in 1 evaluation")
    return events, written(detector, tmp_path_factory.mktemp("whole") / "model")


@pytest.mark.parametrize(
    ("stops", "workers"),
    [*(([stop], 0) for stop in range(EVENTS + 1)), ([1, 3, 5, 6, 8, 9], 0), ([2], 2)],
)
def test_a_stopped_training_comes_to_the_same_bytes(
    split: Path, tmp_path: Path, undisturbed: Any, stops: list[int], workers: int
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for stop in stops:
        torch.manual_seed(stop)
        events = run(new_detector(image_size=64, seed=0), split, folder, workers=workers)
        assert len(list(islice(events, stop))) == stop
        events.close()
    detector = new_detector(image_size=64)
    events = list(run(detector, split, folder, workers=workers, every_s=3600))
    assert (without_clocks(events), written(detector, tmp_path / "model")) == undisturbed


@pytest.mark.parametrize("stop", [1, 2, 4, 8])
def test_so_does_one_whose_losses_are_fetched_in_groups(
    split: Path,
    tmp_path: Path,
    undisturbed: Any,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    """As on a GPU. A checkpoint between the events of a group would leave the others out."""
    monkeypatch.setitem(losses.FETCH_S, "cpu", 3600)  # all of an epoch at its end
    events = run(new_detector(image_size=64), split, tmp_path)
    assert len(list(islice(events, stop))) == stop
    events.close()
    detector = new_detector(image_size=64)
    events = list(run(detector, split, tmp_path, every_s=3600))
    assert without_clocks(events) == undisturbed[0]
    assert written(detector, tmp_path / "model") == undisturbed[1]


def test_it_goes_on_and_not_from_the_start(
    split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(new_detector(image_size=64), split, tmp_path)
    seen = list(islice(first, 6))
    first.close()
    again = run(new_detector(image_size=64), split, tmp_path)
    with caplog.at_level(logging.WARNING):
        replayed = list(islice(again, 5))
    assert replayed == seen[:5]
    assert [each.getMessage() for each in caplog.records] == [
        "goes on after step 4, where it was stopped"
    ]


def test_the_last_two_are_kept_and_the_first_stands_in_for_one_that_is_damaged(
    split: Path, tmp_path: Path, undisturbed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    events = run(new_detector(image_size=64), split, tmp_path)
    list(islice(events, 7))
    events.close()
    first, last = sorted(tmp_path.glob("state-*"))
    last.write_bytes(last.read_bytes()[:1000])
    detector = new_detector(image_size=64)
    assert without_clocks(list(run(detector, split, tmp_path))) == undisturbed[0]
    said = [each.getMessage() for each in caplog.records]
    assert said[0].startswith(f"the checkpoint {last} cannot be read")
    assert said[1] == "goes on after step 4, where it was stopped"
    assert first.name == "state-000000000004-000001.pt"


def test_what_was_not_written_to_its_end_counts_for_nothing(
    split: Path, tmp_path: Path, undisturbed: Any
) -> None:
    (tmp_path / "events.jsonl").write_text('{"epoch": 1, "st')
    (tmp_path / "state-000000000004-000001.pt.partial").write_bytes(b"PK")
    detector = new_detector(image_size=64)
    assert without_clocks(list(run(detector, split, tmp_path))) == undisturbed[0]


def test_they_take_no_more_than_their_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MOST_COST", 0.01)
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now[0])
    kept = Checkpoints(tmp_path, every_s=60)

    class Slow:
        step, epochs = 1, 0

        def state(self) -> dict[str, int]:
            now[0] += 2
            return {}

    now[0] = 59
    assert not kept.is_due
    now[0] = 60
    assert kept.is_due
    kept.note(TRAINING)  # type: ignore[arg-type]
    kept.save(Slow())  # type: ignore[arg-type]
    assert now[0] == 62
    now[0] = 62 + 199
    assert not kept.is_due
    now[0] = 62 + 200
    assert kept.is_due
