"""The line with which a stage ends, of values as the rooms return them."""

import subprocess
import sys
from dataclasses import replace

import pytest

from cocopipe.convert.convert import Conversion, SplitConversion
from cocopipe.convert.image_writer import Stored
from cocopipe.detect.evaluation.score import METRICS, Scores
from cocopipe.detect.training.loop import EpochEnd
from cocopipe.sources.origin import Fetched, Origin
from cocopipe.split.boxes import OddBoxes
from cocopipe.stages.outcome import line
from lineage import Registration

ORIGIN = Origin("sample", "sample:", 270_300, "seed:0")
STORED = Stored(images=31, size_bytes=1, shards=1)
TRAIN = SplitConversion("train", STORED, {"instances": 1084}, OddBoxes())
CONVERSION = Conversion(TRAIN, replace(TRAIN, annotations={"captions": 5}), (), {}, ())
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


def ends(*losses: float) -> list[EpochEnd]:
    return [EpochEnd(number, {"loss": loss}, 1.0) for number, loss in enumerate(losses, start=1)]


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
            "convert",
            replace(CONVERSION, skipped=("train/a.jpg",), ignored=("test",)),
            "train 31 images, 1,084 boxes · val 31 images, captions"
            " · 1 missing image skipped: train/a.jpg · not taken: test",
        ),
        (
            "convert",
            replace(CONVERSION, read_otherwise={"train: in another letter case": 1200}),
            "train 31 images, 1,084 boxes · val 31 images, captions"
            " · file names were read otherwise than written: train: in another letter case (1,200)",
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
        ("train", ends(2.5), "1 epoch · validation loss 2.5"),
        (
            "train",
            ends(2.5, 0.25, 1 / 3),
            "3 epochs · validation loss 2.5 to 0.3333, best 0.25 in epoch 2",
        ),
        (
            "evaluate",
            Scores({**dict.fromkeys(METRICS), "AP": 0.8339}, [], {}),
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
