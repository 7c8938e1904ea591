"""Who has the bytes of a hash: the DVC cache, or a remote."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lineage.repository.workspace import Workspace
from lineage.storage.stores import Store, cache_of, remotes_of

FOLDER = ".dir"
"""How the DVC hash of a folder ends: it is the hash of a listing of its files."""


@dataclass(frozen=True)
class Whereabouts:
    """Who has the data with a DVC hash: for a folder, its listing and every file of it.

    Attributes:
        cache: Whether the DVC cache has all of it.
        remote: Whether the DVC remote has all of it; None where none is set up, or it was
            not asked.
        missing: The hashes of those objects that neither has. The data can be had exactly
            when there are none: some may be here, and the others there.
    """

    cache: bool
    remote: bool | None
    missing: tuple[str, ...]


def locate(
    workspace: Workspace, digests: Iterable[str], *, remote: bool = True
) -> dict[str, Whereabouts]:
    """Say for each DVC hash whether the cache and the DVC remotes have the data.

    The remotes are the default one, and those that outputs name in ``dvc.yaml`` as it is now.
    However many hashes, each is asked in bulk. Content is not read: that it is what its name
    says, `materialise` checks.

    Args:
        workspace: A clone of the repository that the data belong to.
        digests: Files and folders, as DVC has them.
        remote: Ask the remote too.

    Raises:
        LineageError: If the remote does not answer.
    """
    from dvc.repo import Repo

    wanted = set(digests)
    folders = folders_among(wanted)
    with Repo(str(workspace.root)) as repo:
        cache = cache_of(repo)
        remotes = remotes_of(repo) if remote else []
        contents = {folder: _hashes(listing) for folder, listing in listings_in(cache, folders)}
        not_here = folders - contents.keys()
        for far in remotes:
            for folder, listing in listings_in(far, not_here - contents.keys()):
                contents[folder] = _hashes(listing)
        nowhere = folders - contents.keys()
        everything = wanted.union(*contents.values())
        # A listing that is there, but damaged, counts as none.
        near = cache.holding(everything).keys() - not_here
        away: set[str] = set()
        for far in remotes:
            away |= far.holding(everything - away).keys() - nowhere
    places = {}
    for digest in wanted:
        parts = (digest, *contents.get(digest, ()))
        missing = tuple(part for part in parts if part not in near and part not in away)
        places[digest] = Whereabouts(
            cache=all(part in near for part in parts),
            remote=all(part in away for part in parts) if remotes else None,
            missing=missing,
        )
    return places


def listings(workspace: Workspace, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """Folder -> file in it -> hash, of those whose listing cache or remote have.

    Raises:
        LineageError: If the remote does not answer.
    """
    from dvc.repo import Repo

    wanted = folders_among(folders)
    with Repo(str(workspace.root)) as repo:
        found = dict(listings_in(cache_of(repo), wanted))
        for far in remotes_of(repo) if wanted - found.keys() else ():
            found |= listings_in(far, wanted - found.keys())
    return found


def folders_among(digests: Iterable[str]) -> set[str]:
    """Those of the hashes that are of folders."""
    return {digest for digest in digests if digest.endswith(FOLDER)}


def listings_in(store: Store, folders: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder with its listing, file -> hash, where the store has a sound one."""
    for folder, text in store.read(folders):
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        if digest == folder.removesuffix(FOLDER):
            yield folder, {entry["relpath"]: entry["md5"] for entry in json.loads(text)}


def _hashes(listing: Mapping[str, str]) -> tuple[str, ...]:
    # Versions of a folder share most of their files.
    return tuple(sys.intern(digest) for digest in listing.values())
