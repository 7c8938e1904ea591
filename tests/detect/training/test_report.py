from pathlib import Path

from cocopipe.detect.training.events import EpochEnd, Step
from cocopipe.detect.training.report import write_losses


def test_tables_hold_what_no_clock_decides(tmp_path: Path) -> None:
    events = [
        Step(1, 1, {"cls": 0.25, "loss": 0.5}, 0.01, images_per_s=20.0, time_s=1.0),
        EpochEnd(1, 1, {"cls": 0.5, "loss": 0.75}, duration_s=3.0, time_s=2.0),
        Step(2, 2, {"cls": 0.125, "loss": 0.25}, 0.02, images_per_s=21.0, time_s=3.0),
        EpochEnd(2, 2, {"cls": 0.375, "loss": 0.5}, duration_s=4.0, time_s=4.0),
    ]
    write_losses(iter(events), tmp_path)
    assert (tmp_path / "steps.csv").read_text() == (
        "epoch,step,cls,loss,learning_rate\n1,1,0.25,0.5,0.01\n2,2,0.125,0.25,0.02\n"
    )
    assert (tmp_path / "epochs.csv").read_text() == (
        "epoch,validation_cls,validation_loss\n1,0.5,0.75\n2,0.375,0.5\n"
    )
