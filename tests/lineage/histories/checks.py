"""What the verbs answer, held against what the oracle reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.project import Project
from lineage.tracking.facts import VersionNode
from lineage.verbs.checkout import checkout
from lineage.verbs.impact import impact
from lineage.verbs.log import log
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.lineage.histories.oracle import Entry, Git, Revision, Run, Store, Truth, Version
from tests.lineage.histories.process import folder, md5
from tests.lineage.histories.world import World

OF_STAGES = ("not run", "unrecorded", "accepted", "changed while running")
PROVENANCE = (
    "dvc.hash", "dvc.data", "dvc.signature", "dvc.run", "git.commit", "git.repository", "git.root",
    "lineage.status",
)  # fmt: skip


class WrongError(AssertionError):
    """An answer that is not the oracle's."""


def same(what: str, found: Any, expected: Any) -> None:
    """Tell where they differ; of long lists, only what they do not share."""
    if found != expected:
        if isinstance(found, list) and isinstance(expected, list):
            both = [each for each in found if each in expected]
            found = [each for each in found if each not in both]
            expected = [each for each in expected if each not in both]
        raise WrongError(f"{what}:\n  found    {found}\n  expected {expected}")


def check_runs(world: World, before: Store, after: Store) -> None:
    """Each stage that ran left the run of just what it read and wrote."""
    rows = {run.id: run for run in after.runs}
    known = {run.id for run in before.runs}
    ran = {each.run_id for each in world.happened}
    same(
        "runs of stages",
        {run.id for run in after.runs if run.id not in known and not run.is_backfilled},
        ran,
    )
    for each in world.happened:
        run = rows[each.run_id]
        what = f"run of {each.kind} ({each.meddling or 'undisturbed'})"
        status = {"fails": "FAILED", "interrupted": "KILLED"}.get(each.meddling, "FINISHED")
        same(f"status of {what}", run.status, status)
        same(f"dependencies of {what}", run.read, each.read)
        if status == "FINISHED":
            same(f"outputs of {what}", run.wrote, each.wrote)
            same(
                f"whether it changed, {what}",
                not run.is_sound,
                each.meddling in ("before", "inside"),
            )


def check_others(world: World, before: Store, after: Store) -> None:
    """Nothing of the other repository moves."""
    root = Git(world.other.root).repository

    def its(store: Store) -> list[Any]:
        return [
            (each.tags, getattr(each, "status", ""))
            for each in (*store.runs, *store.versions)
            if each.tags.get("git.root", "") in root
        ]

    same("the other repository", its(after), its(before))


def check_versions(world: World, truth: Truth, before: Store) -> None:
    """What a version was made of is written once; the newest revision has the last word."""
    earlier = {version.id: version for version in before.versions}
    for version in truth.store.versions:
        what = f"{version.id} of"
        if version.id in earlier:
            of_old = earlier[version.id].tags
            for name in PROVENANCE:
                if name in of_old:
                    same(f"{what} {name}", version.tags.get(name), of_old[name])
    said: dict[tuple[str, str], Any] = {}
    measured: dict[tuple[str, str, str], Any] = {}
    newest = None
    for each in sorted(world.said, key=lambda each: (each.time, each.order)):
        key = each.repository, each.registration["model_digest"]
        said[key] = newest = each
        measured[*key, each.registration["evaluation_digest"]] = each
    roots = {Git(each.root).repository: each.name for each in world.repositories}
    keys = {
        version.id: (
            next(
                name for repository, name in roots.items() if version.tags["git.root"] in repository
            ),
            version.tags["dvc.hash"],
        )
        for version in truth.store.versions
    }
    same("versions", sorted(keys.values()), sorted(said))
    for version in truth.store.versions:
        if version.id not in earlier and truth.is_ours(version.tags):
            paths = [
                each.registration["model_path"]
                for each in world.said
                if (each.repository, each.registration["model_digest"]) == keys[version.id]
            ]
            _check_provenance(truth, version, paths[0])
    for version in truth.store.versions:
        key = keys[version.id]
        word = said[key].registration
        same(f"verdict of {version.id}", version.tags["verdict"], word["verdict"])
        same(
            f"evaluation of {version.id}", version.tags["dvc.evaluation"], word["evaluation_digest"]
        )
        same(
            f"metrics of {version.id}",
            {
                name: json.loads(value)
                for name, value in version.tags.items()
                if name.startswith("evaluation.")
            },
            {
                f"evaluation.{digest}": each.registration["metrics"]
                for (*of, digest), each in measured.items()
                if tuple(of) == key
            },
        )
        is_candidate = key == (newest.repository, newest.registration["model_digest"])
        same(f"candidate, {version.id}", "candidate" in version.aliases, is_candidate)


def _check_provenance(truth: Truth, version: Version, path: str) -> None:
    """Of a new version: the oldest run of this repository that made it."""
    digest = version.tags["dvc.hash"]
    made = [
        run
        for run in truth.store.runs
        if run.status == "FINISHED" and digest in run.wrote.values() and truth.is_ours(run.tags)
    ]
    if not made:
        same(f"run of {version.id}", version.tags.get("dvc.run"), None)
        return

    def rank(run: Run) -> tuple[bool, int, bool]:
        return not run.is_sound, run.start, run.wrote.get(path) != digest

    oldest = min(made, key=rank)
    same(f"run of {version.id}", version.tags.get("dvc.run"), oldest.id)
    same(f"commit of {version.id}", version.tags.get("git.commit"), oldest.tags.get("git.commit"))
    same(
        f"status of {version.id}",
        version.tags["lineage.status"],
        "recorded" if oldest.is_sound else "changed while running",
    )
    data = {path: hash_ for path, hash_ in oldest.read.items() if not path.endswith(".code")}
    same(f"data of {version.id}", json.loads(version.tags["dvc.data"]), data)


def check_verify(project: Project, truth: Truth, revision: Revision) -> None:
    found = verify(project, revision.id or None)
    breaks = {
        (each.check.value, each.subject) for each in found.breaks if each.check.value in OF_STAGES
    }
    same(f"verify {revision.id[:8]}", breaks, truth.subjects_to_break(revision))


def check_log(project: Project, truth: Truth) -> None:
    found = {
        (each.item.path, each.item.hash): (
            each.commit.id,
            frozenset(each.names) - {"workspace"},
            each.runs,
        )
        for each in log(project).versions
    }
    same("log", found, truth.dataset_versions())


def check_impact(project: Project, truth: Truth, ref: str, root: tuple[str, str]) -> None:
    graph = impact(project, ref)
    data, runs, versions = truth.reached(root)
    check_shown_runs(truth, graph, f"impact {ref}")
    same(f"data of impact {ref}", _data(graph), data)
    same(f"versions of impact {ref}", _versions(graph), versions)
    shown = {
        run.id for node in _executions(graph) for run in (node.run, *node.confirmations) if run
    }
    # An entry stands on such a run, which read other bytes than the entry says.
    unsure = {
        run
        for revision in truth.git.all
        for entry in revision.entries
        if {digest for _, digest in data} & set(entry.read.values())
        for run in truth.resolve(entry)[1]
    }
    if not shown <= runs | unsure:
        raise WrongError(f"runs of impact {ref}: {shown - runs - unsure} too many")
    # One under which something changed is not shown beside one that is sound.
    missing = [run for run in truth.store.runs if run.id in runs - shown and run.is_sound]
    ours = [run.id for run in missing if truth.is_ours(run.tags)]
    same(f"runs missing from impact {ref}", ours, [])


def _data(graph: Graph) -> set[tuple[str, str]]:
    return {(each.path, each.hash) for each in graph.nodes.values() if isinstance(each, DataNode)}


def _versions(graph: Graph) -> set[str]:
    return {each.id for each in graph.nodes.values() if isinstance(each, VersionNode)}


def _executions(graph: Graph) -> list[ExecutionNode]:
    return [each for each in graph.nodes.values() if isinstance(each, ExecutionNode)]


def check_shown_runs(truth: Truth, graph: Graph, what: str) -> None:
    """Of several runs of an execution the oldest of this repository is shown first."""
    rows = {run.id: run for run in truth.store.runs}
    for node in _executions(graph):
        shown = [rows[each] for each in _runs(node)]
        ours = [run for run in shown if truth.is_ours(run.tags)]
        if ours:
            oldest = min(ours, key=lambda run: (run.start, run.id))
            same(f"{what}: first run of {node.execution.stage}", node.run_id, oldest.id)


def check_trace_of_revision(project: Project, truth: Truth, revision: Revision) -> None:
    """The stages of a revision, each with its run and status, and no other."""
    graph = trace(project, revision.id)
    found = {}
    for root in graph.roots:
        node = graph.nodes[root]
        if isinstance(node, ExecutionNode):
            found[str(node.execution.stage)] = node.status and node.status.value, _runs(node)
    expected = {}
    for entry in revision.entries:
        status, ids = truth.resolve(entry)
        expected[entry.subject] = (status, ids)
    same(f"trace {revision.id[:8]}", found, expected)
    check_upstream(truth, graph, revision, f"trace {revision.id[:8]}")


def check_upstream(truth: Truth, graph: Graph, revision: Revision | None, what: str) -> None:
    """Each execution stands on all data that it read, and each of those on one that wrote it."""
    check_shown_runs(truth, graph, what)
    executions = truth.executions()
    for node in _executions(graph):
        read = {
            (path, digest)
            for path, digest in node.execution.deps.items()
            if not path.endswith(".code")
        }
        above = {_pair(graph, each) for each in graph.upstream(node.id)}
        same(f"{what}: read by {node.execution.stage}", above, read)
    for node in graph.nodes.values():
        if not isinstance(node, DataNode):
            continue
        pair = (node.path, node.hash)
        above = [graph.nodes[each] for each in graph.upstream(node.id)]
        writers = [each.execution for each in above if isinstance(each, ExecutionNode)]
        is_made = any(wrote.get(node.path) == node.hash for _, wrote, _ in executions)
        same(f"{what}: how many wrote {pair}", len(writers), int(is_made))
        if not writers:
            continue
        same(f"{what}: writes {pair}", writers[0].outs.get(node.path), node.hash)
        entry = revision.writer(pair) if revision else None
        if entry:
            same(f"{what}: what wrote {pair}", dict(writers[0].deps), entry.read)
            continue
        readers = [graph.nodes[each] for each in graph.downstream(node.id)]
        beside = [
            writer.read
            for reader in readers
            if isinstance(reader, ExecutionNode)
            for each in truth.git.all
            if any(_is(reader, entry) for entry in each.entries)
            for writer in [each.writer(pair)]
            if writer
        ]
        if dict(writers[0].deps) in beside:
            continue
        if beside and not revision:
            raise WrongError(f"{what}: {pair} is not of who wrote it in the same lock")
        oldest = next(
            (
                run.id
                for run in truth.store.runs
                if run.wrote.get(node.path) == node.hash
                and run.status == "FINISHED"
                and run.is_sound
                and truth.is_ours(run.tags)
            ),
            None,
        )
        (made,) = above
        assert isinstance(made, ExecutionNode)
        if oldest:
            same(f"{what}: the oldest that wrote {pair}", oldest in _runs(made), True)


def _is(node: ExecutionNode, entry: Entry) -> bool:
    """Whether a lock's entry is what a node shows."""
    values = [
        str(value)
        for sections in json.loads(entry.given.params).values()
        for section in sections.values()
        for value in section.values()
    ]
    return (
        str(node.execution.stage) == entry.subject
        and json.dumps(node.command) == entry.given.command
        and sorted(node.params.values()) == sorted(values)
        and dict(node.execution.deps) == entry.read
        and dict(node.execution.outs) == entry.wrote
    )


def _runs(node: ExecutionNode) -> list[str]:
    return [run.id for run in (node.run, *node.confirmations) if run]


def _pair(graph: Graph, node: str) -> tuple[str, str]:
    data = graph.nodes[node]
    assert isinstance(data, DataNode)
    return data.path, data.hash


def check_trace_of_version(project: Project, truth: Truth, version: Version) -> None:
    graph = trace(project, version.id)
    check_upstream(truth, graph, None, f"trace {version.id}")
    runs = {run.id: run for run in truth.store.runs}
    made = runs.get(version.tags.get("dvc.run", ""))
    if made:
        (files,) = [graph.nodes[each] for each in graph.upstream(version.id)]
        (maker,) = [graph.nodes[each] for each in graph.upstream(files.id)]
        assert isinstance(maker, ExecutionNode)
        same(f"maker of {version.id}", made.id in _runs(maker), True)


def check_sync(world: World, rev: str | None) -> None:
    """It writes down what no run was of, once, and nothing that was changed or accepted."""
    git, before = Git(world.here.root), world.store()
    revision = git.rev(rev) if rev else git.present
    truth = Truth(git, before)
    unrecorded = {
        entry.subject for entry in revision.entries if truth.resolve(entry)[0] == "unrecorded"
    }
    done = world.sync(rev)
    same("sync says", set(done.runs), unrecorded)
    after = world.store()
    truth = Truth(Git(world.here.root), after)
    known = {run.id for run in before.runs}
    entries = [entry for each in truth.git.all for entry in each.entries]
    for run in after.runs:
        if run.id in known:
            continue
        same("a run that sync wrote", (run.is_backfilled, run.status), (True, "FINISHED"))
        of = [each for each in entries if each.given == run.given and each.wrote == run.wrote]
        same("whether sync wrote an entry down", bool(of), True)
        commits = [each for each in truth.git.revisions if of[0] in each.entries]
        if commits:
            same("commit of what sync wrote", run.tags["git.commit"], commits[0].id)
    for entry in revision.entries:
        status, _ = truth.resolve(entry)
        same(f"{entry.subject} after sync", status != "unrecorded", True)
    with folder(world.here.root):
        again = sync(world.project(), rev)
    same("the second sync", again.runs, ())
    same("the second sync", _dump(world.store()), _dump(after))


def _dump(store: Store) -> list[Mapping[str, str]]:
    """What the store holds but for the moment at which a working tree said something."""
    return [
        {name: value for name, value in each.tags.items() if name != "dvc.said"}
        for each in (*store.runs, *store.versions)
    ]


def check_checkout(project: Project, ref: str, digest: str, place: Path) -> None:
    checkout(project, ref, place)
    same(f"checkout {ref}", md5(place), digest)


def check_answers(world: World, luck: Random) -> None:
    """Ask about the working tree, about everything, and about some of the rest."""
    with folder(world.here.root):
        truth = Truth(Git(world.here.root), world.store())
        project = world.project()
        check_verify(project, truth, truth.git.present)
        check_log(project, truth)
        revision = luck.choice(truth.git.revisions)
        check_trace_of_revision(project, truth, revision)
        revision = luck.choice(truth.git.revisions)
        if luck.random() < 0.3:
            check_verify(project, truth, revision)
        ours = [each for each in truth.store.versions if truth.is_ours(each.tags)]
        for version in luck.sample(ours, min(1, len(ours))):
            check_trace_of_version(project, truth, version)
        data = [(path, digest) for path, digest, _ in revision.data]
        if data:
            path, digest = luck.choice(data)
            ref = f"{path}@{revision.id}"
            check_impact(project, truth, ref, (path, digest))
            check_checkout(project, ref, digest, world.root / f"out{luck.randrange(10**9)}")
