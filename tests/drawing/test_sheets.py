from collections.abc import Callable
from pathlib import Path

import pytest

from cocopipe.drawing.sheets import compare
from cocopipe.split.tables import read_document
from tests.coco_files import boxed

Convert = Callable[..., tuple[Path, Path]]


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_ground_truth_beside_predictions(splits_of: Convert, tmp_path: Path) -> None:
    train, _ = splits_of({"train": boxed(range(1, 9)), "val": boxed([1])})
    truth = read_document(train, "instances")["annotations"]
    predictions = [one | {"score": 0.9} for one in truth]
    compare(train, predictions, tmp_path / "some.png", pictures=3)
    compare(train, [], tmp_path / "none.png", pictures=3)
    faint = [one | {"score": 0.1} for one in truth]
    compare(train, faint, tmp_path / "faint.png", pictures=3)
    read = {path.stem: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert read["none"] == read["faint"] != read["some"]
