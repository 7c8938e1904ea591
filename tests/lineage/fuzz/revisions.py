"""Commits and references of git, and what is asked about."""

import random
from typing import Any

import pygit2

from tests.lineage.fuzz.from_python import from_dvc
from tests.lineage.fuzz.mutate import HASHES, PATHS, TEXTS, edited
from tests.lineage.fuzz.playground import Playground
from tests.lineage.fuzz.spoilt import (
    BRANCH,
    Question,
    Spoilt,
    commit,
    of_all,
    of_revision,
    questions,
)


def git_object(rng: random.Random, playground: Playground) -> Spoilt:
    """Commits, their messages, dates and names; references."""
    odd: dict[str, Any] = {}
    match rng.randrange(6):
        case 0:
            odd["message"] = rng.choice([*TEXTS, *PATHS, ""]).encode("utf-8", "surrogatepass")
        case 1:
            whens = [
                b"0 +0000",
                b"-1 +0000",
                b"99999999999999 +0000",
                b"253402300800 +0000",
                b"x +0000",
            ]
            odd["when"] = rng.choice(
                [*whens, b"1700000000 +9999", b"1700000000", b"9" * 30 + b" -0000", b""]
            )
        case 2:
            odd["who"] = rng.choice(
                [b"\xff\xfe <a>", b"<>", b"", b"a\x1b[31m <x>", b"x" * 5000 + b" <a>", b"a <"]
            )
        case 3:
            odd["header"] = rng.choice(
                [b"\nencoding utf-16", b"\nencoding nonsense", b"\nencoding latin-1"]
            )
            odd["message"] = rng.choice(
                [b"\xff\xfeh\0i\0", b"\xe9t\xe9", b"\0", b"\n\n\n", b"x\0y"]
            )
        case 4:
            path = rng.choice(
                [*PATHS[4:], "a/raw.dvc", "é/raw.dvc", "x\ty.dvc", "'.dvc", "-.dvc", "a\nb.dvc"]
            )
            path = path.replace("\0", "").strip("/")[:200] or "x"
            text = (playground.root / "raw.dvc").read_bytes()
            parts = [
                part
                for part in path.split("/")
                if part not in ("", ".", "..", ".git", ".GIT", ".git.")
            ]
            try:
                commit(playground, {"/".join([*parts[:5], "odd.dvc"]): text})
            except (ValueError, pygit2.GitError) as error:
                return Spoilt(f"refused by git: {error}", [["log"]])
            return Spoilt(f"the folder {path!r}", [*of_revision(BRANCH), *of_all()])
        case _:
            return _reference(rng, playground)
    commit(playground, {}, **odd)
    return Spoilt(f"commit {odd!r}"[:400], [*of_revision(BRANCH), *of_all()])


def _reference(rng: random.Random, playground: Playground) -> Spoilt:
    made = commit(playground, {})
    name = rng.choice(
        [
            "exps",
            "x'y",
            "x%y",
            'x"y',
            "é",
            "HEAD",
            "v1",
            "workspace",
            "models",
            "a;b",
            "$(id)",
            "-x",
            "\u202ex",
            *(
                "0123abcd",
                "raw",
                "x" * 180,
                "models:",
                "\x7f",
                "refs/heads/main",
                "a|b",
                "<b>",
                "`x`",
            ),
        ]
    )
    kind = rng.choice(["heads", "tags", "remotes/origin", "exps/01/" + "0" * 38, "notes", "stash"])
    content = rng.choice(
        [made, made[:20], "0" * 40, "ref: refs/heads/none", f"ref: refs/{kind}/{name}", "", "\xff"]
    )
    place = playground.root / ".git" / "refs" / kind / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode(errors="surrogateescape") + b"\n")
    except (OSError, UnicodeEncodeError) as error:
        return Spoilt(f"refused: {error}", [["log"]], is_apart=False)
    asks = [*of_revision(name), *of_revision(name), *of_all()]
    return Spoilt(f"refs/{kind}/{name} = {content!r}", asks, is_apart=False)


def reference(rng: random.Random, playground: Playground) -> Spoilt:
    """What is asked about."""
    sound = rng.choice(
        [
            "models:/toy/1",
            "models:/toy@candidate",
            "raw@v1",
            "v1",
            "HEAD~1",
            "data/train",
            "raw",
            playground.stray,
        ]
    )
    ref = rng.choice(
        [edited(rng, sound), rng.choice(PATHS), rng.choice(TEXTS)[:2000], rng.choice(HASHES)]
    )
    odd = [
        "models:/",
        "models:/a/b/c",
        "models:/toy/",
        "models:/toy@",
        "models:/toy/99999999999",
        "models:/toy/\u0663",
    ]
    odd += [
        "@",
        "@v1",
        "raw@",
        "raw@v1@v2",
        "HEAD^{tree}",
        "HEAD:raw.dvc",
        ":/by",
        "v1..v2",
        "HEAD@{1}",
        "@{-1}",
        "^v1",
    ]
    ref = rng.choice([ref, ref, rng.choice(odd)]).replace("\0", rng.choice(["", "\0"]))
    asks: list[Question] = questions(ref) + of_revision(ref)
    asks += [
        ["log", ref],
        ["report", "--since", ref],
        lambda: from_dvc(ref, "v1"),
        lambda: from_dvc("raw", ref),
    ]
    return Spoilt(f"asked about {ref!r}"[:400], asks)
