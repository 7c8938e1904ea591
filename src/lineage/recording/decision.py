"""A pipeline's word on a model, as a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lineage.errors import LineageError

LABEL = "registration"
"""Label, in ``dvc.yaml``, of the output that holds a `Registration`."""


@dataclass(frozen=True)
class Registration:
    """A pipeline's word on a model, as a file among its outputs.

    Computed from files alone, so it is the same whichever server is in use; making the
    version that it speaks of is repeatable, see `register`.

    Attributes:
        model_name: The registered model's name.
        model_path: Where the model's files are, relative to the repository root.
        model_digest: Their DVC hash.
        evaluation_path: The dataset that it was evaluated on.
        evaluation_digest: The DVC hash of that.
        metrics: What the evaluation gave.
        thresholds: Metric -> the least that is accepted.
        verdict: ``accepted`` or ``rejected``.
        reasons: A sentence for each threshold that was missed.
    """

    model_name: str
    model_path: str
    model_digest: str
    evaluation_path: str
    evaluation_digest: str
    metrics: Mapping[str, float]
    thresholds: Mapping[str, float]
    verdict: str
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The file's content, as `read` takes it."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def read(cls, path: Path) -> "Registration":
        """Read the file that a stage wrote.

        Raises:
            LineageError: If it is not such a file.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**values, "reasons": tuple(values["reasons"])})
        except (ValueError, TypeError, KeyError) as error:
            raise LineageError(
                f"{path} carries the label {LABEL!r} in dvc.yaml but holds no registration:"
                f" {error}; write it with lineage.Registration."
            ) from error
