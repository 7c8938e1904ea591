"""``cocopipe promote``: whether the candidate takes the champion's place, and why."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from cocopipe import params
from cocopipe.commands.evaluations import Evaluations, Predictions
from cocopipe.errors import UserError
from cocopipe.params import Params
from lineage.answer import Answer, json_text
from lineage.edge import Said
from lineage.errors import LineageError, told
from lineage.project import Project
from lineage.recording.promotion import promote as give
from lineage.tracking import models
from lineage.tracking.tags import CANDIDATE, CHAMPION, EVALUATION, MODEL_HASH, VERDICT

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

ALIKE = 1e-6
"""By how much a figure may differ from what is recorded, and still be of the same predictions."""


def run(options: argparse.Namespace) -> Said:
    """Decide, move the alias and say why."""
    project = Project.find()
    decision = promote(project, params.read(project.workspace.root / "params.yaml"))
    if options.json:
        return Said(json_text(decision))
    said = told(f"{'promoted' if decision.promoted else 'kept'}: {decision.reason}")
    return Said(f"{said}\n", [*decision.notes])


@dataclass(frozen=True)
class Decision(Answer):
    """What `promote` did.

    Attributes:
        promoted: Whether the alias moved.
        reason: A sentence: why, or why not.
        candidate: The number of the version that asked for it.
        champion: That of the version which had it; empty where none had.
        metric: What was compared.
        data: The DVC hash of the dataset that it was measured on; empty where nothing was.
        before: Of the champion; None where it was not compared.
        after: Of the candidate; likewise.
        share: The share of resamples of the images in which the candidate is better; None where
            none were made.
        notes: What else was done.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        *("promoted", "reason", "candidate", "champion", "metric", "data"),
        *("before", "after", "share", "notes"),
    )

    promoted: bool
    reason: str
    candidate: str = ""
    champion: str = ""
    metric: str = ""
    data: str = ""
    before: float | None = None
    after: float | None = None
    share: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Number of a version -> what was compared, as the record of a promotion has it."""
        both = {self.champion: self.before, self.candidate: self.after}
        return {
            version: {self.metric: value}
            for version, value in both.items()
            if version and value is not None
        }


def promote(project: Project, settings: Params) -> Decision:
    """Give ``champion`` to the candidate if the metric improves on the same dataset version.

    A champion that was not evaluated on that dataset version is evaluated on it first.

    Args:
        project: Whose server's aliases count.
        settings: ``register`` says which model, by what, and how sure it has to be.

    Raises:
        UserError: If there is no candidate, or a champion cannot be evaluated.
    """
    name = settings.register.model_name
    candidate = _version(project, name, CANDIDATE)
    if candidate is None:
        raise UserError(
            f"no version of {name} has the alias {CANDIDATE}: run `dvc repro`, or `lineage sync`"
            " where its stages are up to date already."
        )
    decision = _Contest(project, settings, candidate, _version(project, name, CHAMPION)).decide()
    if decision.promoted:
        give(
            project,
            name,
            str(candidate.version),
            why=decision.reason,
            data=decision.data,
            metrics=decision.metrics,
        )
    return decision


@dataclass
class _Contest:
    """A candidate and the champion.

    Attributes:
        notes: What was done to compare them.
        found: Number of a version -> what it found just now.
    """

    project: Project
    settings: Params
    candidate: "ModelVersion"
    champion: "ModelVersion | None"
    notes: list[str] = field(default_factory=list)
    found: dict[str, Predictions] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        return self.settings.register.promote_metric

    @property
    def digest(self) -> str:
        """The DVC hash of the dataset that the candidate was evaluated on."""
        return str(self.candidate.tags.get(EVALUATION, ""))

    def decide(self) -> Decision:
        """Compare them."""
        this, champion = f"version {self.candidate.version}", self.champion
        if champion is not None and champion.version == self.candidate.version:
            return self._said(False, f"{this} is the champion already")
        if self.candidate.tags.get(VERDICT) != "accepted":
            return self._said(False, f"{this} was rejected by the thresholds in params.yaml")
        known = models.evaluation(self.candidate, self.digest) or {}
        if self.metric not in known:
            has = f"; it has {', '.join(known)}" if known else ""
            return self._said(False, f"{this} has no {self.metric} to compare{has}")
        ours = known[self.metric]
        if champion is None:
            reason = f"{this} is the first champion, with {self.metric} {ours:.4f}"
            return self._said(True, reason, after=ours)
        theirs, that = self._figure_of(champion), f"version {champion.version}"
        words = f"{self.metric} {ours:.4f} of {this} against {theirs:.4f} of {that}"
        confidence = self.settings.register.promote_confidence
        if ours <= theirs or confidence is None:
            reason = f"{words}, on {self.digest}"
            return self._said(ours > theirs, reason, before=theirs, after=ours)
        share = self._share(champion, {self.candidate.version: ours, champion.version: theirs})
        reason = (
            f"{words}, better in {share:.1%} of resamples of the images, {confidence:.1%} are asked"
            f" for, on {self.digest}"
        )
        return self._said(share >= confidence, reason, before=theirs, after=ours, share=share)

    def _said(
        self,
        promoted: bool,
        reason: str,
        *,
        before: float | None = None,
        after: float | None = None,
        share: float | None = None,
    ) -> Decision:
        return Decision(
            promoted,
            reason,
            candidate=str(self.candidate.version),
            champion=str(self.champion.version) if self.champion else "",
            metric=self.metric,
            data=self.digest,
            before=before,
            after=after,
            share=share,
            notes=tuple(self.notes),
        )

    @property
    def _evaluations(self) -> Evaluations:
        return Evaluations(self.project, self.settings, self.digest)

    def _figure_of(self, champion: "ModelVersion") -> float:
        """The champion's metric on the candidate's dataset; it is evaluated where it has none."""
        known = (models.evaluation(champion, self.digest) or {}).get(self.metric)
        if known is not None:
            return known
        figure = self._evaluated(champion).get(self.metric)
        if figure is None:
            raise UserError(
                f"the champion, version {champion.version}, has no {self.metric} on {self.digest}:"
                " set register.promote_metric to one that it has."
            )
        return figure

    def _evaluated(self, version: "ModelVersion") -> Mapping[str, float | None]:
        """Evaluate a version on the candidate's dataset."""
        if MODEL_HASH not in version.tags:
            raise UserError(
                f"version {version.version} has no {self.metric} on {self.digest}, and no DVC hash"
                f" to evaluate it by: give {CHAMPION} to a version that the pipeline registered."
            )
        try:
            figures, found = self._evaluations.evaluate(version, like=self.candidate)
        except LineageError as error:
            raise UserError(
                f"version {version.version} can't be evaluated on {self.digest}, which figures on"
                f" other data do not compare with: {error}"
            ) from error
        self.found[str(version.version)] = found
        self.notes.append(f"version {version.version} was evaluated on {self.digest}.")
        return figures

    def _share(self, champion: "ModelVersion", figures: Mapping[str, float]) -> float:
        """The share of resamples in which the candidate is better."""
        from cocopipe.detect.comparison.resampling import compare

        with self._evaluations.ground_truth() as document:
            for before in self._found(champion):
                for after in self._found(self.candidate):
                    found = compare(document, before, after, self.metric)
                    both = {champion.version: found.before, self.candidate.version: found.after}
                    if all(_alike(both[each], figures[each]) for each in both):
                        return found.share
        raise UserError(
            f"what versions {self.candidate.version} and {champion.version} found on {self.digest}"
            " does not give the figures that are recorded: register them again with `dvc repro -f"
            " evaluate`, or set register.promote_confidence to nothing."
        )

    def _found(self, version: "ModelVersion") -> Iterator[Predictions]:
        """What a version found, as far as it is there; else it is evaluated once more."""
        number = str(version.version)
        if number not in self.found:
            stored = list(self._evaluations.predictions_of(version))
            if stored:
                yield from stored
                return
            self._evaluated(version)
        yield self.found[number]


def _alike(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= ALIKE


def _version(project: Project, name: str, alias: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException  # takes seconds

    try:
        return project.client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
