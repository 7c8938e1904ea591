"""What processes left that their tracking store did not take."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from lineage.errors import bare_url
from lineage.identity import file_key
from lineage.repository.held import HeldFolder, Shelf, hold, note_of
from lineage.repository.workspace import Workspace
from lineage.spool.delivery import Resolver
from lineage.spool.journal import waiting_in
from lineage.spool.spool import Spool
from lineage.spool.store import SpooledStore


@dataclass(frozen=True)
class Sent:
    """What became of what waited.

    Attributes:
        records: How many arrived.
        left: How many still wait.
    """

    records: int = 0
    left: int = 0


def shelf_of(workspace: Workspace) -> Shelf:
    """Where it lies, also of temporary experiments, whose own folder is gone when they end."""
    return Shelf(workspace.lasting / "spool")


def group_of(store: str) -> str:
    """The group of the folders for a store, which its credentials do not tell from itself."""
    return file_key(bare_url(store))


def take(workspace: Workspace, store: str, stage: str) -> HeldFolder:
    """A new folder for what a stage records."""
    held = shelf_of(workspace).take(group_of(store), new=True)
    about = json.dumps({"stage": stage, "store": bare_url(store), "since": time.time()})
    note_of(held.path).write_text(about, encoding="utf-8")
    return held


def waiting(workspace: Workspace, store: str) -> int:
    """How many records wait for a store, without those of stages that run now."""
    shelf = shelf_of(workspace)
    counted = ((path, waiting_in(path)) for path in shelf.folders(group_of(store)))
    return sum(number for path, number in counted if number and not shelf.is_held(path))


def send_waiting(workspace: Workspace, store: SpooledStore, resolver: Resolver) -> Sent:
    """Send what waits for a store, but for what stages that run now are about.

    In its order, and as far as the store answers: what is left waits on.

    Raises:
        Exception: Of whatever kind the store's client has, where it does not answer.
    """
    shelf, records = shelf_of(workspace), 0
    for path in shelf.folders(group_of(store.uri)):
        with shelf.choosing:
            held = hold(path) if path.is_dir() else None
        if held is None:
            continue
        try:
            records += _send(held.path, store, resolver)
        except BaseException:
            held.let_go()
            raise
        with shelf.choosing:
            held.remove()
    return Sent(records, waiting(workspace, store.uri))


def _send(path: Path, store: SpooledStore, resolver: Resolver) -> int:
    spool = Spool(path, store, resolver)
    number = spool.waiting
    try:
        while spool.waiting:
            spool.send_next()
    finally:
        spool.close()
    return number


def give_back(shelf: Shelf, held: HeldFolder, *, is_empty: bool) -> None:
    """Let go of a folder, which is gone where nothing waits in it."""
    with shelf.choosing:
        if is_empty:
            held.remove()
        else:
            held.let_go()
