"""What came out of a stage, in a line for who watches it.

No stage imports this, so that other words rerun nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cocopipe.convert.notes import as_text
from cocopipe.documents import PRIMARY
from cocopipe.errors import some
from lineage.words import count

if TYPE_CHECKING:
    from cocopipe.convert.result import Conversion, SplitConversion
    from cocopipe.detect.evaluation.score import Scores
    from cocopipe.detect.network.parts import Part
    from cocopipe.detect.training.report import Course
    from cocopipe.sources.origin import Fetched
    from lineage import Registration

SHOWN = ("AP", "AP50", "AP_segm", "AP_keypoints")
"""Metrics of an evaluation that the line has."""

_FINDINGS = {
    "images_without_objects": ("image without objects", "images without objects"),
    "boxes_missing": ("object without a box", "objects without a box"),
    "boxes_not_finite": ("box that is not finite", "boxes that are not finite"),
    "boxes_degenerate": ("box without area", "boxes without area"),
    "boxes_outside": ("box over the border", "boxes over the border"),
}
"""What `inspect` counts that may be a mistake, and what one and several are called."""


def line(verb: str, value: Any, places: Sequence[str]) -> str:
    """The line of a stage; of convert, with its notes in lines below.

    Args:
        verb: Its name.
        value: What its function returned.
        places: The paths of what it wrote.
    """
    said = f"{verb}: {' · '.join([*_SAID[verb](value), f'see {some([*places])}'])}"
    return f"{said}\n{as_text(value.notes)}".rstrip("\n") if verb == "convert" else said


def _download(fetched: "Fetched") -> list[str]:
    from lineage.cells import size  # with tables, which take a while

    size_bytes = sum(origin.size_bytes for origin in fetched.origins)
    names = some([origin.name for origin in fetched.origins])
    return [count(fetched.images, "image"), size(size_bytes), f"from {names}", *fetched.notes]


def _convert(conversion: "Conversion") -> list[str]:
    said = [f"{name} {_split(split)}" for name, split in conversion.splits.items() if split.sources]
    notes = len(conversion.notes)
    return [*said, *([f"{count(notes, 'note')}, below"] if notes else [])]


def _split(split: "SplitConversion") -> str:
    boxes = split.annotations.get(PRIMARY)
    documents = [name for name in split.annotations if name != PRIMARY]
    what = f"{boxes:,} boxes" if boxes is not None else some(documents)
    return f"{split.stored.images:,} images, {what}"


def _inspect(metrics: Mapping[str, float]) -> list[str]:
    splits = list(dict.fromkeys(name.partition(".")[0] for name in metrics))
    said = []
    for split in splits:
        objects = metrics.get(f"{split}.annotations")
        told = "no instances" if objects is None else f"{objects:,.0f} objects"
        said.append(f"{split} {metrics[f'{split}.images']:,.0f} images, {told}")
    found = [
        f"{number:,.0f} {words[number != 1]}"
        for name, words in _FINDINGS.items()
        if (number := sum(metrics.get(f"{split}.{name}", 0) for split in splits))
    ]
    return [*said, ", ".join(found) or "nothing odd found"]


def _train(course: "Course") -> list[str]:
    ends, end = course.epochs, course.end
    losses = [each.losses["loss"] for each in ends if each.losses]
    said = [count(len(ends), "epoch")]
    if end.stopped is not None:
        said[0] += f", then stopped: {end.stopped}"
    if losses:
        fall = f"validation loss {losses[0]:.4g}"
        if len(losses) > 1:
            best = min(losses)
            fall += f" to {losses[-1]:.4g}, best {best:.4g} in epoch {losses.index(best) + 1}"
        said.append(fall)
    first = {name: end.scores[name] for name in SHOWN[:1] if name in end.scores}
    return [*said, *_metrics(first), f"epoch {end.epoch} saved, {end.reason}"]


def _evaluate(scores: "Mapping[Part, Scores]") -> list[str]:
    return [said for each in scores.values() for said in _metrics(each.metrics)]


def _register(value: "tuple[Registration, str]") -> list[str]:
    registration, model = value
    reasons = f": {', '.join(registration.reasons)}" if registration.reasons else ""
    first = {name: registration.metrics.get(name) for name in SHOWN[:1]}
    return [*_metrics(first), f"{registration.verdict}{reasons}", model]


def _metrics(values: "Mapping[str, float | None]") -> list[str]:
    known = {name: values.get(name) for name in SHOWN if name in values}
    return [
        f"{name} {'not defined' if value is None else f'{value:.3f}'}"
        for name, value in known.items()
    ]


_SAID: Mapping[str, Callable[[Any], list[str]]] = {
    "download": _download,
    "convert": _convert,
    "inspect": _inspect,
    "train": _train,
    "evaluate": _evaluate,
    "register": _register,
}
