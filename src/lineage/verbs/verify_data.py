"""What the model versions were made of is in cache or remote."""

from collections.abc import Iterable

from lineage.identity import DataId
from lineage.project import Project
from lineage.repository.history import History
from lineage.storage.locate import locate
from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_versions import CheckedVersion
from lineage.words import some


def check_data(project: Project, versions: Iterable[CheckedVersion]) -> tuple[int, Found]:
    """Inputs and files of the versions are in cache or remote; how many were looked for."""
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
    places = locate(project.workspace, {data.hash for data in asked})
    lost = [_lost(data, needed[data]) for data in asked if places[data.hash].missing]
    if any(place.remote is None for place in places.values()):
        skipped.append(
            "the DVC remote: none is set up, so data count as there if this machine's cache has"
            " them; add one with `dvc remote add --default`"
        )
    return len(places), Found(tuple(lost), tuple(skipped))


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
