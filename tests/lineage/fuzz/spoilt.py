"""What a border spoils, and the questions that meet it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lineage.fuzz.playground import Playground

BRANCH = "odd"
"""A revision of others; the checked-out one is sound."""

TRACKED = "raw"
"""A folder with a ``.dvc`` file."""

Question = Sequence[str] | Callable[[], Any]


@dataclass
class Spoilt:
    """What a border did.

    Attributes:
        about: In a few words.
        asks: Questions that meet it, of which some are put.
        is_apart: Whether what else there is must be answered as before.
    """

    about: str
    asks: list[Question] = field(default_factory=list)
    is_apart: bool = True


def questions(ref: str) -> list[Question]:
    """Every verb that takes a REF."""
    graphs = [["graph", ref, "--format", f] for f in ("mermaid", "dot", "html", "openlineage")]
    asked: list[Question] = [
        [verb, ref, *flags] for verb in ("show", "trace", "impact") for flags in ([], ["--json"])
    ]
    return [
        *asked,
        *graphs,
        ["show", ref, "--content"],
        ["graph", ref, "--downstream"],
        ["diff", ref, "v1"],
        ["diff", "v2", ref, "--json"],
        ["checkout", ref, "DIR", "--json"],
        ["checkout", ref, "DIR", "--json"],
        ["checkout", ref, "DIR", "--json", "--inputs"],
        ["checkout", ref, "DIR", "--json", "--code"],
    ]


def of_all() -> list[Question]:
    """Questions about all that there is."""
    return [
        *(["log"], ["log", "--json", "--all"], ["verify"], ["verify", "--json", "--content"]),
        *(["sync"], ["report"], ["report", "v2", "--base", "v1"], ["trace", "models:/toy/2"]),
    ]


def of_revision(rev: str) -> list[Question]:
    return [
        *questions(rev),
        *(["verify", rev], ["verify", rev, "--json"], ["sync", rev], ["sync", rev, "--json"]),
        *(["report", rev], ["report", "v2", "--base", rev], ["log", "--all"]),
    ]


def commit(
    playground: Playground, files: dict[str, bytes | None], links: Sequence[str] = (), **odd: Any
) -> str:
    """Commit files on top of v2 as another branch, without a working tree; returns its id."""
    import pygit2

    git = pygit2.Repository(str(playground.root))
    parent = git.revparse_single("v2").peel(pygit2.Commit)
    tree = parent.tree.id
    for path, text in files.items():
        tree = _with(git, tree, path.split("/"), text, path in links)
    lines = [f"tree {tree}", f"parent {parent.id}"]
    who = odd.get("who", b"Who <who@example.org>")
    when = odd.get("when", b"1700000000 +0000")
    raw = "\n".join(lines).encode() + b"\nauthor " + who + b" " + when
    raw += b"\ncommitter " + who + b" " + when + odd.get("header", b"")
    raw += b"\n\n" + odd.get("message", b"by others\n")
    made = git.odb.write(pygit2.enums.ObjectType.COMMIT, raw)
    git.references.create(f"refs/heads/{odd.get('name', BRANCH)}", made, force=True)
    return str(made)


def _with(git: Any, tree: Any, parts: list[str], text: bytes | None, is_link: bool) -> Any:
    from pygit2.enums import FileMode

    builder = git.TreeBuilder(git[tree]) if tree else git.TreeBuilder()
    name, *below = parts
    if below:
        there = git[tree] if tree else {}
        inside = there[name].id if name in there and there[name].type_str == "tree" else None
        builder.insert(name, _with(git, inside, below, text, is_link), FileMode.TREE)
    elif text is None:
        builder.remove(name)
    else:
        mode = FileMode.LINK if is_link else FileMode.BLOB
        builder.insert(name, git.create_blob(text), mode)
    return builder.write()


def spoil_file(
    rng: random.Random, playground: Playground, path: str, text: bytes, asks: list[Question]
) -> Spoilt:
    """Put a spoilt file into a revision of others, or into the working tree."""
    about = f"{path} = {text[:200]!r}"
    if rng.random() < 0.65:
        commit(playground, {path: text})
        return Spoilt(f"{about} at {BRANCH}", [*of_revision(BRANCH), *asks, *of_all()])
    place = playground.root / path
    place.unlink(missing_ok=True)
    place.write_bytes(text)
    here: list[Question] = [
        *of_all(),
        ["show", "workspace"],
        ["checkout", "workspace", "DIR", "--json"],
    ]
    here += [
        ["trace", "models/m.safetensors"],
        ["show", TRACKED],
        ["checkout", TRACKED, "DIR", "--json"],
    ]
    return Spoilt(f"{about} in the working tree", here, is_apart=False)
