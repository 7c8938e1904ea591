"""Raw COCO data to converted splits: one each for training, validation and testing."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from cocopipe.coco.layout import open_raw
from cocopipe.convert.copies import Repeated, keep_once, repeated
from cocopipe.convert.found import FoundImages, Placed
from cocopipe.convert.gathered import give_back_memory
from cocopipe.convert.image_writer import finish_stores, start_stores, writing
from cocopipe.convert.plan import SAID, Plan, planned
from cocopipe.convert.result import Conversion, SplitConversion, Stored, stored
from cocopipe.convert.roles import assign
from cocopipe.convert.settings import ConvertSettings, Role
from cocopipe.convert.table_writer import Part, write_empty, write_tables
from cocopipe.convert.taking import Taken, require_same_categories, take
from cocopipe.documents import PRIMARY, order
from cocopipe.errors import UserError, some
from cocopipe.split.boxes import OddBoxes


def convert(
    raw: Path, out: Mapping[Role, Path], settings: ConvertSettings, *, workers: int
) -> Conversion:
    """Convert raw COCO data; the same bytes for the same data, whatever ``workers`` is.

    Each split of the source takes a role (see :mod:`cocopipe.convert.roles`). Where none is for
    validation, some of those for training are divided off, each image by a hash of its bytes, so
    that nothing else ever moves it across; likewise for testing.

    Args:
        raw: see :mod:`cocopipe.coco.layout`.
        out: an existing, empty folder for every role.
        settings: how to go about it.
        workers: threads.

    Raises:
        UserError: the data isn't sound; the message names file and id.
    """
    with (
        _no_garbage(),
        open_raw(raw) as source,
        TemporaryDirectory(prefix="aside-", dir=out["train"]) as aside,
    ):
        chosen, others = assign(raw, source.splits, settings.splits)
        every, unlisted = take(
            [each for its in chosen.values() for each in its], others, settings, Path(aside)
        )
        require_same_categories(every)
        give_back_memory()
        rest = iter(every)
        taken = {role: [*islice(rest, len(its))] for role, its in chosen.items()}
        plans = {role: planned(role, taken, out, settings) for role in taken}
        written = _write(plans, taken, workers)
        done = written.splits
        for role in out.keys() - done.keys():
            done[role] = _write_empty(taken["train"], out[role])
    if settings.on_mismatch == "error":
        _require_annotated_sizes(raw, [split.stored for split in done.values()])
    return Conversion(
        splits={role: done[role] for role in out},
        skipped=tuple(f"{each.split}/{name}" for each in every for name in each.skipped),
        readings=tuple(line for each in every for line in each.notes()),
        unlisted=unlisted,
        ignored=(
            *(f"{split.name} (convert.splits can give it a role)" for split in others),
            *(where for each in every for where in each.ignored),
            *source.ignored,
        ),
        ungrouped=_ungrouped(plans.values(), settings),
        in_several_groups=written.in_several_groups,
        copies=written.repeated.in_one,
        in_several_roles=written.repeated.in_several,
        renumbered=tuple(
            split
            for plan in plans.values()
            for split, added in zip(plan.splits, plan.added, strict=True)
            if added
        ),
    )


def _require_annotated_sizes(raw: Path, stores: Sequence[Stored]) -> None:
    mismatched = [line for each in stores for line in each.mismatched]
    if mismatched:
        raise UserError(
            f"{len(mismatched)} images of {raw} have another size than their annotations say,"
            f" {some(mismatched)}: correct width and height, or set convert.on_mismatch to keep"
        )
    turned = [name for each in stores for name in each.turned]
    if turned:
        raise UserError(
            f"{len(turned)} images of {raw} have the size that their annotations say only when they"
            f" are turned as EXIF says, {some(turned)}: set convert.on_mismatch to keep, which"
            " turns them on reading, or turn the files themselves"
        )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Look for no cycles among the many objects of parsed JSON, which has none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _ungrouped(plans: Iterable[Plan], settings: ConvertSettings) -> int:
    if settings.group is None:
        return 0
    divided = [plan for plan in plans if len(plan.roles) > 1]
    return sum(group is None for plan in divided for group in plan.groups)


@dataclass(frozen=True)
class _Written:
    """What became of all plans."""

    splits: dict[Role, SplitConversion]
    in_several_groups: int
    """Pictures with copies in groups of several roles."""
    repeated: Repeated


def _write(
    plans: Mapping[Role, Plan], taken: Mapping[Role, Sequence[Taken]], workers: int
) -> _Written:
    """Write every plan: images by the threads, while this one reads annotations."""
    total = sum(len(plan.names) for plan in plans.values())
    done: dict[Role, SplitConversion] = {}
    placings: list[tuple[FoundImages, Placed]] = []
    in_several = 0
    with (
        tqdm(total=total, desc="convert", unit="image", disable=None) as progress,
        writing(workers) as pool,
    ):
        jobs = {role: start_stores(pool, plan) for role, plan in plans.items()}
        for documents in (each.documents for its in taken.values() for each in its):
            for one in documents:
                one.read()
        stores = {
            role: finish_stores(plan, jobs.pop(role), progress.update)
            for role, plan in plans.items()
        }
    give_back_memory()
    for role, plan in plans.items():
        placed, several = keep_once(plan, stores.pop(role))
        _require_some(plan, placed)
        ends = np.cumsum([0, *map(len, plan.images)]).tolist()
        by_split = [placed.taken(slice(*each)) for each in pairwise(ends)]
        done |= _finish(plan, taken[role], by_split)
        placings += zip(plan.images, by_split, strict=True)
        in_several += several
    return _Written(done, in_several, repeated(placings))


def _require_some(plan: Plan, placed: Placed) -> None:
    """Refuse a division in which a role gets nothing."""
    for number, role in enumerate(plan.roles):
        if len(plan.roles) > 1 and not (placed.roles == number).any():
            name = _FRACTIONS["test" if role == "test" else "val"]
            value = plan.division.test if role == "test" else plan.division.val
            raise UserError(
                f"none of the {len(placed)} images of {some([*plan.splits])} falls to"
                f" {SAID[role]} at convert.{name} {value}; change it or add images"
            )


def _finish(
    plan: Plan, taken: Sequence[Taken], by_split: Sequence[Placed]
) -> dict[Role, SplitConversion]:
    """Write the tables of a plan whose images are in their stores."""
    tables = {}
    gathered = [{one.name: one for one in each.documents} for each in taken]
    for name in order({name for of_split in gathered for name in of_split}):
        parts = [
            Part(split, of_split[name], its.taken(of_split[name].chosen), added)
            for split, of_split, its, added in zip(
                plan.splits, gathered, by_split, plan.added, strict=True
            )
            if name in of_split
        ]
        tables[name] = write_tables(name, parts, plan.folders)
    return {
        role: SplitConversion(
            sources=tuple(plan.splits),
            stored=stored(
                zip(plan.images, by_split, strict=True),
                number,
                tables[PRIMARY][role].doubtful if PRIMARY in tables else (),
            ),
            annotations={name: of_role[role].annotations for name, of_role in tables.items()},
            odd_boxes=tables[PRIMARY][role].odd_boxes if PRIMARY in tables else OddBoxes(),
        )
        for number, role in enumerate(plan.roles)
    }


def _write_empty(taken: Sequence[Taken], split_dir: Path) -> SplitConversion:
    """Write a split without images, whose documents are those of others."""
    documents = {one.name: one for each in taken for one in each.documents}
    for name, one in documents.items():
        write_empty(name, one.document, split_dir)
    return SplitConversion((), Stored(), dict.fromkeys(documents, 0), OddBoxes())


_FRACTIONS = {"val": "validation_fraction", "test": "test_fraction"}
