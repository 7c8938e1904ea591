"""What a source left out, guessed or could not know."""

from collections import Counter
from dataclasses import dataclass, field

FIRST = 3
"""Places that are told of each kind."""


@dataclass
class Notes:
    """What was left out or could not be known, and where."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, place: str) -> None:
        """Note one of these."""
        self.counts[what] += 1
        if len(places := self.places.setdefault(what, [])) < FIRST:
            places.append(place)

    def told(self) -> tuple[str, ...]:
        """A line for each kind, with how many there are and the first."""
        return tuple(
            f"{count:,} {what}: {self._places(what)}" for what, count in self.counts.items()
        )

    def _places(self, what: str) -> str:
        more = self.counts[what] - len(self.places[what])
        return ", ".join(self.places[what]) + (f" and {more:,} more" if more else "")
