"""Values that anybody may have written into a store, checked where they come in.

A malformed one is passed over, and `PassedOver` names its run, version or dataset, once, for the
answer to warn of: one bad tag must not spoil what is asked about all other runs.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.errors import bare_url
from lineage.storage.admit import HASH, is_hash
from lineage.tracking.tags import (
    COMMIT,
    EVALUATION,
    MODEL_HASH,
    RECORD,
    ROOT,
    RUN,
    SIGNATURE,
    SIGNATURE_AFTER,
)
from lineage.words import some

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")
V = TypeVar("V")

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SIGNATURE = re.compile(r"[\w.-]{1,64}")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}")  # as MLflow's own validation has it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

TAG_FORMS = {
    COMMIT: _COMMIT,
    ROOT: _COMMIT,
    SIGNATURE: _SIGNATURE,
    SIGNATURE_AFTER: _SIGNATURE,
    MODEL_HASH: HASH,
    EVALUATION: HASH,
    RUN: _RUN_ID,
}
"""Tag -> what its value must look like, for those that are looked up by."""

LAST_MS = 253_402_300_799_000
"""The last second that Python has a date for, as MLflow has times."""

HASH_LENGTH = 200
"""Characters of a checksum that a server gives a URL; it may choose any."""

NAMED = 10
"""How many runs, versions and datasets an answer names: in a spoilt store there may be many."""


class PassedOver:
    """What was passed over so far."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, None]] = {}

    def add(self, subject: str, value: str) -> None:
        """Say that a value, such as ``its tag dvc.deps``, of a run, version or dataset is none."""
        self._values.setdefault(subject, {})[value] = None

    @property
    def sentences(self) -> list[str]:
        """One for each run, version or dataset."""
        told = [
            f"{subject}: {some(list(values))} {'are' if len(values) > 1 else 'is'} passed over, not"
            " being as lineage or MLflow writes such things."
            for subject, values in self._values.items()
        ]
        left = len(told) - NAMED
        if left > 0:
            told[NAMED:] = [f"so it is with {left} more runs, versions or datasets of this store."]
        return told

    def checked(
        self, read: Callable[[V], T], found: V, subject: str, value: str, otherwise: T
    ) -> T:
        """What ``read`` makes of what was found; ``otherwise`` where it is passed over."""
        try:
            return read(found)
        except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
            self.add(subject, value)
            return otherwise


def run_named(run_id: str) -> str:
    """A run, as a warning names it."""
    return f"the run {run_id}"


# Each of these raises ValueError, TypeError, LookupError, RecursionError or OverflowError.


def hashes(text: str) -> dict[str, str]:
    """Path -> hash, as tags have it; both of them texts of which something can be looked up."""
    return _hashes(_object(text).items())


def items(whole: Mapping[str, Any], side: str) -> dict[str, str]:
    """The same of the ``deps`` or ``outs`` of a run's ``lineage.json``."""
    return _hashes((item["path"], item["hash"]) for item in whole[side])


def is_elsewhere(text: object) -> bool:
    """Whether a tag only says that its paths and hashes stand in ``lineage.json``."""
    if not isinstance(text, str) or RECORD not in text:
        return False
    try:
        value = _object(text)
    except (ValueError, RecursionError):
        return False
    return set(value) == {"sha256", "see"} and value["see"] == RECORD


def metrics(text: str) -> dict[str, float]:
    """Name -> number."""
    return numbers(_object(text))


def numbers(found: object) -> dict[str, float]:
    """The same of what was parsed."""
    if not isinstance(found, Mapping) or not all(map(_is_number, found.values())):
        raise ValueError("not all are numbers by name")
    return {name: float(value) for name, value in found.items()}


def profile(text: str) -> dict[str, Any]:
    """Name -> value of what a dataset's profile says, as far as it can stand in a line."""
    return {
        name: value
        for name, value in _object(text).items()
        if value is None or isinstance(value, str) or _is_number(value) or isinstance(value, bool)
    }


def path(value: object) -> str:
    """A path of data, wherever it leads."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("no path")
    os.fsencode(value)  # no file can have a name that is not of any encoding
    return value


def path_in_source(text: str) -> str | None:
    """The path that the source of a DVC dataset names; None if it names none."""
    named = _object(text).get("path")
    return None if named is None else path(named)


def url_in_source(text: str) -> str:
    """The URL that the source of a dataset names."""
    url = _object(text)["url"]
    if not isinstance(url, str) or "://" not in url:
        raise ValueError("no URL")
    return url


def model_hash(tags: Mapping[str, Any]) -> str:
    """The DVC hash in the tags of a logged model; empty where no stage logged it."""
    return tag(MODEL_HASH, tags[MODEL_HASH]) if MODEL_HASH in tags else ""


def said(text: str) -> dict[str, tuple[datetime, str]]:
    """Name of a tag -> when it was said, and at which commit, which is empty for none."""
    found = {}
    for name, (time, commit) in _object(text).items():
        if commit and not _COMMIT.fullmatch(commit):
            raise ValueError("no commit")
        found[name] = (datetime.fromisoformat(time).astimezone(UTC), commit)
    return found


def promotion(text: str) -> dict[str, Any]:
    """What a promotion was written down as: texts, a time, and metrics by version."""
    found = _object(text)
    texts = {name: found[name] for name in ("alias", "version", "before", "by", "why", "data")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise TypeError("what a promotion says is text")
    numbered = [texts["version"], texts["before"]]
    if not all(each == "" or (each.isascii() and each.isdecimal()) for each in numbered):
        raise ValueError("versions are numbers")
    measured = {name: numbers(each) for name, each in _mapping(found["metrics"]).items()}
    at = datetime.fromisoformat(found["at"]).astimezone(UTC)
    return {**texts, "at": at, "metrics": measured}


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("no JSON object")
    return value


def names(text: str) -> list[str]:
    """The names in a JSON object."""
    return list(_object(text))


def artifact(text: str) -> dict[str, Any]:
    """A JSON artifact."""
    return _object(text)


def origins(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where bytes were fetched from, as ``origins.json`` lists it."""
    found = []
    for origin in whole["origins"]:
        size = origin.get("size_bytes")
        known = {name: origin.get(name) or "" for name in ("name", "url", "checksum")}
        if not all(isinstance(value, str) for value in known.values()):
            raise TypeError("an origin is of texts")
        is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        size_bytes = size if is_size else None
        found.append({**known, "url": bare_url(known["url"]), "size_bytes": size_bytes})
    return found


def run_id(text: str) -> str:
    """The id of a run; empty where there is none."""
    if text and not _RUN_ID.fullmatch(text):
        raise ValueError("no id")
    return text


def tag(name: str, value: object) -> str:
    """The value of a tag."""
    if not isinstance(value, str):
        raise TypeError("a tag is text")
    form = TAG_FORMS.get(name)
    if form and not form.fullmatch(value):
        raise ValueError(f"{name} has another form")
    return value


def tags(values: Mapping[str, Any], subject: str, passed: PassedOver) -> dict[str, str]:
    """Those of the tags of a run or version that are as they must be."""
    found = {}
    for name, value in values.items():
        try:
            found[name] = tag(name, value)
        except (ValueError, TypeError):
            passed.add(subject, f"its tag {name}")
    return found


def admitted(run: "Run", passed: PassedOver) -> "Run":
    """A run whose times, metrics and tags can be relied on: nearly always the very one.

    A time that is none becomes that of MLflow for a run without: the begin of 1970.
    """
    info, subject = run.info, run_named(run.info.run_id)
    start = _checked_time(info.start_time, subject, "its start time", passed) or 0
    end = _checked_time(info.end_time, subject, "its end time", passed)
    found = tags(run.data.tags, subject, passed)
    measured = {name: value for name, value in run.data.metrics.items() if _is_number(value)}
    for name in run.data.metrics.keys() - measured.keys():
        passed.add(subject, f"its metric {name}")
    is_same = (start, end) == (info.start_time, info.end_time)
    if is_same and found == run.data.tags and len(measured) == len(run.data.metrics):
        return run
    return _mended(run, start, end, measured, found)


def _mended(
    run: "Run", start: int, end: int | None, measured: dict[str, float], found: dict[str, str]
) -> "Run":
    from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

    info = run.info
    return Run(
        RunInfo(
            *(info.run_id, info.experiment_id, info.user_id, info.status, start, end),
            *(info.lifecycle_stage, info.artifact_uri, info.run_name),
        ),
        RunData(
            [Metric(name, value, 0, 0) for name, value in measured.items()],
            [Param(name, value) for name, value in run.data.params.items()],
            [RunTag(name, value) for name, value in found.items()],
        ),
        run.inputs,
        run.outputs,
    )


def _checked_time(value: object, subject: str, what: str, passed: PassedOver) -> int | None:
    if value is None or (isinstance(value, int) and 0 <= value <= LAST_MS):
        return value
    passed.add(subject, what)
    return None


def _hashes(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, digest in pairs:
        if not isinstance(path, str) or not isinstance(digest, str):
            raise TypeError("paths and hashes are texts")
        if path in found:
            raise ValueError("a path stands there twice")
        _check(path, digest)
        found[path] = digest
    return found


@lru_cache(maxsize=100_000)
def _check(place: str, digest: str) -> None:
    """Refuse what cannot be a path with its hash; thousands of runs have the same ones."""
    path(place)
    if digest and not is_hash(digest):
        # A server may give what is behind a URL any.
        is_etag = "://" in place and len(digest) <= HASH_LENGTH and not _CONTROL.search(digest)
        if not is_etag:
            raise ValueError("no hash of DVC")
        digest.encode()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _fits(value)


def _fits(value: float) -> bool:
    try:
        math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False
    return True


def _object(text: object) -> dict[str, Any]:
    if not isinstance(text, str):
        raise TypeError("no text")
    value = json.loads(text, object_pairs_hook=_once)
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no name may stand twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found
