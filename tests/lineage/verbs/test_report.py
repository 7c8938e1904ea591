"""The Markdown for a pull request, against what git, YAML and the MLflow client say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mlflow import MlflowClient
from mlflow.entities import Metric

from lineage.errors import LineageError
from lineage.formats import mermaid
from lineage.project import Project
from lineage.verbs.report import report
from tests.lineage import conftest
from tests.lineage.conftest import hashes
from tests.lineage.verbs.branches import NOTE, Story, outs, raw, repeated


@pytest.fixture
def project(story: Story) -> Project:
    """The history, as who asks about it finds it."""
    return Project.find(story.project.root)


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> conftest.Project:
    return story.copy(tmp_path)


def of(copy: conftest.Project, *arguments: str, **more: str) -> str:
    return report(Project.find(copy.root), *arguments, **more)


# Markdown, read by a parser.


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt().enable("table").parse(markdown)


def text(inline: Token) -> str:
    return "".join(each.content for each in inline.children or [])


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """Heading -> the rows below it, as text."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    tokens = parsed(markdown)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            heading = text(following)
        if token.type == "tr_open":
            found.setdefault(heading, []).append([])
        if token.type == "td_open":
            found[heading][-1].append(text(following))
    return {heading: [row for row in rows if row] for heading, rows in found.items()}


def happened(markdown: str) -> dict[str, str]:
    """Stage -> what happened."""
    return {row[0]: row[1] for row in tables(markdown)["Stages"]}


def charts(markdown: str) -> list[str]:
    return [token.content for token in parsed(markdown) if token.info == "mermaid"]


def commit(project: conftest.Project, rev: str) -> str:
    return project.run("git", "rev-parse", f"{rev}^{{commit}}").stdout.strip()


def when(project: conftest.Project, stage: str, number: int) -> str:
    """The start of a run as the MLflow client has it."""
    started = project.runs(stage)[number].info.start_time / 1000
    return f"{datetime.fromtimestamp(started, UTC):%Y-%m-%d %H:%M} UTC"


# What it says.


def test_a_branch_against_where_it_left_main(story: Story, project: Project) -> None:
    told, said = story.project, report(project, "more")
    left = commit(told, "v2")[:8]
    assert said.startswith(
        f"## Lineage of `more` (`{commit(told, 'more')[:8]}`)\n\n"
        "**2 stages ran, 1 reused; `data/raw.csv` and `data/train` changed;"
        " `AP` went from 1 to 1.25 (+0.25).**\n\n"
        f"Compared with `{left}`, where it left `main`.\n\n"
    )
    found = tables(said)
    runs = {stage: told.runs(stage)[-1].info.run_id[:8] for stage in ("split", "look", "fit")}
    assert {row[0]: row[2] for row in found["Stages"]} == runs
    assert happened(said) == {
        "split": f"ran {when(told, 'split', -1)} at commit {left} with uncommitted changes",
        "look": f"unchanged, reused from the run of {when(told, 'look', 0)}"
        " with uncommitted changes",
        "fit": f"ran {when(told, 'fit', -1)} at commit {left} with uncommitted changes",
    }
    signature = told.runs("fit")[-1].data.tags["dvc.signature"]
    assert found["Stages"][-1][3] == signature[:8]

    before, after = ({**outs(told, rev), "data/raw.csv": raw(told, rev)} for rev in ("v2", "more"))

    def change(path: str) -> str:
        return f"{before[path][:8]} → {after[path][:8]}"

    assert sorted(found["Data"]) == [
        ["data/raw.csv", "dataset", change("data/raw.csv"), "1", "11 → 13 (+2)", "rows 6 → 7 (+1)"],
        ["data/train", "dataset", change("data/train"), "1", "7 → 9 (+2)", "rows 4 → 5 (+1)"],
        ["models/m", "model", change("models/m"), "1", "6", ""],
    ]
    deps = [hashes(told.lock(rev=rev)["fit"]["deps"])["fit.py"][:8] for rev in ("v2", "more")]
    assert found["Code"] == [["fit", "fit.py", *deps]]
    assert found["Metrics"] == [["fit", "AP", "1", "1.25", "+0.25"]]
    assert found["Model versions"][0][0] == "models/m is not registered"
    assert "Warnings" not in said


def test_the_tip_of_main_against_its_parent(story: Story, project: Project) -> None:
    told, said = story.project, report(project)
    assert said.startswith("## Lineage of `main` (")
    assert "**1 stage ran, 2 reused; no dataset changed; `AP` went from 0.5 to 1 (+0.5).**" in said
    assert f"Compared with its parent `{commit(told, 'v1')[:8]}`." in said
    assert tables(said)["Params"] == [["fit", "fit.rate", "0.125", "0.25"]]
    model = outs(told, "main")["models/m"]
    assert tables(said)["Model versions"] == [
        ["models:/detector/1", "accepted", "@champion", model[:8], "AP 1, AR 0.25"]
    ]
    chart = charts(said)[0]
    for name in ("data/raw", "data/train", "models/m", "split", "fit", "detector version 1"):
        assert name in chart
    assert report(project, "main") == said


def test_what_the_run_cache_restored_is_reused_from_its_run(story: Story, project: Project) -> None:
    said = report(project, "back")
    first = story.project.runs("fit")[0].info.run_id
    assert "**No stage ran, 3 reused; no dataset changed;" in said
    row = tables(said)["Stages"][-1]
    assert row[1].startswith(f"reused from the run of {when(story.project, 'fit', 0)}")
    assert row[2] == first[:8]


def test_a_commit_that_changes_nothing_still_has_its_whole_lineage(copy: conftest.Project) -> None:
    copy.commit("nothing")
    said = of(copy)
    assert "**No stage ran, 3 reused; no dataset changed; no metric changed.**" in said
    assert set(tables(said)) == {"Stages", "Model versions"}
    assert [row[2] for row in tables(said)["Stages"]] == [
        copy.runs(stage)[number].info.run_id[:8]
        for stage, number in (("split", 0), ("look", 0), ("fit", 1))
    ]
    assert "models:/detector/1" in tables(said)["Model versions"][0][0]
    assert "data/train" in charts(said)[0]


def test_a_time_tells_what_ran(story: Story, project: Project) -> None:
    began = story.project.runs("split")[-1].info.start_time / 1000
    since = datetime.fromtimestamp(began, UTC)
    said = happened(report(project, "more", since=since))
    assert [words.split()[0] for words in said.values()] == ["ran", "unchanged,", "ran"]
    said = happened(report(project, "more", since=datetime.now(UTC) + timedelta(hours=1)))
    assert [words.split()[0] for words in said.values()] == ["reused", "unchanged,", "reused"]


def test_what_ran_again_to_the_same_result_did_run(copy: conftest.Project) -> None:
    again = repeated(copy, copy.runs("look")[0].info.run_id, {})
    since = datetime.fromtimestamp(copy.client.get_run(again).info.start_time / 1000, UTC)
    said = report(Project.find(copy.root), "main", since=since)
    look = next(row for row in tables(said)["Stages"] if row[0] == "look")
    assert look[1].startswith("ran again, to the same result ")
    assert look[2] == again[:8]
    # Without a time, the base has it, and that is all that can be told.
    assert happened(of(copy, "main"))["look"].startswith("unchanged")


@pytest.mark.parametrize(
    ("ran_on", "word"), [("more", "reused"), ("rebased", "ran"), ("v1", "reused"), ("v2", "ran")]
)
def test_a_run_belongs_to_the_branch_whose_commits_it_ran_on(
    copy: conftest.Project, ran_on: str, word: str
) -> None:
    copy.run("git", "switch", "--quiet", "--create", "same", "v2")
    copy.run("git", "checkout", "--quiet", "more", "--", "dvc.lock", "params.yaml", "fit.py")
    copy.commit("the same as on more")
    if ran_on == "rebased":
        tree = copy.run("git", "rev-parse", "more^{tree}").stdout.strip()
        ran_at = copy.run("git", "commit-tree", "-m", "once", "-p", "v2", tree).stdout.strip()
    else:
        ran_at = commit(copy, ran_on)
    copy.client.set_tag(copy.runs("fit")[-1].info.run_id, "git.commit", ran_at)
    assert happened(of(copy, "same"))["fit"].split()[0] == word


def test_the_working_tree_before_it_is_committed(copy: conftest.Project) -> None:
    for path in ("dvc.lock", "params.yaml", "data/raw.csv.dvc", "fit.py"):
        copy.write(path, copy.run("git", "show", f"more:{path}").stdout)
    said = of(copy)
    assert said.startswith("## Lineage of the working tree\n")
    assert f"Compared with `{commit(copy, 'main')[:8]}`, where it left `main`." in said
    committed = of(copy, "more")
    found = tables(said)
    expected = tables(committed)
    assert sorted(found.pop("Data")) == sorted(expected.pop("Data"))
    assert found == expected


def test_the_first_commit_has_nothing_to_be_compared_with(story: Story, project: Project) -> None:
    said = report(project, "v1")
    assert "**3 stages recorded.**\n\nCompared with nothing: no commit came before.\n" in said
    assert set(tables(said)) == {"Stages", "Model versions"}
    assert happened(said)["fit"].startswith(f"made by the run of {when(story.project, 'fit', 0)}")


def test_a_repository_without_any_commit(new_project: Callable[[], conftest.Project]) -> None:
    said = of(new_project())
    assert said.startswith("## Lineage of the working tree\n\n**No stage was ever run.**\n")
    assert "Compared with nothing" in said


def test_a_shallow_clone_says_what_it_lacks(story: Story, tmp_path: Path) -> None:
    clone = story.project.clone(tmp_path / "clone", "--depth", "1")
    said = of(clone)
    assert "this clone is shallow, and lacks the commit to compare with" in said
    assert "`git fetch --unshallow`" in said.partition("### Warnings")[2]
    assert len(tables(said)["Stages"]) == 3


def test_the_default_branch_is_that_of_origin(story: Story, tmp_path: Path) -> None:
    clone = story.project.clone(tmp_path / "clone")
    left = commit(story.project, "v2")[:8]
    assert f"`{left}`, where it left `origin/main`." in of(clone, "origin/more")
    clone.run("git", "remote", "set-head", "origin", "back")
    assert f"`{left}`, where it left `origin/back`." in of(clone, "origin/more")


def test_without_a_known_branch_the_base_must_be_named(copy: conftest.Project) -> None:
    copy.run("git", "branch", "--move", "main", "trunk")
    assert "neither origin/HEAD nor a branch main or master is here" in of(copy, "more")
    assert "where it left `trunk`" in of(copy, "more", base="trunk")


def test_a_base_is_a_branch_or_exactly_that_revision(story: Story, project: Project) -> None:
    first, left = (commit(story.project, rev)[:8] for rev in ("v1", "v2"))
    said = report(project, "more", base="v1")
    assert f"Compared with `v1` (`{first}`)." in said
    assert ["fit", "fit.rate", "0.125", "0.25"] in tables(said)["Params"]
    assert f"Compared with `{left}`, where it left `back`." in report(project, "more", base="back")
    said = report(project, "back", base="more~1")
    assert f"Compared with `more~1` (`{left}`)." in said


def test_histories_without_a_common_commit(copy: conftest.Project) -> None:
    tree = copy.run("git", "rev-parse", "more^{tree}").stdout.strip()
    root = copy.run("git", "commit-tree", "-m", "alone", tree).stdout.strip()
    child = copy.run("git", "commit-tree", "-m", "child", "-p", root, tree).stdout.strip()
    assert "it has no commit in common with `main`" in of(copy, child)


def test_what_is_no_revision_is_refused(project: Project) -> None:
    with pytest.raises(LineageError, match="nowhere is no git revision of this clone"):
        report(project, "nowhere")
    with pytest.raises(LineageError, match="nothing is no git revision of this clone"):
        report(project, "more", base="nothing")


# Doubts.


def test_a_stage_without_a_run_is_unrecorded(copy: conftest.Project) -> None:
    copy.client.delete_run(copy.runs("fit")[-1].info.run_id)
    said = of(copy, "more")
    assert "**1 stage ran, 1 reused, 1 unrecorded;" in said
    assert "; no metric is known to have changed.**" in said
    assert happened(said)["fit"] == "unrecorded: this tracking store has no run of it"
    assert "- The stage `fit` is unrecorded: `lineage sync`" in said.partition("### Warnings")[2]


def test_outputs_that_were_committed_by_hand_are_accepted(copy: conftest.Project) -> None:
    (copy.root / "models/m/weights").unlink()
    copy.write("models/m/weights", "by hand")
    copy.run("dvc", "commit", "--force", "--quiet", "fit")
    said = of(copy)
    assert "## Lineage of the working tree" in said
    assert "1 accepted" in said
    assert happened(said)["fit"] == "accepted with dvc commit: no run made these outputs"


def test_a_run_that_was_written_down_later_did_not_run(copy: conftest.Project) -> None:
    run = copy.runs("fit")[-1]
    copy.client.set_tag(run.info.run_id, "lineage.backfilled", "true")
    since = datetime.fromtimestamp(run.info.start_time / 1000, UTC) - timedelta(minutes=1)
    for said in (of(copy, "more"), report(Project.find(copy.root), "more", since=since)):
        assert happened(said)["fit"].startswith("backfilled: ")
        assert "1 backfilled" in said


def test_a_stage_that_changed_while_running_says_so(copy: conftest.Project) -> None:
    run = copy.runs("fit")[-1]
    copy.client.set_tag(run.info.run_id, "dvc.changed", "{}")
    said = of(copy, "more")
    assert happened(said)["fit"].endswith("; changed while running")
    assert "The stage `fit` changed while running" in said.partition("### Warnings")[2]


def test_a_stage_that_is_gone_was_removed(copy: conftest.Project) -> None:
    copy.run("git", "switch", "--quiet", "--create", "less")
    pipeline = (copy.root / "dvc.yaml").read_text()
    start, end = pipeline.index("  look:"), pipeline.index("  fit:")
    copy.write("dvc.yaml", pipeline[:start] + pipeline[end:])
    copy.commit("without look")
    said = of(copy)
    assert happened(said)["look"] == "removed"
    removed = next(row for row in tables(said)["Data"] if row[0] == "reports/look.txt")
    assert removed[2].startswith("removed ")


# Form.


def test_no_name_or_value_means_anything_to_markdown_or_html(project: Project) -> None:
    said = report(project, "more")
    shown = NOTE.replace("\n", r"\n")
    assert tables(said)["Params"] == [["fit", "fit.note", "plain", shown]]
    tokens = parsed(said)
    html = [token.content for token in tokens if token.type == "html_block"]
    assert [each.partition(">")[0] for each in html] == ["<details", "</details"]
    inline = [child.type for token in tokens for child in token.children or []]
    assert "html_inline" not in inline


def test_of_a_long_table_the_rest_is_folded(copy: conftest.Project) -> None:
    metrics = [Metric(f"m{number:02}", 1 / 3, 0, 0) for number in range(40)]
    copy.client.log_batch(copy.runs("fit")[-1].info.run_id, metrics)
    said = of(copy, "more")
    assert "<details><summary>16 more</summary>" in said
    named = [row[1] for row in tables(said)["Metrics"]]
    assert named == ["AP", *(f"m{number:02}" for number in range(40))]
    assert "`data/train` changed; 41 metrics changed" in said


def test_a_graph_that_github_would_not_draw_is_left_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mermaid, "MAX_EDGES", 1)
    said = report(project, "more")
    assert not charts(said)
    assert "The graph is too large for GitHub: see `lineage graph more --format html`." in said


def test_runs_and_versions_of_a_server_are_linked(
    copy: conftest.Project, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(mlflow_server)
    experiment = client.create_experiment("reported")
    made = []
    for stage in ("split", "look", "fit"):
        for run in copy.runs(stage):
            tags = {key: run.data.tags[key] for key in run.data.tags if "mlflow" not in key}
            made.append(client.create_run(experiment, tags=tags).info.run_id)
            client.set_terminated(made[-1], "FINISHED")
    client.create_registered_model("a model")
    tags = {"dvc.hash": outs(copy, "main")["models/m"]}
    client.create_model_version("a model", f"runs:/{made[-1]}/m", run_id=made[-1], tags=tags)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{mlflow_server}/")
    said = of(copy, "main")
    links = [
        child.attrs["href"]
        for token in parsed(said)
        for child in token.children or []
        if child.type == "link_open"
    ]
    assert links[0] == f"{mlflow_server}/#/experiments/{experiment}/runs/{made[0]}"
    assert links[-1] == f"{mlflow_server}/#/models/a%20model/versions/1"
    assert len(links) == 4
