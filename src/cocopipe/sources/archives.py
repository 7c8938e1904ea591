"""The official COCO 2017 archives, by split name, verbatim."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cocopipe.errors import UserError
from cocopipe.sources.cache import fetch, missing_bytes
from cocopipe.sources.coco2017 import ANNOTATIONS, ARCHIVES, Checksum
from cocopipe.sources.disk import require_space, take_file
from cocopipe.sources.http import PATIENCE, Patience, public
from cocopipe.sources.names import require_split_name
from cocopipe.sources.origin import Origin


def fetch_archives(
    out: Path,
    *,
    splits: Sequence[str],
    base_url: str,
    checksums: Mapping[str, Mapping[str, Any]],
    cache: Path,
    patience: Patience = PATIENCE,
) -> list[Origin]:
    """Put the annotation archive and one image archive per split into ``out``.

    Args:
        out: Existing, empty folder.
        splits: Such as ``["val2017"]``; the archive of a split is ``<split>.zip``.
        base_url: What ``zips/<split>.zip`` and ``annotations/…`` are appended to.
        checksums: ``{"val2017.zip": {"bytes": 1, "md5": "…"}}`` for archives other than the
            official ones; overrides those.
        cache: Folder that keeps verified archives and unfinished ones, between runs.
        patience: When to give up on a bad connection.

    Raises:
        UserError: No split, an unusable URL, an archive whose checksum isn't known, too
            little free disk, or whatever :func:`cocopipe.sources.cache.fetch` raises.
    """
    if not splits:
        raise UserError("No split of COCO was asked for; name at least one, such as val2017.")
    if not re.match(r"https?://[^/]", base_url):
        raise UserError(f"{base_url!r} is not an http:// or https:// address of COCO's archives.")
    for split in splits:
        require_split_name(split)
    names = [ANNOTATIONS, *(f"{split}.zip" for split in dict.fromkeys(splits))]
    wanted = {name: _expected(name, checksums) for name in names}
    require_space(
        need
        for name, checksum in wanted.items()
        for need in (
            (cache, missing_bytes(cache / name, checksum.size_bytes)),
            (out, checksum.size_bytes),
        )
    )
    return [
        _fetch(_url(base_url, name), checksum, cache / name, out / name, patience)
        for name, checksum in wanted.items()
    ]


def _url(base_url: str, name: str) -> str:
    folder = "annotations" if name == ANNOTATIONS else "zips"
    return f"{base_url.rstrip('/')}/{folder}/{name}"


def _fetch(url: str, checksum: Checksum, cached: Path, out: Path, patience: Patience) -> Origin:
    """Bring one archive into the cache, and from there to its place."""
    fetch(url, cached, size_bytes=checksum.size_bytes, md5=checksum.md5, patience=patience)
    try:
        take_file(cached, out)
    except OSError as error:
        raise UserError(f"{cached} cannot be copied to {out.parent} ({error.strerror}).") from error
    return Origin(out.name, public(url), checksum.size_bytes, f"md5:{checksum.md5}")


def _expected(name: str, stated: Mapping[str, Mapping[str, Any]]) -> Checksum:
    if name not in stated:
        if name not in ARCHIVES:
            raise UserError(
                f"{name} is not one of the archives whose checksum is known "
                f"({', '.join(sorted(ARCHIVES))}); state its bytes and md5 in "
                "download.coco.checksums."
            )
        return ARCHIVES[name]
    size_bytes, md5 = stated[name].get("bytes"), stated[name].get("md5")
    if type(size_bytes) is not int or size_bytes < 1:
        raise UserError(
            f"The checksum of {name} has bytes {size_bytes!r}, which isn't a positive whole number."
        )
    if not isinstance(md5, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", md5):
        raise UserError(
            f"The checksum of {name} has md5 {md5!r}, which isn't 32 hexadecimal digits; put it "
            "in quotes where YAML would take it for a number."
        )
    return Checksum(size_bytes, md5.lower())
