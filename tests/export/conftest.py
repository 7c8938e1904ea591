"""Fixtures of this room: those of the data that is exported."""

from tests.coco.conftest import converted

__all__ = ["converted"]
