"""What the model versions were made of is in cache or remote."""

from collections.abc import Iterable, Mapping

from lineage.identity import DataId
from lineage.project import Project
from lineage.repository.history import History
from lineage.storage.locate import Whereabouts, locate
from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_versions import CheckedVersion
from lineage.words import some


def check_data(
    project: Project, versions: Iterable[CheckedVersion], *, content: bool
) -> tuple[int, Found]:
    """Inputs and files of the versions are in cache or remote; how many were looked for.

    Args:
        project: The repository.
        versions: The versions.
        content: Whether every object on this machine is read, too.
    """
    needed: dict[DataId, list[str]] = {}
    nameless = []
    for version in versions:
        node = version.node
        inputs = [DataId(path, digest) for path, digest in version.inputs.items()]
        files = [DataId("", node.hash)] if node.hash else []
        for data in [*inputs, *files]:
            needed.setdefault(data, []).append(node.id)
        if not version.inputs:
            nameless.append(node.id)
    skipped = [f"the inputs of {some(nameless)}: none are named"] if nameless else []
    reasons = {data: _why_kept_elsewhere(project.history, data) for data in needed}
    asked = [data for data, reason in reasons.items() if not reason]
    elsewhere = {f"{data.path} ({reasons[data]})" for data in needed.keys() - asked}
    if elsewhere:
        skipped.append(f"the bytes of {some(sorted(elsewhere))}")
    places = locate(project.workspace, {data.hash for data in asked}, content=content)
    missing = [data for data in asked if places[data.hash].missing]
    lost = [
        _lost(data, needed[data]) if not (why := places[data.hash].refused) else _refused(data, why)
        for data in missing
    ]
    skipped += unread(places.values(), content=content)
    if any(place.remote is None for place in places.values()):
        skipped.append(
            "the DVC remote: none is set up, so data count as there if this machine's cache has"
            " them; add one with `dvc remote add --default`"
        )
    return len(places), Found((*lost, *_damaged(asked, places)), tuple(skipped))


def unread(places: Iterable[Whereabouts], *, content: bool) -> list[str]:
    """Phrases for the content that was not checked.

    Args:
        places: What was found.
        content: Whether it was asked for.
    """
    places = list(places)
    if places and not content:
        return [
            "content, that the bytes in cache and remote are what their hashes say; --content reads"
            " them"
        ]
    stores = dict.fromkeys(store for place in places for store in place.unread)
    return [f"content of {store}, which is not on this machine" for store in stores]


def _damaged(asked: Iterable[DataId], places: Mapping[str, Whereabouts]) -> list[Break]:
    holding: dict[str, list[str]] = {}
    for data in asked:
        for path in places[data.hash].damaged:
            holding.setdefault(path, []).append(str(data) if data.path else data.hash)
    return [
        Break(
            Check.DAMAGED,
            path,
            f"{path}, which {some(names)} needs, holds other bytes than its name says: remove it;"
            " `dvc fetch` brings it back into the cache from the remote, and `dvc push` into the"
            " remote from the cache.",
        )
        for path, names in holding.items()
    ]


def _refused(data: DataId, why: str) -> Break:
    return Break(Check.DAMAGED, str(data) if data.path else data.hash, why)


def _lost(data: DataId, needed_by: list[str]) -> Break:
    return Break(
        Check.DATA_LOST,
        str(data) if data.path else data.hash,
        f"{data.path or 'the model'} {data.hash}, of which {some(needed_by)} is made, is neither in"
        " the DVC cache nor in the remote: `dvc push` it from where it is, or make it again at a"
        " revision that has it.",
    )


def _why_kept_elsewhere(history: History, data: DataId) -> str:
    """Why neither cache nor remote need have some bytes; empty where one should."""
    if "://" in data.path or data.path.startswith(("/", "..")):
        return "outside of the repository"
    reasons = [
        item.unpushed or ("kept by git" if item.kind == "code" or item.size_bytes == 0 else "")
        for commit in history.containing(data.hash)
        for item in history.snapshot(commit).data
        if item.id == data
    ]
    if reasons:
        # Any revision may say so: what was pushed once may have been removed since.
        return next(filter(None, reasons), "")
    read = [
        dep
        for locked in history.reading(data.hash)
        for dep in locked.observed.deps
        if dep.id == data
    ]
    if any(dep.kind == "code" for dep in read):
        return "kept by git"
    return "no stage's output" if read else ""
