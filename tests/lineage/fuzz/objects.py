"""Objects of cache and remote, whose hashes are right, or not."""

import json
import os
import random
from pathlib import Path

from tests.lineage.fuzz.from_python import from_dvc, load
from tests.lineage.fuzz.mutate import PATHS, broken, edited, json_text
from tests.lineage.fuzz.playground import STRAY, Playground
from tests.lineage.fuzz.spoilt import BRANCH, Question, Spoilt, commit, of_revision, questions
from tests.lineage.fuzz.store import set_tag, set_version_tag


def listing(rng: random.Random, playground: Playground) -> Spoilt:
    """A listing whose hash is right, named by a ``.dvc`` file, a run and a dataset of others."""
    (sound,) = playground.sql(
        "SELECT value FROM tags WHERE key = 'dvc.outs' AND value LIKE '%data/train%' LIMIT 1"
    )[0]
    digest = next(iter(json.loads(sound).values()))
    entries = json.loads(playground.holding(digest) or b"")
    if rng.random() < 0.5:
        # One of the kind that only a name tells from a sound one.
        victim = rng.choice(entries)
        victim["relpath"] = rng.choice([rng.choice(PATHS), edited(rng, victim["relpath"])])
        if rng.random() < 0.3:
            entries.append({**rng.choice(entries), "relpath": edited(rng, victim["relpath"])})
        text = json.dumps(entries).encode("utf-8", "surrogatepass")
    elif rng.random() < 0.02:
        text = b"[" + b" " * 200_000_000 + b"]"
    else:
        text = json_text(rng, entries)
    ending = ".dir" if rng.random() < 0.95 else ""
    made = playground.put(text, far=rng.random() < 0.3, ending=ending)
    name = _name(rng, made, playground)
    about = f"listing {text[:300]!r}"
    asks: list[Question] = [*questions(made), *questions(f"raw@{BRANCH}"), *of_revision(BRANCH)]
    asks += [lambda: from_dvc("raw", BRANCH), lambda: load(playground, made)] * 3
    asks += [*questions(playground.stray), *questions(STRAY), ["verify"]]
    return Spoilt(f"{about} {name}", asks)


def _name(rng: random.Random, digest: str, playground: Playground) -> str:
    """Name data in a revision, a run and a version of others."""
    text = f"outs:\n- md5: {digest}\n  hash: md5\n  path: raw\n"
    commit(playground, {"raw.dvc": text.encode()})
    path = rng.choice(["raw", "data/train", "elsewhere"])
    for tag in ("dvc.outs", "dvc.deps"):
        set_tag(playground, tag, json.dumps({path: digest}))
    for tag, named in (("dvc.hash", digest), ("dvc.data", json.dumps({path: digest}))):
        set_version_tag(playground, tag, named)
    return f"as {path}"


def object_of(rng: random.Random, playground: Playground) -> Spoilt:
    """Other bytes, or something else, in the place of an object."""
    folders = [playground.cache, playground.remote]
    top = rng.choice(folders) / "files" / "md5"
    paths = sorted(path for path in top.rglob("*") if path.is_file())
    place = rng.choice(paths)
    if rng.random() < 0.5:
        twin = rng.choice([each for each in folders if each not in top.parents])
        other = twin / "files" / "md5" / place.parent.name / place.name
        other.unlink(missing_ok=True)
    # DVC's own status, which verify asks for, would wait for a pipe in the cache.
    kinds = ["bytes", "link", "folder", "zero", "none", "unreadable"]
    what = rng.choice([*kinds, "fifo"] if top.is_relative_to(playground.remote) else kinds)
    text = place.read_bytes()
    place.chmod(0o644)
    match what:
        case "bytes":
            place.write_bytes(broken(rng, text))
            place.chmod(0o444)
        case _:
            place.unlink()
            if what == "link":
                place.symlink_to(rng.choice([playground.live / "secret.txt", Path("/etc/passwd")]))
            elif what == "zero":
                place.symlink_to("/dev/zero")
            elif what == "folder":
                place.mkdir()
            elif what == "fifo":
                os.mkfifo(place)
            elif what == "unreadable":
                place.symlink_to(place)
    asks = [
        *questions("v1"),
        *questions("v2"),
        *questions("models:/toy/1"),
        ["verify", "--content"],
    ]
    asks += [["verify", "--json"], ["sync", "v1"], ["sync"], lambda: from_dvc("raw", "v1")]
    return Spoilt(f"{what} as {place.relative_to(playground.live)}", asks, is_apart=False)


def registration(rng: random.Random, playground: Playground) -> Spoilt:
    """A decision of others, as an output that their lock names with its right hash."""
    whole = json.loads((playground.root / "decision.json").read_text())
    text = json_text(rng, whole)
    made = playground.put(text)
    before = next(
        line.split()[1]
        for line in _after((playground.root / "dvc.lock").read_text(), "path: decision.json")
        if line.strip().startswith("md5:")
    )
    lock = (playground.root / "dvc.lock").read_text().replace(before, made)
    commit(playground, {"dvc.lock": lock.encode()})
    asks: list[Question] = [["sync", BRANCH]] * 12 + [["sync", BRANCH, "--json"]] * 6
    return Spoilt(
        f"decision.json = {text[:300]!r}",
        [*asks, ["show", f"decision.json@{BRANCH}"], ["report", BRANCH]],
    )


def _after(text: str, mark: str) -> list[str]:
    return text.partition(mark)[2].splitlines()
