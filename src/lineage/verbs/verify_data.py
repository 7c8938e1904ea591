"""What the model versions were made of is in cache or remote."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lineage.project import Project
from lineage.repository.history import History
from lineage.storage.locate import locate
from lineage.verbs.verify_break import some

if TYPE_CHECKING:
    pass

from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_versions import CheckedVersion

# What the versions were made of is there.


def check_data(project: Project, versions: Iterable[CheckedVersion]) -> tuple[int, Found]:
    """Inputs and files of the versions are in cache or remote; how many were looked for."""
    needed: dict[tuple[str, str], list[str]] = {}
    nameless = []
    for version in versions:
        node = version.node
        for key in [*version.inputs.items(), *([("", node.hash)] if node.hash else [])]:
            needed.setdefault(key, []).append(node.id)
        if not version.inputs:
            nameless.append(node.id)
    skipped = [f"the inputs of {some(nameless)}: none are named"] if nameless else []
    reasons = {key: _is_kept_elsewhere(project.history, *key) for key in needed}
    asked = [key for key, reason in reasons.items() if not reason]
    elsewhere = {f"{path} ({reasons[path, digest]})" for path, digest in needed.keys() - asked}
    if elsewhere:
        skipped.append(f"the bytes of {some(sorted(elsewhere))}")
    places = locate(project.workspace, {digest for _, digest in asked})
    lost = [
        Break(
            Check.DATA_LOST,
            f"{path}@{digest}" if path else digest,
            f"{path or 'the model'} {digest}, of which {some(needed[path, digest])} is made, is"
            " neither in the DVC cache nor in the remote: `dvc push` it from where it is, or make"
            " it again at a revision that has it.",
        )
        for path, digest in asked
        if places[digest].missing
    ]
    if any(place.remote is None for place in places.values()):
        skipped.append(
            "the DVC remote: none is set up, so data count as there if this machine's cache has"
            " them; add one with `dvc remote add --default`"
        )
    return len(places), Found(tuple(lost), tuple(skipped))


def _is_kept_elsewhere(history: History, path: str, digest: str) -> str:
    """Why neither cache nor remote need have some bytes; empty where one should."""
    if "://" in path or path.startswith(("/", "..")):
        return "outside of the repository"
    reasons = [
        item.unpushed or ("kept by git" if item.kind == "code" or item.size_bytes == 0 else "")
        for commit in history.containing(digest)
        for item in history.snapshot(commit).data
        if item.hash == digest and item.path == path
    ]
    if reasons:
        # Any revision may say so: what was pushed once may have been removed since.
        return next(filter(None, reasons), "")
    read = [
        dep
        for locked in history.reading(digest)
        for dep in locked.observed.deps
        if dep.hash == digest and dep.path == path
    ]
    if any(dep.kind == "code" for dep in read):
        return "kept by git"
    return "no stage's output" if read else ""
