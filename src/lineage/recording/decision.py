"""A pipeline's word on a model, as a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lineage.errors import LineageError, reason
from lineage.tracking import outside
from lineage.tracking.tags import MODEL_HASH

LABEL = "registration"
"""Label, in ``dvc.yaml``, of the output that holds a `Registration`."""

NO_NAME = frozenset("/:'\"`\\\0")
"""What MLflow refuses in the name of a registered model, or cannot find one by."""


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
            values = outside.artifact(path.read_text(encoding="utf-8"))
            found = cls(**{**values, "reasons": tuple(values["reasons"])})
            found._check()
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise LineageError(
                f"{path} carries the label {LABEL!r} in dvc.yaml but holds no registration"
                f" ({reason(error)}): write it with lineage.Registration."
            ) from error
        return found

    def _check(self) -> None:
        """Refuse what somebody else may have written in place of it, or by hand."""
        named = (self.model_name, self.evaluation_path, self.evaluation_digest, self.verdict)
        if not all(isinstance(each, str) for each in (*named, *self.reasons)):
            raise TypeError("names, hashes, the verdict and reasons are texts")
        if not self.model_name or set(self.model_name) & NO_NAME:
            raise ValueError(f"no model can be called {self.model_name!r}")
        outside.tag(MODEL_HASH, self.model_digest)
        outside.path(self.model_path)
        outside.numbers(self.metrics)
        outside.numbers(self.thresholds)
