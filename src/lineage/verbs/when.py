"""Which version an alias was on, at which time, and who put it there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar

from lineage.answer import Answer
from lineage.errors import LineageError
from lineage.join.reference import MODEL
from lineage.project import Project
from lineage.recording.promotion import confirm, registered
from lineage.tracking.promotions import Promotion

_A_DAY = 10
"""Characters of a date without a time: 2026-01-31."""


@dataclass(frozen=True)
class Tenure(Answer):
    """How long a version had an alias.

    Attributes:
        version: As ``models:/name/number``; empty where no version had it.
        hash: The DVC hash of its files; empty where it is not there any more.
        since: When it got it; where nobody wrote that down, after when; None for any time.
        until: When another got it; where nobody wrote that down, before when; None for until now.
        is_present: Whether it has it now.
        promotion: Who gave it, and why; None where somebody moved the alias by hand, so that its
            begin and the end of the one before it are known no closer.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        *("version", "hash", "since", "until", "is_present", "promotion"),
    )

    version: str
    hash: str
    since: datetime | None
    until: datetime | None
    is_present: bool
    promotion: Promotion | None

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        """Whether it may have had it at some moment from ``begin`` to ``end``."""
        begins = self.since is None or self.since <= end
        return begins and (self.until is None or self.until > begin)


@dataclass(frozen=True)
class When(Answer):
    """An alias over time.

    Attributes:
        ref: The alias, as ``models:/name@alias``.
        tenures: Oldest first; of two that overlap, nobody wrote down when the one ended.
        written: What was written down just now.
        warnings: What this cannot know.
    """

    json_names: ClassVar[tuple[str, ...]] = ("ref", "tenures", "written", "warnings")

    ref: str
    tenures: tuple[Tenure, ...]
    written: Promotion | None = None
    warnings: tuple[str, ...] = ()


def when(project: Project, ref: str, *, at: str | None = None, because: str | None = None) -> When:
    """Tell which versions had an alias.

    Args:
        project: The repository and its tracking store.
        ref: ``models:/name@alias``.
        at: Only those that had it then: a time in ISO 8601, or a day, which is all of it.
        because: Write down that somebody moved it by hand, and why; before the answer.

    Raises:
        LineageError: If it is no alias, nothing is known of it, or the time is none.
    """
    name, alias = _parts(ref)
    moment = _moment(at) if at is not None else None
    written = confirm(project, name, alias, because) if because is not None else None
    model = registered(project, name)
    promotions, now = model.of(alias), model.aliases.get(alias, "")
    if not promotions and not now:
        known = ", ".join(f"@{each}" for each in model.aliases)
        raise LineageError(
            f"{ref}: {name} has no such alias and never had{f'; it has {known}' if known else ''}."
        )
    hashes = {each.version: each.hash for each in project.registry.versions if each.name == name}
    tenures = _tenures(promotions, now, name, hashes)
    if moment is not None:
        tenures = [each for each in tenures if each.overlaps(*moment)]
    return When(ref, tuple(tenures), written, tuple(project.skipped))


def _parts(ref: str) -> tuple[str, str]:
    name, _, alias = ref.removeprefix(MODEL).rpartition("@")
    if not ref.startswith(MODEL) or not name or not alias:
        raise LineageError(f"{ref} is no alias: write models:/name@alias.")
    return name, alias


def _moment(text: str) -> tuple[datetime, datetime]:
    """The first and the last moment that a text means."""
    try:
        found = datetime.fromisoformat(text)
        begin = found.astimezone(UTC)
        if len(text) > _A_DAY:
            return begin, begin
        next_day = datetime.combine(found.date() + timedelta(days=1), time())
        return begin, next_day.astimezone(UTC) - timedelta.resolution
    except (ValueError, OverflowError) as error:
        raise LineageError(
            f"--at {text} is no time: write it in ISO 8601, such as 2026-01-31 or"
            " 2026-01-31T12:00:00+00:00."
        ) from error


def _tenures(
    promotions: Sequence[Promotion], now: str, name: str, hashes: Mapping[str, str]
) -> list[Tenure]:
    """What promotions tell, and what must have been between them."""

    def tenure(version: str, since: datetime | None, by: Promotion | None = None) -> Tenure:
        ref = f"{MODEL}{name}/{version}" if version else ""
        return Tenure(ref, hashes.get(version, ""), since, None, False, by)

    found: list[Tenure] = []
    version, since = "", None
    for each in promotions:
        if each.before != version:
            # It found another there than the one before it had left.
            found.append(tenure(each.before, since))
        version, since = each.version, each.at
        found = [replace(earlier, until=earlier.until or since) for earlier in found]
        found.append(tenure(version, since, each))
    if version != now:
        found.append(tenure(now, since))
    return [*found[:-1], replace(found[-1], is_present=True)]
