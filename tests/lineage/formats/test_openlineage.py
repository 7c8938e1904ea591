"""A graph as OpenLineage events."""

import dataclasses
import importlib
import json
import pkgutil
import re
import uuid
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import attr
import pytest
from openlineage.client import generated
from openlineage.client.generated import base

from lineage.formats.openlineage import ndjson, openlineage
from lineage.join.graph import DataNode, ExecutionNode, Graph, GraphBuilder, OriginNode
from tests.lineage.formats.conftest import (
    ARCHIVE,
    CONVERT,
    DOWNLOAD,
    FIT,
    MODEL,
    NAMES,
    RAW,
    REPOSITORY,
    TRAIN,
    VERSION,
    execution,
    run_facts,
)

CUSTOM = {
    base.RunFacet._get_schema(): {"lineage_execution", "lineage_mlflow"},
    base.InputDatasetFacet._get_schema(): {"lineage_context"},
}
"""Facets of our own, which the specification allows beside its own."""


@cache
def facet_classes() -> dict[str, type]:
    """URL of a facet's schema -> the class that OpenLineage generated from that schema."""
    modules = [
        importlib.import_module(f"{generated.__name__}.{module.name}")
        for module in pkgutil.iter_modules(generated.__path__)
    ]
    return {
        value._get_schema(): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base.BaseFacet)
    }


def check_event(event: dict[str, Any]) -> None:
    """Check what the specification of OpenLineage 2-0-2 requires of a run event."""
    assert set(event) == {
        "eventTime", "eventType", "inputs", "job", "outputs", "producer", "run", "schemaURL"
    }  # fmt: skip
    assert event["schemaURL"].endswith("/spec/2-0-2/OpenLineage.json#/$defs/RunEvent")
    assert datetime.fromisoformat(event["eventTime"]).tzinfo
    assert event["eventType"] in {state.value for state in base.EventType}
    assert urlsplit(event["producer"]).scheme
    assert set(event["run"]) == {"runId", "facets"}
    assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
    assert set(event["job"]) == {"namespace", "name", "facets"}
    for side, own in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        for dataset in event[side]:
            assert set(dataset) == {"namespace", "name", "facets", own}
            assert isinstance(dataset["namespace"], str)
            assert isinstance(dataset["name"], str)
            check_facets(dataset["facets"], base.DatasetFacet)
            kind = base.InputDatasetFacet if side == "inputs" else base.OutputDatasetFacet
            check_facets(dataset[own], kind)
    check_facets(event["run"]["facets"], base.RunFacet)
    check_facets(event["job"]["facets"], base.JobFacet)


def check_facets(facets: dict[str, dict[str, Any]], kind: type) -> None:
    classes = facet_classes()
    for key, facet in facets.items():
        url = facet["_schemaURL"]
        assert urlsplit(facet["_producer"]).scheme
        if key in CUSTOM.get(url, ()):
            continue
        assert issubclass(classes[url], kind)
        values = {name: value for name, value in facet.items() if not name.startswith("_")}
        # attrs refuses what the schema does not know, and misses what it requires.
        made = classes[url](**values, producer=facet["_producer"])
        for field in attr.fields(classes[url]):
            value = values.get(field.name)
            if value is not None:
                assert type(value).__name__ in str(field.type), (key, field.name, value)
        assert made._schemaURL == url


@pytest.fixture
def sent(typical: Graph) -> dict[str, dict[str, Any]]:
    """Stage -> event, after the way that it goes over a wire."""
    events = [json.loads(line) for line in ndjson(typical, namespace=REPOSITORY).splitlines()]
    return {event["job"]["name"]: event for event in events}


def test_events_are_what_the_specification_requires(typical: Graph, hostile: Graph) -> None:
    for graph in (typical, hostile):
        events = openlineage(graph, namespace=REPOSITORY)
        assert len(events) == sum(isinstance(node, ExecutionNode) for node in graph.nodes.values())
        for event in events:
            check_event(event)


def test_events_are_one_a_line_in_strict_json_in_the_order_of_time(typical: Graph) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = ndjson(typical, namespace=REPOSITORY)
    events = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert [event["job"]["name"] for event in events] == ["download", "convert", "train"]
    assert text == ndjson(typical, namespace=REPOSITORY)
    assert events == openlineage(typical, namespace=REPOSITORY)


def test_a_run_is_the_mlflow_run(sent: dict[str, Any]) -> None:
    event = sent["train"]
    assert event["run"]["runId"].replace("-", "") == FIT.run.id
    assert event["eventType"] == "COMPLETE"
    assert datetime.fromisoformat(event["eventTime"]) == FIT.run.started
    facets = event["run"]["facets"]
    assert facets["executionParameters"]["parameters"] == [
        {"key": "train.epochs", "value": "10"},
        {"key": "train.weights", "value": ""},
    ]
    assert facets["lineage_mlflow"]["metrics"] == {
        "map": 0.31274, "loss": "nan", "recall": 0.87, "steps": 10.0
    }  # fmt: skip
    assert facets["lineage_execution"]["signature"] == FIT.execution.signature
    assert facets["lineage_execution"]["confirmations"] == [f"{3:032x}"]
    assert "note" not in facets["lineage_execution"]


def test_data_are_datasets_with_the_dvc_hash_as_version(sent: dict[str, Any]) -> None:
    (read,), (written,) = sent["train"]["inputs"], sent["train"]["outputs"]
    assert (read["namespace"], read["name"]) == (REPOSITORY, "data/train")
    assert read["facets"]["version"]["datasetVersion"] == TRAIN.hash
    assert read["facets"]["datasetType"]["datasetType"] == "FILE"
    assert read["inputFacets"]["inputStatistics"]["size"] == TRAIN.size_bytes
    assert read["inputFacets"]["inputStatistics"]["fileCount"] == TRAIN.files
    assert read["inputFacets"]["lineage_context"]["context"] == "training"
    assert written["facets"]["version"]["datasetVersion"] == MODEL.hash
    assert written["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert written["outputFacets"]["outputStatistics"]["size"] == MODEL.size_bytes
    # The output of one event is the input of the next, or there is no lineage.
    (made,) = sent["convert"]["outputs"]
    assert [made[key] for key in ("namespace", "name")] == [
        read[key] for key in ("namespace", "name")
    ]
    assert made["facets"] == read["facets"]


def test_versions_and_aliases_are_tags_of_the_models_bytes(sent: dict[str, Any]) -> None:
    (model,) = sent["train"]["outputs"]
    tags = {tag["key"]: tag["value"] for tag in model["facets"]["tags"]["tags"]}
    assert tags == {
        VERSION.id: "accepted",
        "models:/detector@candidate": "3",
        "models:/detector@champion": "3",
    }


def test_a_job_says_where_its_code_is(sent: dict[str, Any]) -> None:
    facets = sent["train"]["job"]["facets"]
    location = facets["sourceCodeLocation"]
    assert location["version"] == FIT.run.commit
    assert location["repoUrl"] == REPOSITORY
    assert location["url"] == f"{REPOSITORY}/blob/{FIT.run.commit}/dvc.yaml"
    assert facets["sourceCode"]["sourceCode"] == "bin/stage train\necho done"
    assert "sourceCodeLocation" not in sent["download"]["job"]["facets"]


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("git@github.com:acme/x.git", "https://github.com/acme/x/blob/{}/dvc.yaml"),
        ("https://github.com/acme/x.git", "https://github.com/acme/x/blob/{}/dvc.yaml"),
        ("git@git.example.org:acme/x.git", "ssh://git@git.example.org/acme/x.git"),
        ("https://git.example.org/acme/x y", "https://git.example.org/acme/x%20y"),
    ],
)
def test_the_location_of_code_is_a_uri_whatever_the_repository(repository: str, url: str) -> None:
    run = run_facts(1, repository=repository)
    (event,) = openlineage(of(execution("x", [], [], run=run)), namespace="n")
    location = event["job"]["facets"]["sourceCodeLocation"]
    assert location["url"] == url.format(run.commit)
    assert location["repoUrl"] == repository


def test_an_execution_without_a_run_says_so_and_has_always_the_same_id(
    typical: Graph, sent: dict[str, Any]
) -> None:
    event = sent["download"]
    run_id = uuid.UUID(event["run"]["runId"])
    assert run_id == uuid.uuid5(uuid.NAMESPACE_URL, f"{REPOSITORY}#{DOWNLOAD.id}")
    assert event["eventTime"] == "1970-01-01T00:00:00+00:00"
    assert "no run" in event["run"]["facets"]["lineage_execution"]["note"]
    assert event["run"]["facets"]["lineage_execution"]["status"] == "unrecorded"
    assert "lineage_mlflow" not in event["run"]["facets"]
    elsewhere = openlineage(typical, namespace="https://github.com/acme/other")
    assert str(run_id) not in [other["run"]["runId"] for other in elsewhere]


def test_an_origin_is_an_input_named_by_its_url(sent: dict[str, Any]) -> None:
    (origin,) = sent["download"]["inputs"]
    assert origin["namespace"] == "http://images.example.org"
    assert origin["name"] == "zips/val.zip"
    assert origin["facets"]["version"]["datasetVersion"] == ARCHIVE.checksum
    assert origin["inputFacets"]["inputStatistics"]["size"] == ARCHIVE.size_bytes


def of(*nodes: Any, edges: tuple[tuple[Any, Any], ...] = ()) -> Graph:
    builder = GraphBuilder()
    for node in nodes:
        builder.add(node)
    for source, target in edges:
        builder.link(source.id, target.id)
    return builder.graph([nodes[0].id])


@pytest.mark.parametrize(
    ("status", "event_type"),
    [("FINISHED", "COMPLETE"), ("FAILED", "FAIL"), ("KILLED", "ABORT"), ("RUNNING", "RUNNING")],
)
def test_an_event_is_of_the_type_that_the_run_ended_with(status: str, event_type: str) -> None:
    run = dataclasses.replace(run_facts(1), status=status)
    (event,) = openlineage(of(execution("x", [], [], run=run)), namespace="n")
    assert event["eventType"] == event_type


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("s3://bucket/some/key", ("s3://bucket", "some/key")),
        ("https://example.org", ("https://example.org", "/")),
        ("/mnt/data/raw", ("file", "/mnt/data/raw")),
        ("data/raw", ("n", "data/raw")),
    ],
)
def test_data_outside_of_the_repository_are_named_as_openlineage_names_them(
    path: str, name: tuple[str, str]
) -> None:
    data = DataNode(path, "a" * 32, "dataset")
    stage = execution("x", [data], [])
    (event,) = openlineage(of(data, stage, edges=((data, stage),)), namespace="n")
    (read,) = event["inputs"]
    assert (read["namespace"], read["name"]) == name


def test_an_execution_is_told_of_whole_though_the_graph_shows_a_part_of_it() -> None:
    stage = execution(
        "train",
        [TRAIN, RAW],
        [MODEL, DataNode("reports/train", "d" * 32, "report")],
        "src/train.py",
        run=run_facts(1, contexts={"data/train": "training"}),
    )
    graph = of(RAW, stage, MODEL, edges=((RAW, stage), (stage, MODEL)))
    (event,) = openlineage(graph, namespace="n")
    assert [each["name"] for each in event["inputs"]] == ["data/train", "data/raw"]
    assert [each["name"] for each in event["outputs"]] == ["models/detector", "reports/train"]
    left_out = event["outputs"][1]
    assert left_out["facets"]["version"]["datasetVersion"] == "d" * 32
    assert "datasetType" not in left_out["facets"]


def test_parts_of_a_folder_are_read_with_it() -> None:
    part = DataNode("data/raw/labels.json", "e" * 32, "dataset")
    writes, reads = execution("label", [], [part]), execution("convert", [RAW], [])
    graph = of(reads, RAW, part, writes, edges=((writes, part), (part, RAW), (RAW, reads)))
    convert = openlineage(graph, namespace="n")[0]
    assert [each["name"] for each in convert["inputs"]] == ["data/raw", "data/raw/labels.json"]


def test_data_that_were_added_by_hand_say_where_they_came_from() -> None:
    origin = OriginNode("data/raw", "https://example.org/raw zip", "md5:1")
    graph = of(origin, RAW, CONVERT, edges=((origin, RAW), (RAW, CONVERT)))
    (event,) = openlineage(graph, namespace="n")
    source = event["inputs"][0]["facets"]["dataSource"]
    assert source["name"] == "data/raw"
    assert source["uri"] == "https://example.org/raw%20zip"


def test_two_origins_of_one_url_are_two_datasets() -> None:
    origins = [OriginNode(name, "https://hub.example.org/acme/set") for name in ("a", "b")]
    stage = execution("download", [], [])
    graph = of(stage, *origins, edges=tuple((origin, stage) for origin in origins))
    (event,) = openlineage(graph, namespace="n")
    assert [each["name"] for each in event["inputs"]] == ["acme/set#a", "acme/set#b"]


def test_names_are_given_as_they_are(hostile: Graph) -> None:
    events = openlineage(hostile, namespace="n")
    assert sorted(event["job"]["name"] for event in events) == sorted(NAMES)
    assert all(re.fullmatch(r"[ -~]*", line) for line in ndjson(hostile, namespace="n").split("\n"))


def test_a_graph_without_executions_has_no_events(empty: Graph) -> None:
    assert openlineage(empty, namespace="n") == []
    assert ndjson(empty, namespace="n") == ""
