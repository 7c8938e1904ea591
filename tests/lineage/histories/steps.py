"""What may happen next: each step is chosen, and made, by a seed of its own."""

from collections.abc import Callable
from random import Random

from ruamel.yaml import YAMLError

from tests.lineage.histories.repository import OUTPUTS, PLACES, new_yaml
from tests.lineage.histories.world import World

Step = Callable[[World, Random], None]

KINDS = ("prepare", "train", "register")
MEDDLINGS = ("before", "inside", "after", "after", "writes on", "fails", "interrupted")


def perhaps_commit(world: World, luck: Random, chance: float = 0.6) -> None:
    if luck.random() < chance:
        world.here.commit("as it is")
        if luck.random() < 0.3:
            world.here.git("tag", f"v{len(world.here.commits)}", ok=False)


def edit(world: World, luck: Random) -> None:
    """Change one thing that decides what comes out."""
    here = world.here
    match luck.choice(("raw", "prepare", "train", "decision", "param", "luck", "command")):
        case "raw":
            world.edit(here.path("raw.txt"))
        case "prepare" | "train" as kind:
            world.edit(here.path(f"{kind}.code"))
        case "decision":
            verdict = luck.choice(("accepted", "rejected"))
            here.path("decision.code").write_text(f"{verdict} {luck.randrange(4)}")
        case "param":
            section, key = luck.choice((("prepare", "shift"), ("train", "rate")))
            here.set_param(section, key, luck.randrange(4))
        case "luck":
            section = luck.choice(("prepare", "train"))
            here.set_param(section, "luck", not here.params[section]["luck"])
        case "command":
            stages = here.stages
            stage = stages[here.stage_of(luck.choice(KINDS))]
            kind, _, number = stage["cmd"].partition(" ")
            stage["cmd"] = f"{kind} {(int(number) + 1) % 3}"
            here.write_pipeline(f"{here.place}/dvc.yaml", stages)


def work(world: World, luck: Random) -> None:
    """An edit, and what it leads to."""
    edit(world, luck)
    world.here.repro(luck.choice(("", "", "", "prepare", "train")))
    perhaps_commit(world, luck)


def repro(world: World, luck: Random) -> None:
    world.here.repro()
    perhaps_commit(world, luck, 0.3)


def forced(world: World, luck: Random) -> None:
    """One stage again, or all."""
    world.here.repro(luck.choice(("", *KINDS)), force=True)
    perhaps_commit(world, luck)


def meddled(world: World, luck: Random) -> None:
    """Something happens to a stage while it runs."""
    if luck.random() < 0.5:
        edit(world, luck)
    kind = luck.choice(KINDS)
    world.meddling = {kind: luck.choice(MEDDLINGS)}
    world.here.repro(kind, force=luck.random() < 0.7)
    world.meddling = {}
    perhaps_commit(world, luck)


def dvc_commit(world: World, luck: Random) -> None:
    """Something is edited, and the lock made to say that it is so."""
    here = world.here
    if not all(here.path(name).exists() for name in OUTPUTS):
        return
    match luck.choice(("code", "out", "raw")):
        case "code":
            world.edit(here.path(f"{luck.choice(('prepare', 'train'))}.code"))
        case "raw":
            world.edit(here.path("raw.txt"))
        case "out":
            name = luck.choice(("data/rows.txt", "model.safetensors"))
            here.path(name).write_text(f"by hand {luck.randrange(2)}")
    here.dvc_commit()
    perhaps_commit(world, luck)


def commit(world: World, luck: Random) -> None:
    perhaps_commit(world, luck, 1)


def experiment(world: World, luck: Random) -> None:
    """As ``dvc exp run`` does it: a commit that only its own reference reaches."""
    import os
    from unittest import mock

    here = world.here
    if luck.random() < 0.7:
        here.restore()
    base, name = here.git("rev-parse", "HEAD"), f"exp{luck.randrange(10**6)}"
    branch = here.git("symbolic-ref", "HEAD")
    edit(world, luck)
    with mock.patch.dict(os.environ, {"DVC_EXP_NAME": name, "DVC_EXP_BASELINE_REV": base}):
        went_well = here.repro()
    if not went_well:
        return
    here.git("checkout", "--quiet", "--detach")
    made = here.commit(f"dvc: {name}")
    here.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", made)
    here.git("symbolic-ref", "HEAD", branch)
    if luck.random() < 0.5:
        here.restore()  # else, as of `dvc exp run` in the workspace, it stays there


def branch(world: World, luck: Random) -> None:
    """Go to another branch, or begin one at any revision."""
    here = world.here
    if luck.random() < 0.7:
        here.commit("before I go")
    branches = here.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    name = luck.choice([*branches, "new"])
    if name == "new":
        name = f"branch{len(branches)}"
        here.git("branch", "--force", name, luck.choice(here.commits))
    here.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
    here.restore()
    if luck.random() < 0.3:
        here.repro()


def merge(world: World, luck: Random) -> None:
    """Take in another revision, conflicts as git takes one side in each place."""
    here = world.here
    here.commit("before the merge")
    other = luck.choice(here.commits)
    side = luck.choice(("ours", "theirs"))
    said = here.git("merge", "--no-ff", "--no-commit", "-X", side, other, ok=False)
    if here.git("ls-files", "--unmerged") or "CONFLICT" in said or not _is_whole(world):
        here.git("merge", "--abort", ok=False)
        here.git("reset", "--quiet", "--hard")
        here.restore()
        return
    here.commit(f"merge of {other}")
    here.dvc_checkout()
    if luck.random() < 0.5:
        here.repro()
        perhaps_commit(world, luck)


def _is_whole(world: World) -> bool:
    """Whether the files that git put together are ones that DVC reads."""
    here = world.here
    places = [each for each in PLACES if (here.root / each / "dvc.yaml").exists()]
    if len(places) != 1:
        return False
    files = ("dvc.yaml", "dvc.lock", "params.yaml", "raw.txt.dvc")
    try:
        read = [
            new_yaml().load(here.path(name).read_text())
            for name in files
            if here.path(name).exists()
        ]
        kinds = {stage["cmd"].split()[0] for stage in here.stages.values()}
    except YAMLError:
        return False
    return all(read) and len(kinds) == len(here.stages) == len(KINDS)


def back(world: World, luck: Random) -> None:
    """The files of an older revision again."""
    here = world.here
    here.restore(luck.choice(here.commits))
    if luck.random() < 0.6:
        here.repro()
    perhaps_commit(world, luck)


def rename_stage(world: World, luck: Random) -> None:
    here = world.here
    old = here.stage_of(luck.choice(KINDS))
    new = old[:-1] if old.endswith("2") else f"{old}2"
    stages = {new if name == old else name: stage for name, stage in here.stages.items()}
    here.write_pipeline(f"{here.place}/dvc.yaml", stages)
    if luck.random() < 0.7:
        here.repro()
    perhaps_commit(world, luck)


def move(world: World, luck: Random) -> None:
    """The folder of the pipeline gets another name."""
    here = world.here
    here.commit("before the move")
    old = here.place
    if not old:
        return
    new = next(each for each in PLACES if each not in ("", old))
    if (here.root / new).exists():
        return
    (here.root / old).rename(here.root / new)
    if luck.random() < 0.7:
        here.repro()
    perhaps_commit(world, luck, 0.8)


def sync(world: World, luck: Random) -> None:
    rev = luck.choice((None, "HEAD", luck.choice(world.here.commits)))
    world.sync(rev)
    if luck.random() < 0.2:
        world.sync(luck.choice(world.here.commits))


def wipe(world: World, luck: Random) -> None:
    world.wipe()


STEPS: dict[str, tuple[Step, float]] = {
    "work": (work, 5),
    "repro": (repro, 1),
    "forced": (forced, 2),
    "meddled": (meddled, 3),
    "dvc commit": (dvc_commit, 1.5),
    "commit": (commit, 1),
    "experiment": (experiment, 1.5),
    "branch": (branch, 1),
    "merge": (merge, 1),
    "back": (back, 1),
    "rename stage": (rename_stage, 0.7),
    "move": (move, 0.5),
    "sync": (sync, 3),
    "wipe": (wipe, 0.7),
}
