"""Which version an alias was on, against what MLflow's client did and when."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lineage.cli import main
from lineage.errors import LineageError
from lineage.project import Project as Asked
from lineage.recording.promotion import promote
from lineage.tracking.promotions import Promotion, write_down
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from lineage.verbs.when import Tenure, when
from tests.lineage.verbs.branches import Story

REF = "models:/detector@champion"
START = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def told(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the story, with three versions."""
    root = story.copy(tmp_path_factory.mktemp("told")).root
    client = Asked.find(root).client
    while len(client.search_model_versions("name = 'detector'")) < 3:
        client.copy_model_version("models:/detector/1", "detector")
    return root


@pytest.fixture
def asked(told: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The same, where the process is, without aliases and promotions."""
    monkeypatch.chdir(told)
    asked = Asked.find()
    model = asked.client.get_registered_model("detector")
    for alias in model.aliases:
        asked.client.delete_registered_model_alias("detector", alias)
    for key in model.tags:
        asked.client.delete_registered_model_tag("detector", key)
    asked.client.set_registered_model_alias("detector", "candidate", "1")
    return asked


def on(day: int, version: str, before: str, why: str = "better") -> Promotion:
    return Promotion(START + timedelta(days=day), "champion", version, before, "somebody", why)


def rows(tenures: tuple[Tenure, ...]) -> list[tuple]:
    """Number, first and last day, and whether it was promoted."""
    return [
        (
            each.version.rpartition("/")[2],
            *((at - START).days if at else None for at in (each.since, each.until)),
            each.promotion is not None,
        )
        for each in tenures
    ]


def written(asked: Asked, *promotions: Promotion, now: str) -> None:
    """Write these down, in any order, and let the alias be there now."""
    for each in reversed(promotions):
        write_down(asked.client, "detector", each)
    if now:
        asked.client.set_registered_model_alias("detector", "champion", now)


def test_the_history_of_an_alias(asked: Asked) -> None:
    written(asked, on(0, "1", ""), on(2, "2", "1"), on(4, "1", "2"), now="1")
    found = when(asked, REF)
    assert rows(found.tenures) == [
        ("1", 0, 2, True),
        ("2", 2, 4, True),
        ("1", 4, None, True),
    ]
    assert [each.is_present for each in found.tenures] == [False, False, True]
    version = asked.client.get_model_version("detector", "1")
    assert found.tenures[0].hash == version.tags["dvc.hash"]
    assert found.tenures[0].promotion == on(0, "1", "")


@pytest.mark.parametrize(
    ("at", "versions"),
    [
        ("2026-01-09", []),
        ("2026-01-10T11:59:59+00:00", []),
        ("2026-01-10T12:00:00+00:00", ["1"]),
        ("2026-01-11T00:00:00+00:00", ["1"]),
        ("2026-01-12T12:00:00+00:00", ["2"]),
        ("2026-01-12T11:00:00-01:00", ["2"]),
        ("2026-01-13T00:00+00:00", ["2"]),
        ("2030-01-01", ["1"]),
    ],
)
def test_at_a_time(asked: Asked, at: str, versions: list[str]) -> None:
    written(asked, on(0, "1", ""), on(2, "2", "1"), on(4, "1", "2"), now="1")
    assert [each[0] for each in rows(when(asked, REF, at=at).tenures)] == versions


def test_a_day_is_all_of_it(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    written(asked, on(0, "1", ""), on(2, "2", "1"), now="2")
    for at, versions in (
        ("2026-01-09", []),
        ("2026-01-10", ["1"]),
        ("2026-01-12", ["1", "2"]),
        ("2026-01-13", ["2"]),
    ):
        assert [each[0] for each in rows(when(asked, REF, at=at).tenures)] == versions


def test_what_was_moved_by_hand_in_between_is_told(asked: Asked) -> None:
    written(asked, on(0, "1", ""), on(4, "3", "2"), now="3")
    found = when(asked, REF)
    assert rows(found.tenures) == [("1", 0, 4, True), ("2", 0, 4, False), ("3", 4, None, True)]
    # Nobody knows which of the two it was then.
    at = (START + timedelta(days=1)).isoformat()
    assert [each[0] for each in rows(when(asked, REF, at=at).tenures)] == ["1", "2"]


def test_what_was_there_before_the_first_promotion(asked: Asked) -> None:
    written(asked, on(0, "2", "1"), now="2")
    assert rows(when(asked, REF).tenures) == [("1", None, 0, False), ("2", 0, None, True)]
    assert rows(when(asked, REF, at="2020-01-01").tenures) == [("1", None, 0, False)]


def test_an_alias_that_nobody_promoted(asked: Asked) -> None:
    written(asked, now="2")
    assert rows(when(asked, REF).tenures) == [("2", None, None, False)]


def test_one_that_was_taken_away(asked: Asked) -> None:
    written(asked, on(0, "1", ""), now="")
    found = when(asked, REF)
    assert [each.version for each in found.tenures] == ["models:/detector/1", ""]
    assert [each.is_present for each in found.tenures] == [False, True]


def test_promoting_moves_the_alias_and_is_the_last_of_its_history(asked: Asked) -> None:
    before = datetime.now(UTC)
    for version, why in (("1", "the first"), ("3", "better")):
        promote(asked, "detector", version, why=why, data="d", metrics={version: {"AP": 0.5}})
        assert asked.client.get_model_version_by_alias("detector", "champion").version in (
            version,
            int(version),
        )
    tenures = when(asked, REF).tenures
    assert [(each.promotion.version, each.promotion.why) for each in tenures if each.promotion] == [
        ("1", "the first"),
        ("3", "better"),
    ]
    assert before <= tenures[0].since <= tenures[1].since <= datetime.now(UTC)
    assert tenures[1].promotion.metrics == {"3": {"AP": 0.5}}


def test_another_alias_has_a_history_of_its_own(asked: Asked) -> None:
    written(asked, on(0, "1", ""), replace(on(1, "2", ""), alias="canary"), now="1")
    asked.client.set_registered_model_alias("detector", "canary", "2")
    assert rows(when(asked, REF).tenures) == [("1", 0, None, True)]
    assert rows(when(asked, "models:/detector@canary").tenures) == [("2", 1, None, True)]


def moved(asked: Asked) -> list[str]:
    """The aliases that verify finds moved by hand, each with a sentence that names it."""
    breaks = [each for each in verify(asked).breaks if each.check is Check.MOVED]
    assert all(each.subject in each.sentence for each in breaks)
    return [each.subject for each in breaks]


def test_verify_tells_what_was_moved_by_hand_until_somebody_says_why(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(asked, "detector", "1", why="the first")
    assert moved(asked) == []
    asked.client.set_registered_model_alias("detector", "champion", "2")
    assert moved(asked) == [REF]
    (found,) = [each for each in verify(asked).breaks if each.check is Check.MOVED]
    assert f"{REF} is version 2, and was given to version 1 at " in found.sentence
    command = found.sentence.partition("`")[2].partition("`")[0]
    assert command == f'lineage when {REF} --because "…"'
    assert main(["when", REF, "--because", "it forgot bicycles", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["written"]["why"] == "it forgot bicycles"
    assert moved(Asked.find()) == []
    assert [each[0] for each in rows(when(asked, REF).tenures)] == ["1", "2", "2"]
    assert [each.promotion is None for each in when(asked, REF).tenures] == [False, True, False]
    # Said once, it is said.
    assert when(asked, REF, because="again").written is None
    assert len(when(asked, REF).tenures) == 3


def test_verify_tells_of_an_alias_that_was_taken_away(asked: Asked) -> None:
    promote(asked, "detector", "1", why="the first")
    asked.client.delete_registered_model_alias("detector", "champion")
    (found,) = [each for each in verify(asked).breaks if each.check is Check.MOVED]
    assert f"{REF} is on no version, and was given to version 1" in found.sentence


def test_verify_says_that_it_cannot_check_what_nobody_wrote_down(asked: Asked) -> None:
    asked.client.set_registered_model_alias("detector", "champion", "2")
    assert moved(asked) == []
    (said,) = [each for each in verify(asked).skipped if "champion" in each]
    assert said.startswith("who gave models:/detector/2 the alias champion: nothing was written")


def test_a_promotion_that_is_none_is_passed_over_and_told(asked: Asked) -> None:
    written(asked, on(0, "1", ""), now="1")
    for number, text in enumerate(("{", "[]", '{"alias": "champion"}', '{"at": 5}')):
        asked.client.set_registered_model_tag("detector", f"promotion.x{number}", text)
    whole = {"alias": "champion", "version": "../2", "before": "", "by": "", "why": "", "data": ""}
    text = json.dumps(whole | {"at": START.isoformat(), "metrics": {}})
    asked.client.set_registered_model_tag("detector", "promotion.x9", text)
    found = when(asked, REF)
    assert rows(found.tenures) == [("1", 0, None, True)]
    (warning,) = [each for each in found.warnings if "passed over" in each]
    assert "the registered model detector: its tag promotion.x0" in warning
    assert "and 2 more" in warning


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("models:/detector/1",), "models:/detector/1 is no alias: write models:/name@alias."),
        (("data/train",), "data/train is no alias"),
        (("models:/detector@",), "is no alias"),
        (("models:/nobody@champion",), "no model 'nobody' is registered"),
        (("models:/detector@nothing",), "detector has no such alias and never had; it has @"),
        ((REF, "--at", "yesterday"), "--at yesterday is no time: write it in ISO 8601"),
        ((REF, "--at", "0001-01-01"), "--at 0001-01-01 is no time"),
    ],
)
def test_errors_are_a_sentence(
    asked: Asked, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    asked.client.set_registered_model_alias("detector", "champion", "2")
    assert main(["when", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err


def test_a_reason_that_no_database_takes_is_refused(asked: Asked) -> None:
    asked.client.set_registered_model_alias("detector", "champion", "2")
    with pytest.raises(LineageError, match="say why in fewer words"):
        when(asked, REF, because="x" * 5000)
    assert not asked.client.get_registered_model("detector").tags


def test_people_are_shown_a_table(
    asked: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    written(asked, on(0, "1", ""), on(4, "3", "2", why="[red]bold"), now="3")
    assert main(["when", REF]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["since", "until", "version", "hash", "by", "why"]
    assert lines[1].startswith("2026-01-14 12:00:00        now")
    assert lines[1].rstrip().endswith("[red]bold")
    assert "after 2026-01-10 12:00:00" in lines[2]
    assert "moved by hand" in lines[2]
    assert main(["when", REF, "--at", "2020-01-01"]) == 0
    assert capsys.readouterr().out == f"No version had {REF} then.\n"
