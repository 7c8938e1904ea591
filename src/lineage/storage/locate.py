"""Who has the bytes of a hash: the DVC cache, or a remote."""

import hashlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace, dvc_of
from lineage.storage.admit import FOLDER, admit_listing
from lineage.storage.content import damaged
from lineage.storage.stores import LARGEST_BYTES, Store, cache_of, is_local, remotes_of

Refused = Callable[[str, LineageError], None]
"""Is told of a folder whose listing is not taken, and why."""

_log = logging.getLogger("lineage")


@dataclass(frozen=True)
class Whereabouts:
    """Who has the data with a DVC hash: for a folder, its listing and every file of it.

    Attributes:
        cache: Whether the DVC cache has all of it.
        remote: Whether the DVC remote has all of it; None where none is set up, or it was
            not asked.
        missing: The hashes of those objects that neither has. The data can be had exactly
            when there are none: some may be here, and the others there.
        damaged: Paths of objects on this machine that are called so but hold other bytes, and so
            count as not there; where content was asked for.
        unread: The stores that have some of it, whose content was asked for and not read, since
            they are not on this machine.
        refused: Why the listing is not taken, if that is why the folder is missing.
    """

    cache: bool
    remote: bool | None
    missing: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    refused: str = ""


def locate(
    workspace: Workspace, digests: Iterable[str], *, remote: bool = True, content: bool = False
) -> dict[str, Whereabouts]:
    """Say for each DVC hash whether the cache and the DVC remotes have the data.

    The remotes are the default one, and those that outputs name in ``dvc.yaml`` as it is now.
    However many hashes, each is asked in bulk.

    Args:
        workspace: A clone of the repository that the data belong to.
        digests: Files and folders, as DVC has them. What is no such hash, nobody has.
        remote: Ask the remote too.
        content: Read every object that is on this machine, whether it is what its name says;
            else only `materialise` checks that.

    Raises:
        LineageError: If the remote does not answer.
    """
    wanted = set(digests)
    folders = folders_among(wanted)
    refused: dict[str, str] = {}

    def refuse(folder: str, error: LineageError) -> None:
        refused[folder] = str(error)

    with dvc_of(workspace) as repo:
        cache = cache_of(repo)
        remotes = remotes_of(repo) if remote else []
        contents = {
            folder: _hashes(listing) for folder, listing in listings_in(cache, folders, refuse)
        }
        not_here = folders - contents.keys()
        for far in remotes:
            for folder, listing in listings_in(far, not_here - contents.keys(), refuse):
                contents[folder] = _hashes(listing)
        nowhere = folders - contents.keys()
        everything = wanted.union(*contents.values())
        near, away = _Held.by(cache, everything, content=content), _Held()
        for far in remotes:
            away.add(_Held.by(far, everything - away.sound, content=content))
    # A listing that is there, but damaged or refused, counts as none.
    near.sound -= not_here
    away.sound -= nowhere
    return {
        digest: replace(
            _whereabouts((digest, *contents.get(digest, ())), near, away if remotes else None),
            refused=refused.get(digest, ""),
        )
        for digest in wanted
    }


@dataclass
class _Held:
    """Objects that some stores have.

    Attributes:
        sound: Their hashes, as far as is known.
        damaged: Hash -> path of those that hold other bytes.
        unread: Hash -> the store whose content was to be read and cannot be.
    """

    sound: set[str] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, store: Store, hashes: set[str], *, content: bool) -> "_Held":
        held = store.holding(hashes)
        if not content:
            return cls(set(held))
        broken = damaged(store, held)
        far = [digest for digest, database in held.items() if not is_local(database)]
        return cls(set(held) - broken.keys(), broken, dict.fromkeys(far, store.name))

    def add(self, other: "_Held") -> None:
        self.sound |= other.sound
        self.damaged |= other.damaged
        self.unread |= other.unread


def _whereabouts(parts: Sequence[str], near: _Held, away: _Held | None) -> Whereabouts:
    """Of some data with these objects, given what the cache holds, and remotes if there are any."""
    held = [each for each in (near, away) if each is not None]
    return Whereabouts(
        cache=near.sound.issuperset(parts),
        remote=None if away is None else away.sound.issuperset(parts),
        missing=tuple(part for part in parts if not any(part in each.sound for each in held)),
        damaged=tuple(
            each.damaged[part] for part in parts for each in held if part in each.damaged
        ),
        unread=tuple(
            dict.fromkeys(
                each.unread[part] for part in parts for each in held if part in each.unread
            )
        ),
    )


def listings(workspace: Workspace, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """Folder -> file in it -> hash, of those whose listing cache or remote have.

    Of one that is not taken, the log has the reason.

    Raises:
        LineageError: If the remote does not answer.
    """
    wanted = folders_among(folders)
    with dvc_of(workspace) as repo:
        found = dict(listings_in(cache_of(repo), wanted))
        for far in remotes_of(repo) if wanted - found.keys() else ():
            found |= listings_in(far, wanted - found.keys())
    return found


def folders_among(digests: Iterable[str]) -> set[str]:
    """Those of the hashes that are of folders."""
    return {digest for digest in digests if digest.endswith(FOLDER)}


def log_refused(_folder: str, error: LineageError) -> None:
    """Tell the log of a listing that is not taken."""
    _log.warning("%s", error)


def listings_in(
    store: Store, folders: set[str], refused: Refused = log_refused
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder with its listing, file -> hash, where the store has a sound one."""
    for folder, text in store.read(folders):
        if text is None:
            refused(
                folder,
                LineageError(
                    f"the listing {folder} in {store.name} has more than {LARGEST_BYTES:,} bytes:"
                    " nothing of it is taken; see who wrote it."
                ),
            )
            continue
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        if digest == folder.removesuffix(FOLDER):
            try:
                listing = admit_listing(text, folder)
            except LineageError as error:
                refused(folder, error)
            else:
                yield folder, listing


def _hashes(listing: Mapping[str, str]) -> tuple[str, ...]:
    # Versions of a folder share most of their files.
    return tuple(sys.intern(digest) for digest in listing.values())
