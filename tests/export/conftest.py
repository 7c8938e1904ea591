"""Fixtures of this room: raw data, converted."""

from tests.converting import converted

__all__ = ["converted"]
