"""Answers for people hold the text of others as it is, and nothing that a terminal obeys."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lineage import text
from lineage.console import rendered
from lineage.errors import LineageError
from lineage.join.graph import DataNode, ExecutionNode, Graph, GraphBuilder, OriginNode
from lineage.repository.commits import Commit
from lineage.repository.items import Item
from lineage.storage.locate import Whereabouts
from lineage.tracking.facts import VersionNode
from lineage.verbs.checkout import Brought, Placed
from lineage.verbs.diff_answer import Change, DataChange, Difference, Side, StageChange
from lineage.verbs.log import Log, Version
from lineage.verbs.show import Copies, Shown
from lineage.verbs.sync import Synced, SyncedVersion
from lineage.verbs.verify import Verified
from lineage.verbs.verify_break import Break, Check
from lineage.words import visible
from tests.lineage.formats.conftest import execution, run_facts
from tests.lineage.nasty import NASTY


def nodes(name: str) -> tuple[DataNode, ExecutionNode, VersionNode, OriginNode]:
    data = DataNode(name, name, name, 1, 1, (name,))
    run = run_facts(1, experiment=name, metrics={name: 1.0})
    made = execution(name, [data], [], run=run, command=[name], params={name: name})
    version = VersionNode(name, name, name, (name,), name, {name: 1.0}, name, name)
    return data, made, version, OriginNode(name, name, name)


def graph(name: str) -> Graph:
    builder = GraphBuilder()
    return builder.graph([builder.add(node) for node in nodes(name)])


def shown(name: str) -> Shown:
    places = {name: Copies((name,), Whereabouts(True, True, ()), {"models": [name], "runs": 1})}
    return Shown(name, graph(name), facts={name: {name: name}}, places=places)


def log(name: str) -> Log:
    item = Item(name, Path(name), name, name, (), 1, 1)
    commit = Commit("c" * 40, datetime(2026, 1, 1, tzinfo=UTC), (), name, (name,))
    version = Version(item=item, commit=commit, names=(name,), facts={name: 1}, runs=1, models=())
    return Log((version,), 0, ())


def verified(name: str) -> Verified:
    return Verified(
        breaks=(Break(Check.DATA_LOST, name, name),),
        stages=1,
        backfilled=1,
        model_versions=1,
        hashes=1,
        commits=1,
        skipped=(name,),
    )


def difference(name: str) -> Difference:
    data, made, _, _ = nodes(name)
    change, side = Change(name, name, name, name), Side(name, name)
    return Difference(
        side,
        side,
        stages=(StageChange(name, None, made),),
        code=(change,),
        files=(name,),
        commands=(change,),
        params=(change,),
        data=(DataChange(name, name, None, data),),
    )


ANSWERS: dict[str, Callable[[str], RenderableType]] = {
    "trace": lambda name: text.tree(graph(name), upstream=True),
    "show": lambda name: text.show(shown(name)),
    "log": lambda name: text.log(log(name)),
    "verify": lambda name: text.verified(verified(name)),
    "sync": lambda name: text.synced(Synced((name,), (name,), (SyncedVersion(name, name),))),
    "diff": lambda name: text.difference(difference(name)),
    "checkout": lambda name: text.checked_out(Brought((Placed(Path(name), name),), name, ())),
}
"""What each verb shows of a thing that is called so in every way."""


@pytest.mark.parametrize("verb", ANSWERS)
@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_name_is_shown_as_it_is(verb: str, name: str) -> None:
    answer = rendered(ANSWERS[verb](name))
    harmless = rendered(ANSWERS[verb]("name"))
    assert visible(name) in answer
    assert answer.count("\n") == harmless.count("\n")
    assert visible(answer, keep="\n") == answer


@pytest.mark.parametrize("name", NASTY, ids=ascii)
@pytest.mark.parametrize(
    "form",
    [
        str,
        Text,
        lambda name: Text.assemble("x ", name),
        lambda name: Tree(name),
        lambda name: Group(name),
        lambda name: table_of(name),
    ],
    ids=["str", "Text", "assembled", "tree", "group", "table"],
)
def test_what_forgot_to_see_to_it_is_harmless_all_the_same(form, name: str) -> None:
    answer = rendered(form(name))
    assert visible(answer, keep="\n") == answer
    if name.isprintable() and name.isascii():
        assert name in answer


def table_of(name: str) -> Table:
    table = Table(box=None)
    table.add_column(name)
    table.add_row(name)
    return table


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_sentence_is_one_line_and_obeyed_by_nothing(name: str) -> None:
    said = str(LineageError(f"{name} is not there."))
    assert said == f"{visible(name)} is not there."
    assert said.isprintable()
