"""Values of tags: paths and hashes as JSON. What stands in them later, `outside` reads."""

import hashlib
from collections.abc import Mapping

from lineage.identity import canonical_json
from lineage.tracking.tags import RECORD, TAG_LIMIT

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
