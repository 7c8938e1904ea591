"""Identical files: a store has them once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cocopipe.convert.division import share_of
from cocopipe.convert.found import DIGEST, FoundImages, Placed
from cocopipe.convert.plan import Plan
from cocopipe.split.shards import ROW_GROUP, image_writer

Ints = npt.NDArray[np.int64]


def keep_once(plan: Plan, placed: Placed) -> tuple[Placed, int]:
    """Drop all copies of a file but one from the stores that were written.

    What stays is the copy whose group has the least share, else the one whose name is first: so
    the picture has one role, that of this copy.

    Returns:
        Where images are now, copies where the one is that stays; and how many pictures have
        copies in groups of other roles.
    """
    order = np.argsort(placed.sha256, kind="stable")
    hashes = placed.sha256[order]
    is_copy = np.zeros(len(order), np.bool_)
    is_copy[1:] = hashes[1:] == hashes[:-1]
    if not is_copy.any():
        return placed, 0
    rank = np.empty(len(order), np.int64)
    rank[plan.order] = np.arange(len(order))
    stays = np.arange(len(order))
    several = 0
    group = np.cumsum(~is_copy) - 1
    places = np.flatnonzero(np.bincount(group)[group] > 1)
    for its in np.split(places, np.flatnonzero(np.diff(group[places])) + 1):
        copies = order[its]
        first = min(copies.tolist(), key=lambda one: (_share(plan.groups[one]), rank[one]))
        stays[copies] = first
        several += len(np.unique(placed.roles[copies])) > 1
    rows = placed.rows.copy()
    dropped = np.flatnonzero(stays != np.arange(len(order)))
    for shard in np.unique(placed.shards[dropped]).tolist():
        its = np.flatnonzero(placed.shards == shard)
        its = its[np.argsort(placed.rows[its])]
        is_kept = stays[its] == its
        folder = plan.folders[plan.roles[placed.roles[its[0]]]]
        _rewrite(folder / "images" / f"{placed.shard_names[shard]}.parquet", is_kept)
        rows[its[is_kept]] = np.arange(is_kept.sum())
    return replace(placed, rows=rows).taken(stays), several


@dataclass(frozen=True)
class Repeated:
    """Images whose picture others have too."""

    in_one: tuple[str, ...]
    """The names of those after the first of each picture in a role."""
    in_several: tuple[str, ...]
    """The names of those whose picture another role has too, with both roles."""


def repeated(placings: Sequence[tuple[FoundImages, Placed]]) -> Repeated:
    """Find images with the same bytes, of all splits with where they went."""
    digests = np.concatenate([np.empty(0, DIGEST), *(each.sha256 for _, each in placings)])
    roles = [np.array(each.names, object)[each.roles] for _, each in placings]
    role_of = np.concatenate([np.empty(0, object), *roles])
    names = pa.chunked_array([found.file_names for found, _ in placings], pa.string())
    order = np.argsort(role_of, kind="stable")
    order = order[np.argsort(digests[order], kind="stable")]
    before, after = order[:-1], order[1:]
    is_copy = digests[before] == digests[after]
    is_across = is_copy & (role_of[before] != role_of[after])
    in_one = names.take(pa.array(np.sort(after[is_copy & ~is_across])))
    return Repeated(
        tuple(in_one.to_pylist()),
        tuple(
            f"{names[there].as_py()} ({role_of[here]} and {role_of[there]})"
            for here, there in zip(
                before[is_across].tolist(), after[is_across].tolist(), strict=True
            )
        ),
    )


def _share(group: str | None) -> float:
    return 0.0 if group is None else share_of(group)


def _rewrite(path: Path, is_kept: npt.NDArray[np.bool_]) -> None:
    """Write a shard anew with some of its images, or remove it where that is none."""
    with pq.ParquetFile(path) as file:
        table = file.read().filter(pa.array(is_kept))
    path.unlink()
    if not len(table):
        return
    with image_writer(path) as writer:
        for start in range(0, len(table), ROW_GROUP):
            writer.write_table(table.slice(start, ROW_GROUP).combine_chunks())
