import json
from dataclasses import replace
from pathlib import Path

import pytest

from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.detect.training.report import Course, write_course

SCORES = {"AP": 0.5, "AP50": 0.75}
STEPS = [
    Step(1, 1, {"cls": 0.25, "loss": 0.5}, 0.01, images_per_s=20.0, time_s=1.0),
    Step(2, 2, {"cls": 0.125, "loss": 0.25}, 0.02, images_per_s=21.0, time_s=3.0),
]
ENDS = [
    EpochEnd(1, 1, {"cls": 0.5, "loss": 0.75}, {}, duration_s=3.0, validation_s=1.0, time_s=2.0),
    EpochEnd(
        2, 2, {"cls": 0.375, "loss": 0.5}, SCORES, duration_s=4.0, validation_s=1.5, time_s=4.0
    ),
]
END = TrainingEnd(2, "the best AP", SCORES, epochs=2, step=2, stopped=None, time_s=5.0)


def events(ends: list[EpochEnd], end: TrainingEnd) -> list[Event]:
    return [STEPS[0], ends[0], STEPS[1], ends[1], end]


def test_tables_hold_what_no_clock_decides(tmp_path: Path) -> None:
    course = write_course(iter(events(ENDS, END)), tmp_path)
    assert course == Course(ENDS, END)
    assert (tmp_path / "steps.csv").read_text() == (
        "epoch,step,cls,loss,learning_rate\n1,1,0.25,0.5,0.01\n2,2,0.125,0.25,0.02\n"
    )
    assert (tmp_path / "epochs.csv").read_text() == (
        "epoch,validation_cls,validation_loss\n1,0.5,0.75\n2,0.375,0.5\n"
    )
    assert (tmp_path / "average_precision.csv").read_text() == "epoch,AP,AP50\n2,0.5,0.75\n"
    assert json.loads((tmp_path / "chosen.json").read_text()) == {
        "epoch": 2,
        "reason": "the best AP",
        "AP": 0.5,
        "AP50": 0.75,
        "epochs": 2,
        "stopped": None,
    }


@pytest.mark.parametrize("stopped", [None, "no better AP in 1 evaluation"])
def test_without_losses_and_scores_there_are_tables_without(
    tmp_path: Path, stopped: str | None
) -> None:
    ends = [replace(end, losses={}, scores={}) for end in ENDS]
    end = replace(END, scores={}, reason="the last: val has no images", stopped=stopped)
    write_course(iter(events(ends, end)), tmp_path)
    assert (tmp_path / "epochs.csv").read_text() == "epoch,validation_loss\n1,\n2,\n"
    assert (tmp_path / "average_precision.csv").read_text() == "epoch,AP,AP50\n"
    chosen = json.loads((tmp_path / "chosen.json").read_text())
    assert (chosen["AP"], chosen["AP50"], chosen["stopped"]) == (None, None, stopped)
    assert chosen["reason"] == "the last: val has no images"
