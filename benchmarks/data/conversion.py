"""Converting beside copying, unpacking and the Hugging Face way."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.data.coco_set import CocoSet
from benchmarks.data.measure import (
    Figures,
    at_most,
    emptied,
    in_turns,
    print_in_turns,
    size_of,
    timed,
)
from benchmarks.data.ways import converted, hugging_face


def conversion(made: CocoSet, folder: Path, rounds: int) -> Figures:
    """Seconds of each, in turns."""
    ways: dict[str, Callable[[Path], float]] = {
        "convert": lambda out: float(converted(made.archives, out)["seconds"]),
        "cp -r and sync": lambda out: timed(
            "sh", "-c", 'cp -r "$1" "$2" && sync', "sh", str(made.pictures), str(out)
        ),
        "unzip": lambda out: timed(
            "unzip", "-q", str(made.archives / f"{made.pictures.name}.zip"), "-d", str(out)
        ),
        "Hugging Face": lambda out: float(
            hugging_face(made.document, made.pictures, out)["seconds"]
        ),
    }

    def clean(way: Callable[[Path], float]) -> Callable[[], float]:
        def run() -> float:
            with emptied(folder) as out:
                return way(out)

        return run

    print("\nconvert, 2 workers, archive to store and table")
    figures = in_turns({name: clean(way) for name, way in ways.items()}, rounds)
    print_in_turns(figures, "s")
    with emptied(folder) as out:
        converted(made.archives, out)
        figures["stored_bytes"] = size_of(out, "*.parquet")
    seconds = figures["medians"]
    ratio = {name: seconds["convert"] / each for name, each in seconds.items()}
    at_most("times cp -r and sync", ratio["cp -r and sync"], 1.0)
    at_most("times unzip", ratio["unzip"], 1.0)
    at_most("times Hugging Face", ratio["Hugging Face"], 0.2)
    at_most("times the bytes of the raw images", figures["stored_bytes"] / made.image_bytes, 1.01)
    return figures
