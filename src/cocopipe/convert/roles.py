"""Which splits of the raw data are for training, for validation and for testing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cocopipe.coco.layout import RawSplit
from cocopipe.convert.settings import Role
from cocopipe.errors import UserError, some

ROLES: tuple[Role, ...] = ("train", "val", "test")


def assign(
    raw: Path, splits: Sequence[RawSplit], told: Mapping[str, Role]
) -> tuple[dict[Role, list[RawSplit]], list[RawSplit]]:
    """Give each split its role: as told, else by how its name begins, else none.

    One that is alone is for training, whatever it is called, unless another role is told. What
    is called ``trainval`` is for training only where those two are not there by themselves.

    Args:
        raw: where they are, for messages.
        splits: at least one.
        told: the names of splits -> their roles.

    Returns:
        The splits of each role that has some, and those that have none.

    Raises:
        UserError: no split is for training; a role is told of a split that is not there.
    """
    names = [split.name for split in splits]
    unknown = sorted(told.keys() - set(names))
    if unknown:
        raise UserError(
            f"convert.splits names {some(unknown)}, which {raw} has not: it has {some(names)}"
        )
    found: dict[Role, list[RawSplit]] = {}
    others = []
    by_name = {name: _by_name(name) for name in names}
    if {"train", "val"} <= {by_name[name] for name in names if not _is_both(name)}:
        by_name |= {name: None for name in names if _is_both(name)}
    for split in splits:
        role = told.get(split.name) or ("train" if len(splits) == 1 else by_name[split.name])
        if role is None:
            others.append(split)
        else:
            found.setdefault(role, []).append(split)
    if "train" not in found:
        raise UserError(
            f"{raw} has the splits {some(names)}, and none of them is for training: say which is,"
            f" in params.yaml, as convert.splits: {{{names[0]}: train}}"
        )
    return {role: found[role] for role in ROLES if role in found}, others


def _is_both(split: str) -> bool:
    return split.lower().startswith("trainval")


def _by_name(split: str) -> Role | None:
    return next((role for role in ROLES if split.lower().startswith(role)), None)
