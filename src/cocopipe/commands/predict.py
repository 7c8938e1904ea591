"""``cocopipe predict``: what a model finds on images."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from cocopipe.commands.asked_model import asked_model
from cocopipe.errors import UserError
from lineage.edge import Said
from lineage.errors import LineageError, told
from lineage.project import Project
from lineage.recording.work import Work, data_at, work
from lineage.repository.items import Item
from lineage.storage.materialise import appearing
from lineage.words import count

if TYPE_CHECKING:
    from cocopipe.detect.serving.finder import Finder
    from cocopipe.detect.serving.images import Picture


_VERSION = "model"
"""The tag of a run with the version that it is about; those of the stage register have it, too."""


def run(options: argparse.Namespace) -> Said:
    """Write what is found into a new folder, and a run of it; says where."""
    from cocopipe.detect.serving.images import gather

    out, places = Path(options.out), [Path(place) for place in options.images]
    _check_out(out)
    images = gather(places, upright=options.upright)
    project = _project()
    if project is None:
        return _unrecorded(options, images, out)
    with asked_model(project, options.model) as model:
        finder = _finder(options, model.location)
        asked = _asked_for(options)
        tags = {_VERSION: model.versions[0]} if model.versions else {}
        reads = [model.item, *_datasets(project, places)]
        with work(project, "predict", reads, params=asked, tags=tags) as recorded:
            objects = _write(options, finder, images, out, {"model": model.info, **asked}, recorded)
    name = model.versions[0] if model.versions else f"{model.item.path} ({model.item.hash})"
    return Said(told(f"{_summary(out, images, objects)} · {name} · run {recorded.run_id}") + "\n")


def _unrecorded(options: argparse.Namespace, images: "list[Picture]", out: Path) -> Said:
    """Where no project is, there is no store either that a run could be in."""
    location = Path(options.model)
    if not location.is_dir():
        raise UserError(
            f"{options.model} is no folder, and models have other names only in a project of git"
            " and DVC: change into one, or name a folder that the train stage wrote"
        )
    info = {"model": {"path": location.name}, **_asked_for(options)}
    objects = _write(options, _finder(options, location), images, out, info, None)
    warning = "this is no project of git and DVC, so no run tells of these predictions."
    return Said(told(_summary(out, images, objects)) + "\n", [warning])


def _summary(out: Path, images: "list[Picture]", objects: int) -> str:
    return f"{out}: {count(len(images), 'image')}, {count(objects, 'object')}"


def _check_out(out: Path) -> None:
    """Refuse a folder with something in it, before anything slow."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists and is not empty: name a folder that does not exist yet")


def _project() -> Project | None:
    """The project around the current directory, where there is one."""
    try:
        return Project.find()
    except LineageError:
        return None


def _datasets(project: Project, places: list[Path]) -> list[Item]:
    """The folders that images are in; single files are known by their names in the document."""
    return [data_at(project.workspace, place) for place in places if place.is_dir()]


def _finder(options: argparse.Namespace, location: Path) -> "Finder":
    from cocopipe.detect.network.device import choose
    from cocopipe.detect.serving.finder import Finder

    return Finder(location, choose(options.device))


def _asked_for(options: argparse.Namespace) -> dict[str, Any]:
    """What decides what is found, beside the model and the images."""
    return {
        "score_threshold": options.score_threshold,
        "max_detections": options.max_detections,
        "upright": options.upright,
    }


def _write(
    options: argparse.Namespace,
    finder: "Finder",
    images: "list[Picture]",
    out: Path,
    info: dict[str, Any],
    recorded: Work | None,
) -> int:
    """Write the folder as a whole, and log it; returns how many objects were found."""
    from cocopipe.detect.serving.predictions import DATASET, Asked, write_predictions

    asked = Asked(
        options.score_threshold, options.max_detections, options.pictures, options.dataset
    )
    if out.is_dir():
        out.rmdir()  # it is empty
    progress = tqdm(total=len(images), desc="predict", unit="image", disable=None)
    with ExitStack() as stack:
        stack.enter_context(progress)
        folder = stack.enter_context(appearing(out))
        folder.mkdir()
        objects = write_predictions(
            finder, images, folder, asked, info=info, advance=progress.update
        )
        if recorded:
            recorded.wrote(folder, out)
            if options.dataset:
                recorded.wrote(folder / DATASET, out / DATASET)
    return objects
