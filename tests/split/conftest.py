"""Fixtures of this room: raw data, converted."""

from tests.converting import converted, splits_of, to_splits

__all__ = ["converted", "splits_of", "to_splits"]
