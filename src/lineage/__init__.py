"""The bridge between DVC and MLflow: which bytes made which model.

DVC knows what bytes a stage read and wrote, MLflow what happened when it ran. This
package joins them by content hashes that both hold. It knows nothing of what the data
is.

A stage does its work inside `stage`::

    with lineage.stage(contexts={"train": "training"}) as run:
        fit(run.dep("train").location, run.out("model"))
"""

from lineage.errors import LineageError
from lineage.recording import StageRun, stage
from lineage.registration import Registration, register

__all__ = ["LineageError", "Registration", "StageRun", "register", "stage"]
