from collections.abc import Callable
from pathlib import Path

from cocopipe.drawing.selection import select
from tests.coco_files import boxed

Convert = Callable[..., tuple[Path, Path]]


def test_shown_are_always_the_same_pictures(splits_of: Convert) -> None:
    few, _ = splits_of({"train": boxed(range(0, 60, 2)), "val": boxed([1])})
    many, _ = splits_of({"train": boxed(range(60)), "val": boxed([1])})
    chosen = [shown.image_id for shown in select(few, 10)]
    assert all(number % 3 for number in chosen), "those with objects first"
    assert chosen != sorted(chosen)
    again = [shown.image_id for shown in select(many, 60)]
    assert [number for number in again if number in chosen] == chosen
    assert len(again) == 60
