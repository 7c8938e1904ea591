"""Values of tags: paths and hashes as JSON, which people may have edited since."""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from lineage.identity import canonical_json
from lineage.tracking.tags import RECORD, TAG_LIMIT

log = logging.getLogger("lineage")

ELSEWHERE = f'%"see":"{RECORD}"%'
"""What a search finds in the tag of a run with so many paths that they did not fit."""


def hashes_tag(hashes: Mapping[str, str]) -> str:
    """Path -> hash as the value of a run tag, comparable by equality.

    A mapping too long for a tag is replaced by its own hash; the whole stands in the
    run's ``lineage.json``.
    """
    text = canonical_json(dict(hashes))
    if len(text) <= TAG_LIMIT:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return canonical_json({"sha256": digest, "see": RECORD})


def is_elsewhere(value: Mapping[str, Any]) -> bool:
    """Whether a run tag only says that its paths and hashes stand in ``lineage.json``."""
    return set(value) == {"sha256", "see"}


def json_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object that people may have edited; empty, and told, where it is none."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        log.warning("%s is no JSON object and is passed over", what)
        return {}
