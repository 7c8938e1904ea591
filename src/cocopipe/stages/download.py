"""Stage download: fetch the raw data from the source that params name."""

from dataclasses import asdict
from pathlib import Path

import mlflow
import platformdirs

from cocopipe.errors import UserError, some
from cocopipe.files import new_directory
from cocopipe.params import Download, Params
from cocopipe.sources.archives import fetch_archives
from cocopipe.sources.directory import copy_directory
from cocopipe.sources.hub import fetch_hub
from cocopipe.sources.origin import Fetched, Origin, images_in
from cocopipe.sources.sample import write_sample
from cocopipe.sources.voc import copy_voc
from cocopipe.sources.yolo import copy_yolo
from cocopipe.tracking.tags import SOURCE
from lineage import StageRun
from lineage.repository.workspace import Workspace
from lineage.tracking.tags import ORIGINS

ON_DISK = ("directory", "yolo", "voc")
"""Sources that read ``download.directory.path``."""


def download(run: StageRun, params: Params) -> Fetched:
    """Write ``data/raw``; log, and return, where its bytes came from."""
    if params.download.source in ON_DISK and run.workspace.is_temporary:
        _refuse_what_a_copy_lacks(run.workspace, Path(params.download.directory.path))
    with new_directory(run.out("raw")) as raw:
        origins, notes = _fetch(raw, params.download)
        images = images_in(raw)
    mlflow.set_tag(SOURCE, params.download.source)
    told = {"origins": [asdict(origin) for origin in origins]}
    mlflow.log_dict(told | ({"notes": list(notes)} if notes else {}), ORIGINS)
    return Fetched(images, tuple(origins), notes)


def _fetch(raw: Path, params: Download) -> tuple[list[Origin], tuple[str, ...]]:
    path = Path(params.directory.path)
    match params.source:
        case "directory":
            return copy_directory(path, raw, splits=params.directory.splits)
        case "yolo":
            return copy_yolo(path, raw)
        case "voc":
            return copy_voc(path, raw)
    return _fetch_coco(raw, params), ()


def _fetch_coco(raw: Path, params: Download) -> list[Origin]:
    match params.source:
        case "sample":
            sample = params.sample
            return write_sample(raw, images=sample.images, size=sample.image_size, seed=sample.seed)
        case "coco":
            coco = params.coco
            # Outside the stage's output, which DVC empties before every run.
            cache = platformdirs.user_cache_path("cocopipe") / "downloads"
            return fetch_archives(
                raw,
                splits=coco.splits,
                base_url=coco.base_url,
                checksums=coco.checksums,
                cache=cache,
            )
        case _:
            hub = params.huggingface
            return fetch_hub(
                raw,
                repo=hub.repo,
                revision=hub.revision,
                splits=hub.splits,
                box_format=hub.box_format,
            )


def _refuse_what_a_copy_lacks(workspace: Workspace, path: Path) -> None:
    """A temporary experiment runs in a copy that holds only what git tracks."""
    original = workspace.home / path
    files = (file.relative_to(original) for file in original.rglob("*") if file.is_file())
    missing = sorted(str(file) for file in files if not (path / file).is_file())
    if missing and not path.is_absolute():
        raise UserError(
            f"download.directory.path is {path}, of whose files git does not track {len(missing)}"
            f" ({some(missing)}), so that the copy in which this temporary experiment runs lacks"
            " them: run it without --temp or --queue, or give the folder's absolute path."
        )
