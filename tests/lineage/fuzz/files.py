"""Files of the repository, at a revision of others or in the working tree."""

import random

from tests.lineage.fuzz.from_python import from_dvc
from tests.lineage.fuzz.mutate import yaml_text
from tests.lineage.fuzz.playground import Playground
from tests.lineage.fuzz.spoilt import (
    BRANCH,
    TRACKED,
    Question,
    Spoilt,
    commit,
    of_all,
    of_revision,
    questions,
    spoil_file,
)


def dvc_file(rng: random.Random, playground: Playground) -> Spoilt:
    text = (playground.root / "raw.dvc").read_text()
    if rng.random() < 0.3:
        text = (
            f"frozen: true\ndeps:\n- path: data/x\n  repo: {{url: 'https://me:secret@h/r',"
            f" rev_lock: {'0' * 40}}}\n{text}wdir: .\n"
        )
    asks: list[Question] = [*questions(f"raw@{BRANCH}"), lambda: from_dvc("raw", BRANCH)]
    return spoil_file(rng, playground, "raw.dvc", yaml_text(rng, text), asks)


def lock_file(rng: random.Random, playground: Playground) -> Spoilt:
    text = (playground.root / "dvc.lock").read_text()
    asks = [*questions(f"data/train@{BRANCH}"), *questions(f"models/m.safetensors@{BRANCH}")]
    return spoil_file(rng, playground, "dvc.lock", yaml_text(rng, text), asks)


def pipeline_file(rng: random.Random, playground: Playground) -> Spoilt:
    path = rng.choice(["dvc.yaml", "sub/dvc.yaml"])
    text = (playground.root / path).read_text()
    if rng.random() < 0.3:
        odd = rng.choice(
            ["${limit", "${}", "${a.b[0]}", "${limit.x}", "${env:HOME}", "\\${x}", "${names}"]
        )
        text = text.replace("raw/a.txt", odd).replace("${item}.txt", odd + "${item}")
        return spoil_file(rng, playground, path, text.encode(), [])
    return spoil_file(rng, playground, path, yaml_text(rng, text), [])


def params_file(rng: random.Random, playground: Playground) -> Spoilt:
    path = rng.choice(["params.yaml", "sub/names.yaml", "sub/names.yaml"])
    text = (playground.root / path).read_text()
    return spoil_file(rng, playground, path, yaml_text(rng, text), [["log", "sub"]])


def other_file(rng: random.Random, playground: Playground) -> Spoilt:
    """Files that settings are in, and links where files are expected."""
    if rng.random() < 0.5:
        path = rng.choice(
            [".dvcignore", "sub/.dvcignore", ".gitattributes", ".gitmodules", ".dvc/config"]
        )
        pool = [
            b"*",
            b"[",
            b"!",
            b"\\",
            b"**/**",
            b"/",
            b"!raw",
            b"\xff",
            b"#",
            b"*\0",
            b"(" * 3000,
            b"*" * 3000,
        ]
        pool += [
            b"*/" * 2000,
            b"['remote \"store\"']\n url = /dev/zero\n",
            b"[core]\n remote = nowhere\n",
        ]
        pool += [b'[submodule "x"]\n path = ../x\n url = ext::touch /tmp/x\n']
        return spoil_file(rng, playground, path, b"\n".join(rng.sample(pool, 2)), [])
    path = rng.choice(
        [
            "raw.dvc",
            "dvc.lock",
            "dvc.yaml",
            "params.yaml",
            "sub",
            "raw",
            "data",
            "models",
            ".dvc",
            "x.dvc",
        ]
    )
    target = rng.choice(
        ["/dev/zero", "../secret.txt", "/etc", ".", path, "../../victim", "/proc/self/fd/0", "\xff"]
    )
    about = f"{path} -> {target}"
    if rng.random() < 0.6:
        commit(playground, {path: None} if path == "sub" else {})
        commit(playground, {path: target.encode("latin-1")}, [path])
        return Spoilt(f"{about} at {BRANCH}", [*of_revision(BRANCH), *of_all()])
    place = playground.root / path
    if place.is_dir():
        place.rename(playground.root / f"{path}.moved")
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    return Spoilt(f"{about} in the working tree", [*of_all(), ["show", TRACKED]], is_apart=False)
