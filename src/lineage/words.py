"""Words for people: numbers with their nouns, a few of many names, the start of a hash."""

from collections.abc import Mapping, Sequence

DIGITS = 8
"""Of a hash or a run's id that are shown; any prefix that is not ambiguous is a REF."""

DIGITS_IN_TABLES = 10
"""The same where there is room for more."""

NAMED = 3
"""How many of many names a sentence has, and of many metrics a line."""


def count(number: int, noun: str) -> str:
    """A number with its noun, which is plural but for one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], shown: int = NAMED) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def short(digest: str, digits: int = DIGITS) -> str:
    """The first digits of a hash or id, with its algorithm where it names one."""
    algorithm, colon, whole = digest.rpartition(":")
    return f"{algorithm}{colon}{whole[:digits]}"


def metrics(values: Mapping[str, float]) -> list[str]:
    """The first of some metrics by name, with four digits."""
    return [f"{name} {value:.4g}" for name, value in sorted(values.items())[:NAMED]]
