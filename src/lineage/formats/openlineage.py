"""A graph as OpenLineage events, which data catalogues take in."""

import math
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_type_dataset,
    dataset_version_dataset,
    datasource_dataset,
    execution_parameters_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    source_code_job,
    source_code_location_job,
    tags_dataset,
)
from openlineage.client.serde import Serde

from lineage.join.graph import DataNode, ExecutionNode, Graph, Node, OriginNode
from lineage.tracking.facts import RunFacts, VersionNode

PRODUCER = "urn:lineage:dvc-mlflow"
"""Who says so, in every event and facet."""

UNKNOWN_TIME = "1970-01-01T00:00:00+00:00"
"""Of an execution without a run: an event has to have a time, and nothing knows this one."""

WITHOUT_RUN = (
    "MLflow has no run of this execution, which stands in dvc.lock: its runId is derived from"
    " the lock entry, and its eventTime is unknown."
)

STATES = {
    "FINISHED": RunState.COMPLETE,
    "FAILED": RunState.FAIL,
    "KILLED": RunState.ABORT,
    "RUNNING": RunState.RUNNING,
    "SCHEDULED": RunState.START,
}
"""Status of an MLflow run -> type of its event."""

URI_CHARACTERS = ":/?#@!$&'()*+,;=%"
"""Those that need no escape in a URI, beside letters, digits and ``-._~``."""


@attr.define
class LineageExecutionRunFacet(RunFacet):
    """What DVC knows of an execution.

    Attributes:
        signature: Hash over all that determines the result of the stage.
        status: How sure the link between ``dvc.lock`` and MLflow is.
        revisions: Git revisions whose lock holds it.
        confirmations: Ids of later MLflow runs that came to the same bytes.
        note: What the event cannot know; absent where it knows all.
    """

    signature: str
    status: str | None = None
    revisions: list[str] = attr.field(factory=list)
    confirmations: list[str] = attr.field(factory=list)
    note: str | None = None


@attr.define
class LineageMlflowRunFacet(RunFacet):
    """The MLflow run of an execution; see `lineage.tracking.facts.RunFacts`."""

    id: str
    status: str
    commit: str
    branch: str
    dirty: bool
    experiment: str
    backfilled: bool
    metrics: dict[str, float | str]


@attr.define
class LineageContextInputDatasetFacet(InputDatasetFacet):
    """What a dataset was used as.

    Attributes:
        context: Such as ``training`` or ``validation``.
    """

    context: str


def openlineage(graph: Graph, *, namespace: str) -> list[dict[str, Any]]:
    """One event for each execution, in the order of time, as JSON-compatible values.

    Stages are jobs, the bytes that they read and wrote datasets, with the DVC hash as their
    version. Versions of registered models are tags of the model's bytes, since they name
    bytes that are there anyway. Code is no dataset: the job says where it is.

    Args:
        graph: What to tell of. Executions in it are told of with all of their outputs, even
            those that the graph leaves out.
        namespace: Of jobs, and of data inside the repository; its URL, as a rule.
    """
    executions = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    events = [Serde.to_dict(_event(graph, node, namespace)) for node in executions]
    return sorted(events, key=lambda event: str(event["eventTime"]))


def ndjson(graph: Graph, *, namespace: str) -> str:
    """The events of `openlineage`, one a line."""
    events = openlineage(graph, namespace=namespace)
    return "".join(f"{Serde.to_json(event)}\n" for event in events)


def _event(graph: Graph, node: ExecutionNode, namespace: str) -> RunEvent:
    stage = str(node.execution.stage)
    if node.run:
        state = STATES.get(node.run.status, RunState.OTHER)
        time = (node.run.ended or node.run.started).isoformat()
        run_id = _uuid(node.run.id)
    else:
        state, time = RunState.COMPLETE, UNKNOWN_TIME
        run_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace}#{node.id}")
    return RunEvent(
        producer=PRODUCER,
        eventType=state,
        eventTime=time,
        run=Run(str(run_id), _run_facets(node)),
        job=Job(namespace, stage, _job_facets(node)),
        inputs=[_input(graph, node, each, namespace) for each in _read(graph, node)],
        outputs=[_output(graph, each, namespace) for each in _written(graph, node)],
    )


def _uuid(run_id: str) -> uuid.UUID:
    """Of MLflow's id, which is one in hexadecimal digits, unless a server makes others."""
    try:
        return uuid.UUID(run_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, ascii(run_id))


def _read(graph: Graph, node: ExecutionNode) -> list[DataNode | OriginNode]:
    """What it read, as far as it is known not to be code."""
    contexts = node.run.contexts if node.run else {}
    read: dict[str, Node] = {}
    for path, digest in node.execution.deps.items():
        dep = DataNode(path, digest, "dataset")
        if dep.id in graph.nodes or path in contexts:
            read[dep.id] = graph.nodes.get(dep.id, dep)
    for each in graph.upstream(node.id):
        read[each] = graph.nodes[each]
    # What a folder was put together from, or taken out of, was read with it.
    for each in list(read):
        for part in graph.upstream(each):
            if isinstance(graph.nodes[part], DataNode):
                read.setdefault(part, graph.nodes[part])
    return [each for each in read.values() if isinstance(each, DataNode | OriginNode)]


def _written(graph: Graph, node: ExecutionNode) -> Iterable[DataNode]:
    for path, digest in node.execution.outs.items():
        unknown = DataNode(path, digest, "")
        known = graph.nodes.get(unknown.id)
        yield known if isinstance(known, DataNode) else unknown


def _input(
    graph: Graph, execution: ExecutionNode, node: DataNode | OriginNode, namespace: str
) -> InputDataset:
    facets: dict[str, InputDatasetFacet] = {}
    size, files = node.size_bytes, node.files if isinstance(node, DataNode) else None
    if size is not None:
        facets["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            size=size, fileCount=files, producer=PRODUCER
        )
    if isinstance(node, OriginNode):
        return InputDataset(*_origin_name(node, namespace), facets, facets=_origin_facets(node))
    contexts = execution.run.contexts if execution.run else {}
    if node.path in contexts:
        facets["lineage_context"] = LineageContextInputDatasetFacet(
            contexts[node.path], producer=PRODUCER
        )
    return InputDataset(
        *_dataset_name(node.path, namespace), facets, facets=_data_facets(graph, node)
    )


def _output(graph: Graph, node: DataNode, namespace: str) -> OutputDataset:
    facets: dict[str, OutputDatasetFacet] = {}
    if node.size_bytes is not None:
        facets["outputStatistics"] = (
            output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                size=node.size_bytes, fileCount=node.files, producer=PRODUCER
            )
        )
    return OutputDataset(
        *_dataset_name(node.path, namespace), facets, facets=_data_facets(graph, node)
    )


def _dataset_name(path: str, namespace: str) -> tuple[str, str]:
    """Namespace and name, as OpenLineage's naming conventions say for files and objects."""
    scheme, separator, rest = path.partition("://")
    if separator:
        authority, _, name = rest.partition("/")
        return f"{scheme}://{authority}", name or "/"
    return ("file", path) if path.startswith("/") else (namespace, path)


def _origin_name(node: OriginNode, namespace: str) -> tuple[str, str]:
    where, name = _dataset_name(node.url or node.name, namespace)
    # One URL, such as that of a repository, may hold several.
    return where, name if name.endswith(node.name) else f"{name}#{node.name}"


def _data_facets(graph: Graph, node: DataNode) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if node.hash:
        facets["version"] = _version(node.hash)
    if node.kind:
        facets["datasetType"] = dataset_type_dataset.DatasetTypeDatasetFacet(
            "MODEL" if node.kind == "model" else "FILE",
            subType=None if node.kind == "model" else node.kind.upper(),
            producer=PRODUCER,
        )
    if node.id not in graph.nodes:
        return facets
    registered = [graph.nodes[each] for each in graph.downstream(node.id)]
    tags = [
        tags_dataset.TagsDatasetFacetFields(key, value, "MLFLOW")
        for version in registered
        if isinstance(version, VersionNode) and version.hash == node.hash
        for key, value in _tags(version)
    ]
    if tags:
        facets["tags"] = tags_dataset.TagsDatasetFacet(tags, producer=PRODUCER)
    origins = [graph.nodes[each] for each in graph.upstream(node.id)]
    for origin in origins:
        if isinstance(origin, OriginNode):
            facets["dataSource"] = datasource_dataset.DatasourceDatasetFacet(
                origin.name, _uri(origin.url) if _is_url(origin.url) else None, producer=PRODUCER
            )
    return facets


def _origin_facets(node: OriginNode) -> dict[str, DatasetFacet]:
    return {"version": _version(node.checksum)} if node.checksum else {}


def _version(digest: str) -> DatasetFacet:
    return dataset_version_dataset.DatasetVersionDatasetFacet(digest, producer=PRODUCER)


def _tags(version: VersionNode) -> list[tuple[str, str]]:
    """Keys of their own for each version and alias, since the same bytes may have several."""
    aliases = [(f"models:/{version.name}@{alias}", version.version) for alias in version.aliases]
    return [(version.id, version.verdict or "registered"), *aliases]


def _run_facets(node: ExecutionNode) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {
        "lineage_execution": LineageExecutionRunFacet(
            node.execution.signature,
            node.status.value if node.status else None,
            list(node.revisions),
            [run.id for run in node.confirmations],
            None if node.run else WITHOUT_RUN,
            producer=PRODUCER,
        )
    }
    if node.run:
        facets["lineage_mlflow"] = _mlflow(node.run)
    if node.params:
        facets["executionParameters"] = execution_parameters_run.ExecutionParametersRunFacet(
            [
                execution_parameters_run.ExecutionParameter(name, value=value)
                for name, value in node.params.items()
            ],
            producer=PRODUCER,
        )
    return facets


def _mlflow(run: RunFacts) -> RunFacet:
    return LineageMlflowRunFacet(
        run.id,
        run.status,
        run.commit,
        run.branch,
        run.dirty,
        run.experiment,
        run.backfilled,
        _as_json(run.metrics),
        producer=PRODUCER,
    )


def _as_json(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """JSON has no numbers for a loss that is NaN or infinite."""
    return {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}


def _job_facets(node: ExecutionNode) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "DVC", "STAGE", producer=PRODUCER)
    }
    if node.command:
        command = node.command if isinstance(node.command, str) else "\n".join(node.command)
        facets["sourceCode"] = source_code_job.SourceCodeJobFacet(
            "shell", command, producer=PRODUCER
        )
    if node.run and _is_address(node.run.repository) and node.run.commit:
        pipeline = node.execution.stage.pipeline
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            "git",
            _file_url(node.run.repository, node.run.commit, pipeline),
            repoUrl=node.run.repository,
            path=pipeline,
            version=node.run.commit,
            branch=node.run.branch or None,
            producer=PRODUCER,
        )
    return facets


def _file_url(repository: str, commit: str, path: str) -> str:
    """Where a file can be seen on GitHub; the repository, as a URI, where that isn't known."""
    url = re.sub(r"^(ssh://)?git@github\.com[:/]", "https://github.com/", repository)
    if url.startswith("https://github.com/"):
        return f"{url.removesuffix('.git')}/blob/{commit}/{quote(path)}"
    # The short form of ssh, user@host:path, is no URI.
    return _uri(url if "://" in url else "ssh://" + url.replace(":", "/", 1))


def _is_address(repository: str) -> bool:
    return _is_url(repository) or bool(re.match(r"[^@/\s]+@[^:/\s]+:", repository))


def _is_url(text: str) -> bool:
    """Whether it is one for the client of OpenLineage, which raises on others."""
    try:
        return bool(urlsplit(text).netloc)
    except ValueError:
        return False


def _uri(url: str) -> str:
    return quote(url, safe=URI_CHARACTERS)
