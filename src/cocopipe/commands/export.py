"""``cocopipe export``: the converted data as COCO, or for other tools."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from cocopipe.commands.versions import called, converted
from cocopipe.export import formats
from cocopipe.export.coco import places_of_files
from cocopipe.split.tables import documents, sources
from lineage.edge import Said
from lineage.errors import told
from lineage.project import Project
from lineage.storage.borrow import exact, readable
from lineage.storage.materialise import appearing


def run(options: argparse.Namespace) -> Said:
    """Write every split of a version to a new folder; says what is there."""
    project = Project.find()
    items = converted(project, options.rev)
    with ExitStack() as stack:
        data = [item.id for item in items]
        places = stack.enter_context(readable(project.workspace, data))
        splits = [
            places[each] if each in places else stack.enter_context(exact(project.workspace, each))
            for each in data
        ]
        is_past = options.rev is not None
        for each, folder in zip(data, splits, strict=True):
            name = f"{each.path} of {options.rev}" if is_past else each.path
            stack.enter_context(called(folder, name, is_past=is_past))
        out = stack.enter_context(appearing(Path(options.directory)))
        if not options.zip:
            out.mkdir()
        splits = [each for each in splits if _has_sources(each)]
        images = sum(map(_images, splits))
        progress = stack.enter_context(
            tqdm(total=images, desc="export", unit="image", disable=None)
        )
        write = formats()["zip" if options.zip else options.format]
        done = write(splits, out, advance=progress.update)
    return Said("".join(f"{told(f'{options.directory}: {each}')}\n" for each in done))


def _has_sources(split_dir: Path) -> bool:
    """Whether something of the source is in it: a split for testing may be empty."""
    return any(sources(split_dir, name) for name in documents(split_dir))


def _images(split_dir: Path) -> int:
    """How many images a split has: those that any of its documents lists."""
    return sum(map(len, places_of_files(split_dir).values()))
