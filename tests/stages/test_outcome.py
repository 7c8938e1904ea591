"""The line with which a stage ends, of values as the rooms return them."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from cocopipe.convert.notes import Note, as_markdown
from cocopipe.convert.result import Conversion, SplitConversion, Stored
from cocopipe.detect.evaluation.score import METRICS, Scores
from cocopipe.detect.training.events import EpochEnd, TrainingEnd
from cocopipe.detect.training.report import Course
from cocopipe.sources.origin import Fetched, Origin
from cocopipe.split.boxes import OddBoxes
from cocopipe.stages.outcome import line
from lineage import Registration

ORIGIN = Origin("sample", "sample:", 270_300, "seed:0")
STORED = Stored(images=31, files=31, size_bytes=1, shards=1)
TRAIN = SplitConversion(("train",), STORED, {"instances": 1084}, OddBoxes())
VAL = replace(TRAIN, annotations={"captions": 5})
NONE = SplitConversion((), Stored(), {"instances": 0}, OddBoxes())
CONVERSION = Conversion({"train": TRAIN, "val": VAL, "test": NONE}, (), (), ())
PHOTOGRAPHS = replace(
    TRAIN, stored=replace(STORED, turned=("a.jpg", "b.jpg"), as_stored=("c.jpg",))
)
FIGURES = {
    "images": 31.0,
    "annotations": 84.0,
    "images_without_objects": 0.0,
    **{f"boxes_{odd}": 0.0 for odd in ("missing", "not_finite", "degenerate", "outside")},
}
REGISTRATION = Registration(
    model_name="m",
    model_path="models/m",
    model_digest="0",
    evaluation_path="data/val",
    evaluation_digest="1",
    metrics={"AP": 0.0004, "AP50": 0.0},
    thresholds={"AP50": 0.5},
    verdict="accepted",
)


def inspected(**odd: float) -> dict[str, float]:
    splits = {"train": FIGURES, "val": {**FIGURES, **odd}}
    return {f"{split}.{name}": value for split, of in splits.items() for name, value in of.items()}


def course(*losses: float | None, **end: Any) -> Course:
    """A training with these losses, whose end is such."""
    last = {"epoch": 1, "reason": "the best AP", "scores": {"AP": 0.25, "AP50": 0.5}}
    last |= {"epochs": len(losses), "step": 9, "stopped": None, "time_s": 0.0}
    return Course(
        [
            EpochEnd(number, number, {} if loss is None else {"loss": loss}, {}, 1.0, 0.5, 0.0)
            for number, loss in enumerate(losses, start=1)
        ],
        TrainingEnd(**{**last, **end}),
    )


@pytest.mark.parametrize(
    ("verb", "value", "said"),
    [
        ("download", Fetched(40, (ORIGIN,)), "40 images · 270.3 kB · from sample"),
        (
            "convert",
            CONVERSION,
            "train 31 images, 1,084 boxes · val 31 images, captions",
        ),
        (
            "inspect",
            inspected(),
            "train 31 images, 84 objects · val 31 images, 84 objects · nothing odd found",
        ),
        (
            "inspect",
            inspected(boxes_degenerate=1.0, boxes_outside=2.0),
            "train 31 images, 84 objects · val 31 images, 84 objects"
            " · 1 box without area, 2 boxes over the border",
        ),
        (
            "inspect",
            inspected() | {"test.images": 9.0},
            "train 31 images, 84 objects · val 31 images, 84 objects · test 9 images, no instances"
            " · nothing odd found",
        ),
        (
            "train",
            course(2.5),
            "1 epoch · validation loss 2.5 · AP 0.250 · epoch 1 saved, the best AP",
        ),
        (
            "train",
            course(2.5, 0.25, 1 / 3, epoch=2, stopped="no better AP in 1 evaluation"),
            "3 epochs, then stopped: no better AP in 1 evaluation"
            " · validation loss 2.5 to 0.3333, best 0.25 in epoch 2"
            " · AP 0.250 · epoch 2 saved, the best AP",
        ),
        (
            "train",
            course(None, None, epoch=2, scores={}, reason="the last: val has no images"),
            "2 epochs · epoch 2 saved, the last: val has no images",
        ),
        (
            "evaluate",
            {"bbox": Scores({**dict.fromkeys(METRICS), "AP": 0.8339}, [], {})},
            "AP 0.834 · AP50 not defined",
        ),
        ("register", (REGISTRATION, "models:/m/1"), "AP 0.000 · accepted · models:/m/1"),
        (
            "register",
            (
                replace(REGISTRATION, verdict="rejected", reasons=("AP50 0.000 < 0.5",)),
                "models:/m/2",
            ),
            "AP 0.000 · rejected: AP50 0.000 < 0.5 · models:/m/2",
        ),
    ],
)
def test_it_says_what_came_out_and_where(verb: str, value: object, said: str) -> None:
    assert line(verb, value, ["data/a", "data/b"]) == f"{verb}: {said} · see data/a, data/b"


def test_what_is_to_be_told_of_a_conversion_is_below() -> None:
    conversion = replace(
        CONVERSION,
        splits={"train": PHOTOGRAPHS, "val": VAL, "test": VAL},
        skipped=("train/a.jpg",),
        readings=(Note("file names read in another letter case", 1200, "train"),),
        ignored=("holdout (convert.splits can give it a role)",),
        ungrouped=2,
        in_several_groups=1,
        renumbered=("b",),
    )
    assert line("convert", conversion, ["data/a"]).splitlines() == [
        "convert: train 31 images, 1,084 boxes · val 31 images, captions"
        " · test 31 images, captions · 8 notes, below · see data/a",
        "          1  not taken: holdout (convert.splits can give it a role)",
        "          1  listed images that are missing, left out: train/a.jpg",
        "      1,200  file names read in another letter case: train",
        "          2  pictures turned on reading, as EXIF says: a.jpg, b.jpg",
        "          1  pictures that EXIF asks to turn, taken as stored: c.jpg",
        "          1  splits whose image ids are others in the tables: b",
        "          2  images without a match of convert.group, each divided by itself: of divided"
        " splits",
        "          1  pictures with copies in groups of several sides, kept on one: of divided"
        " splits",
    ]
    assert as_markdown(conversion.notes).count("\n| ") == 9
    assert "Nothing was left out" in as_markdown(CONVERSION.notes)


TELLING = "from cocopipe.stages.__main__ import _tell; _tell('a · b')"


@pytest.mark.parametrize("where", ["full", "closed"])
def test_a_line_that_nobody_can_read_is_no_failure(where: str) -> None:
    command = {"full": "> /dev/full", "closed": "| true"}[where]
    script = f'"$0" -c "import time; time.sleep(0.5); $1" {command}; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, TELLING], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_terminal_without_its_signs_gets_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = subprocess.run([sys.executable, "-c", TELLING], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a ? b\n")
