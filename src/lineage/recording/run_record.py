"""What MLflow keeps of a stage's execution, whoever writes it down."""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lineage import environment
from lineage.errors import without_secrets
from lineage.identity import canonical_json
from lineage.plugins import Facts, facts
from lineage.repository.code import CodeState
from lineage.repository.items import Item, Observed
from lineage.repository.workspace import Workspace
from lineage.tracking import tags
from lineage.tracking.tag_values import hashes_tag
from lineage.tracking.tags import DIGEST_LIMIT, INPUT, OUTPUT, TAG_LIMIT

if TYPE_CHECKING:
    from mlflow import MlflowClient


def identity_tags(observed: Observed) -> dict[str, str]:
    """The run tags that tie an execution to its ``dvc.lock`` entry."""
    execution = observed.execution
    found = {
        tags.PIPELINE: execution.stage.pipeline,
        tags.STAGE: execution.stage.name,
        tags.SIGNATURE: execution.signature,
        tags.DEPS: hashes_tag(execution.deps),
    }
    if observed.outs:
        found[tags.OUTS] = hashes_tag(execution.outs)
    return found


def code_tags(code: CodeState) -> dict[str, str]:
    """The run tags that say which code ran; what is empty is left out."""
    found = {
        tags.COMMIT: code.commit,
        tags.BRANCH: code.branch,
        tags.DIRTY: str(code.dirty).lower(),
        tags.REPOSITORY: code.repository,
        tags.ROOT: code.root,
        tags.EXPERIMENT: code.experiment,
    }
    return {name: value for name, value in found.items() if value}


def source_tags(source: str) -> dict[str, str]:
    """MLflow's own tags of who ran what, shown at the head of a run."""
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME

    found = {name: without_secrets(value) for name, value in resolve_tags().items()}
    # MLflow would name the script, which is the same for every stage.
    return {**found, MLFLOW_SOURCE_NAME: source}


def log_params(client: "MlflowClient", run_id: str, observed: Observed) -> None:
    """Log the declared params, nested ones under dotted names."""
    from mlflow.entities import Param

    params = [
        Param(key, value[: tags.PARAM_LIMIT])
        for key, value in sorted(flat_params(observed).items())
    ]
    for start in range(0, len(params), tags.PARAMS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + tags.PARAMS_A_BATCH])


def flat_params(observed: Observed) -> dict[str, str]:
    """Dotted name -> text of every declared param.

    Those of another file than ``params.yaml`` at the root have the file before their name.
    """
    flat = {}
    for file, values in observed.params.items():
        prefix = "" if file == "params.yaml" else f"{file}:"
        for name, value in _leaves(values):
            flat[allowed(prefix + name)] = value if isinstance(value, str) else str(value)
    return flat


def _leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def allowed(name: str) -> str:
    """The name with what MLflow refuses in names replaced."""
    plain = "".join(letter if letter.isalnum() or letter in "_-. /:" else "_" for letter in name)
    is_path = posixpath.normpath(plain) == plain and not plain.startswith(("/", ".."))
    return plain if is_path else plain.replace("/", "_").replace("..", "_")


def log_datasets(
    client: "MlflowClient",
    run_id: str,
    items: Iterable[Item],
    contexts: Mapping[str, str],
    code: CodeState,
    elsewhere: Collection[Item] = (),
) -> None:
    """Log data that DVC keeps as datasets of a run.

    What a stage reads, models and reports too, so that one search by digest finds who read
    any of many bytes; of what it writes, dataset versions only.

    MLflow keeps the first context of a dataset in a run, and ties metrics only to
    datasets that it knows, so this comes before any metric.

    Args:
        client: MLflow's client of the store.
        run_id: The run.
        items: Code among them is passed over, and so is what is written and no dataset.
        contexts: Name of an item -> context; `INPUT` for datasets that are not named, for
            others what they are.
        code: Whose commit stands in the input's tags.
        elsewhere: Those whose bytes are not in their place, so that only their size is
            known.
    """
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    from lineage.tracking.dataset import DVCDataset

    inputs = []
    for item in items:
        is_dataset = item.kind == "dataset"
        context = contexts.get(item.name, INPUT if is_dataset else item.kind)
        is_passed_over = item.kind == "code" or (context == OUTPUT and not is_dataset)
        if is_passed_over or not 0 < len(item.hash) <= DIGEST_LIMIT:
            continue
        about = [InputTag(MLFLOW_DATASET_CONTEXT, context)]
        if code.commit:
            about.append(InputTag(tags.COMMIT, code.commit))
        known = Facts() if item in elsewhere else facts(item.location)
        dataset = DVCDataset.of(item, known, code.repository)
        inputs.append(DatasetInput(dataset._to_mlflow_entity(), about))
    if inputs:
        client.log_inputs(run_id, inputs)


def document(
    workspace: Workspace,
    observed: Observed,
    code: CodeState,
    *,
    with_environment: bool = True,
) -> dict[str, Any]:
    """The whole record of an execution, as JSON-compatible values.

    The environment is that of this process; leave it out where another did the work.
    """
    return {
        "pipeline": observed.execution.stage.pipeline,
        "stage": observed.execution.stage.name,
        "signature": observed.execution.signature,
        "command": observed.command,
        "params": {file: dict(values) for file, values in observed.params.items()},
        "deps": [_item(item) for item in observed.deps],
        "outs": [_item(item) for item in observed.outs],
        "git": asdict(code),
        **({"environment": environment.describe(workspace.root)} if with_environment else {}),
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "path": item.path,
        "hash": item.hash,
        "kind": item.kind,
        "bytes": item.size_bytes,
        "files": item.files,
    }


def changes(before: Observed, after: Observed, late: Iterable[str] = ()) -> dict[str, list[Any]]:
    """What changed while the stage ran: path, or param as ``file:key`` -> before and after.

    Args:
        before: The stage as it was before the work.
        after: And after it.
        late: What had changed already when it was first looked at, so that nobody knows what it
            was before: None stands there.
    """
    earlier, later = _determinants(before), _determinants(after)
    unknown = {name: [None, later.get(name)] for name in late}
    return unknown | {
        name: [value, later.get(name)]
        for name, value in earlier.items()
        if later.get(name) != value
    }


def _determinants(observed: Observed) -> dict[str, Any]:
    params = {
        f"{file}:{key}": value
        for file, values in observed.params.items()
        for key, value in values.items()
    }
    return {**observed.execution.deps, **params}


def change_tags(changed: Mapping[str, Any], after: Observed) -> dict[str, str]:
    """Tags that say so, with the signature that DVC will record; empty if nothing changed."""
    if not changed:
        return {}
    return {
        tags.CHANGED: canonical_json(changed)[:TAG_LIMIT],
        tags.SIGNATURE_AFTER: after.execution.signature,
    }
