"""One file over HTTP, completed across dropped connections and across processes.

What the dependencies offer stops short of this: ``huggingface_hub`` writes to a temporary
file with a random name, which the next process does not find; ``fsspec`` and ``torch.hub``
begin again at the first byte.
"""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

import requests
from tqdm import tqdm

from cocopipe.errors import UserError
from cocopipe.files import write_json

_CHUNK_BYTES = 64 * 1024
"""Small, because what of a chunk has arrived when a connection drops is lost."""

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<length>\d+|\*)")

_ABOUT_A_RANGE = {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_WORTH_ANOTHER_TRY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad connection.

    Attributes:
        connect_s: Longest wait for a connection.
        stall_s: Longest time without a byte before a connection counts as dead.
        attempts: How many in a row may bring nothing new.
        first_wait_s: Wait after a failed attempt; it doubles with each that brings nothing new.
        longest_wait_s: Longest wait, also where a server asks for a longer one.
    """

    connect_s: float
    stall_s: float
    attempts: int
    first_wait_s: float
    longest_wait_s: float


PATIENCE = Patience(connect_s=10, stall_s=30, attempts=6, first_wait_s=1, longest_wait_s=120)


class _PassingError(Exception):
    """An attempt ended early, for a reason that may pass."""

    def __init__(self, reason: str, *, wait_s: float = 0, start_over: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.start_over = start_over


def public(url: str) -> str:
    """Return ``url`` without a user name and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def complete(url: str, partial: Path, *, size_bytes: int, patience: Patience = PATIENCE) -> None:
    """Fetch what is missing of ``partial`` until it has ``size_bytes``.

    Beside it, ``<partial>.json`` remembers the URL and the ETag or Last-Modified of what has
    arrived, so that bytes of two different files are never joined. Both stay when this fails
    or the process is killed; the next call continues.

    Args:
        url: ``http`` or ``https``.
        partial: Where to write; what is there already is continued.
        size_bytes: The size of the whole file.
        patience: When to give up.

    Raises:
        UserError: The server refuses (404 and other 4xx), has a file of another size, or
            brought nothing new for too long; or the disk refuses.
    """
    shown = public(url)
    reached = failures = 0
    with (
        requests.Session() as session,
        tqdm(
            desc=partial.name.partition(".")[0],
            total=size_bytes,
            initial=min(_size(partial), size_bytes),
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=None,
        ) as bar,
    ):
        while _size(partial) != size_bytes:
            try:
                _attempt(session, url, partial, size_bytes, patience, bar)
            except _PassingError as passing:
                if passing.start_over:
                    partial.unlink(missing_ok=True)
                have = _size(partial)
                failures = 0 if have > reached else failures + 1
                reached = max(reached, have)
                if failures >= patience.attempts:
                    raise UserError(
                        f"{shown}: gave up after {failures} attempts without progress "
                        f"({passing}); {have:,} of {size_bytes:,} bytes are kept, so run it "
                        "again to continue from there."
                    ) from passing
                wait_s = max(passing.wait_s, patience.first_wait_s * 2 ** max(failures - 1, 0))
                time.sleep(min(wait_s, patience.longest_wait_s))
            except requests.RequestException as error:
                raise UserError(
                    f"{shown}: {str(error).replace(url, shown)}; check the URL."
                ) from error
            except OSError as error:
                raise UserError(
                    f"{partial}: cannot be written ({error.strerror}); what has arrived is kept, "
                    "so run it again when that is solved."
                ) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _attempt(
    session: requests.Session,
    url: str,
    partial: Path,
    size_bytes: int,
    patience: Patience,
    bar: "tqdm[NoReturn]",
) -> None:
    """Ask once for what is missing, and write what arrives."""
    note = partial.with_name(partial.name + ".json")
    start, validator = _arrived(partial, note, url, size_bytes)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    try:
        with session.get(
            url, headers=headers, stream=True, timeout=(patience.connect_s, patience.stall_s)
        ) as response:
            start = _accepted_start(response, start, size_bytes)
            bar.n = start
            bar.refresh()
            with partial.open("r+b" if partial.exists() else "wb") as file:
                file.truncate(start)
                file.seek(start)
                if start == 0:  # after what it would not be true of is gone
                    write_json(note, {"url": public(url), "validator": _validator(response)})
                for chunk in response.iter_content(_CHUNK_BYTES):
                    start += len(chunk)
                    if start > size_bytes:
                        file.truncate(0)
                        raise _other_size(public(url), "more", size_bytes)
                    file.write(chunk)
                    file.flush()  # a killed process leaves all that has arrived
                    bar.update(len(chunk))
    except requests.exceptions.SSLError:
        raise
    except requests.Timeout as error:
        raise _PassingError(f"no answer within {patience.stall_s:g} s") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise _PassingError(_cause(error)) from error
    if start < size_bytes:
        raise _PassingError("the connection was closed early")


def _arrived(partial: Path, note: Path, url: str, size_bytes: int) -> tuple[int, str | None]:
    """Return how much of ``partial`` can be continued, and the server's mark of its version."""
    have = _size(partial)
    if not 0 < have < size_bytes or not note.exists():
        return 0, None
    try:
        remembered = json.loads(note.read_text(encoding="utf-8"))
        validator: str | None = remembered["validator"]
        same = remembered["url"] == public(url)
    except (ValueError, TypeError, KeyError):  # not a note of ours: trust none of it
        return 0, None
    return (have, validator) if same else (0, None)


def _accepted_start(response: requests.Response, asked: int, size_bytes: int) -> int:
    """Return where in the file the body of ``response`` begins.

    Args:
        response: The answer to a request for the bytes from ``asked`` on.
        asked: 0 where the whole file was asked for.
        size_bytes: The size of the whole file.

    Raises:
        _PassingError: The server is busy or in trouble, or can't continue.
        UserError: It refuses, or has another file.
    """
    status = response.status_code
    shown = public(response.url)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WORTH_ANOTHER_TRY:
        raise _PassingError(f"HTTP {status}", wait_s=_retry_after_s(response))
    if status == HTTPStatus.OK:
        start, length = 0, response.headers.get("Content-Length", "*")
    elif asked and status in _ABOUT_A_RANGE:
        start, length = asked, found["length"] if found else "*"
    elif status == HTTPStatus.NOT_FOUND:
        raise UserError(
            f"{shown} does not exist (HTTP 404); check the base URL and the names of the splits."
        )
    else:
        raise UserError(
            f"{shown}: the server answered HTTP {status} {response.reason}; check the URL, and "
            "whether it needs a login."
        )
    if length not in ("*", str(size_bytes)):
        raise _other_size(shown, length, size_bytes)
    if start and not (found and found["start"] == str(start)):
        raise _PassingError("the server could not continue", start_over=True)
    return start


def _other_size(shown: str, actual: str, size_bytes: int) -> UserError:
    return UserError(
        f"{shown} has {actual} bytes where {size_bytes:,} are expected; where this is a "
        "mirror with other content, state its sizes and checksums."
    )


def _validator(response: requests.Response) -> str | None:
    """What tells two versions of the file apart; ``If-Range`` takes no weak ETag."""
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _retry_after_s(response: requests.Response) -> float:
    """How long the server asks to be left alone: seconds, or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones repeat the URL and each other."""
    while error.__context__ is not None:
        error = error.__context__
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error) or type(error).__name__
