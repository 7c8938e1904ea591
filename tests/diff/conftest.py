"""Fixtures of this room: splits, as those that are inspected."""

from tests.quality.conftest import splits_of, to_splits

__all__ = ["splits_of", "to_splits"]
