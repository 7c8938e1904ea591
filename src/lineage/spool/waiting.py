"""What processes left that their tracking store did not take."""

from pathlib import Path

from lineage.errors import bare_url
from lineage.identity import file_key
from lineage.repository.held import HeldFolder, Shelf, hold
from lineage.repository.workspace import Workspace
from lineage.spool.delivery import Resolver
from lineage.spool.journal import waiting_in
from lineage.spool.spool import Spool
from lineage.spool.store import SpooledStore


def shelf_of(workspace: Workspace) -> Shelf:
    """Where it lies, also of temporary experiments, whose own folder is gone when they end."""
    return Shelf(workspace.lasting / "spool")


def group_of(store: str) -> str:
    """The group of the folders for a store, which its credentials do not tell from itself."""
    return file_key(bare_url(store))


def take(workspace: Workspace, store: str) -> HeldFolder:
    """A new folder for what a stage records."""
    return shelf_of(workspace).take(group_of(store), new=True)


def waiting(workspace: Workspace, store: str) -> int:
    """How many records wait for a store, without those of stages that run now."""
    shelf = shelf_of(workspace)
    counted = ((path, waiting_in(path)) for path in shelf.folders(group_of(store)))
    return sum(number for path, number in counted if number and not shelf.is_held(path))


def send_waiting(workspace: Workspace, store: SpooledStore, resolver: Resolver) -> int:
    """Send what waits for a store, but for what stages that run now are about.

    In its order, and as far as the store answers: what is left waits on.

    Returns:
        How many records that were.

    Raises:
        Exception: Of whatever kind the store's client has, where it does not answer.
    """
    shelf, records = shelf_of(workspace), 0
    for path in shelf.folders(group_of(store.uri)):
        with shelf.choosing:
            held = hold(path) if path.is_dir() else None
        if held is None:
            continue
        is_sent = False
        try:
            records += _send(held.path, store, resolver)
            is_sent = True
        finally:
            shelf.give_back(held, is_empty=is_sent)
    return records


def _send(path: Path, store: SpooledStore, resolver: Resolver) -> int:
    spool = Spool(path, store, resolver)
    number = spool.waiting
    try:
        while spool.waiting:
            spool.send_next()
    finally:
        spool.close()
    return number
