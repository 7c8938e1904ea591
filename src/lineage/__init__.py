"""The bridge between DVC and MLflow: which bytes made which model.

DVC knows what bytes a stage read and wrote, MLflow what happened when it ran. This
package joins them by content hashes that both hold. It knows nothing of what the data
is.

A stage does its work inside `stage`::

    with lineage.stage(contexts={"train": "training"}) as run:
        fit(run.dep("train").location, run.out("model"))

Questions are put to a `Project`; each verb of the ``lineage`` command is a function in the
module of its name in `lineage.verbs`::

    from lineage import Project
    from lineage.verbs.trace import trace

    graph = trace(Project.find(), "models:/coco-detector@champion")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lineage.errors import AwayError, LineageError
    from lineage.project import Project
    from lineage.recording.promotion import promote
    from lineage.recording.registration import Registration, register
    from lineage.recording.stage import stage
    from lineage.recording.stage_run import StageRun

__all__ = [
    "AwayError",
    "LineageError",
    "Project",
    "Registration",
    "StageRun",
    "promote",
    "register",
    "stage",
]

_MODULES = {
    "AwayError": "lineage.errors",
    "LineageError": "lineage.errors",
    "Project": "lineage.project",
    "Registration": "lineage.recording.registration",
    "StageRun": "lineage.recording.stage_run",
    "promote": "lineage.recording.promotion",
    "register": "lineage.recording.registration",
    "stage": "lineage.recording.stage",
}
"""Where each name is. Imported at first use: asking for help should not wait for it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
