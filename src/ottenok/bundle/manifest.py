"""`ottenok.json`: everything about a trained classifier that its weights do not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, field_validator, model_validator

from ottenok.bundle.layout import is_safe
from ottenok.core.config import suggest
from ottenok.core.schemes import LabelScheme, SchemeKind
from ottenok.core.table import Table
from ottenok.tasks.decision import ACTIVATIONS, Decision, ProblemType, check_fit
from ottenok.tasks.report import upgraded_report
from ottenok.text.normalise import TextOptions

__all__ = [
    "FORMAT",
    "BundleManifest",
    "DataFacts",
    "EncoderFacts",
    "FileFacts",
    "LicenceFacts",
    "SchemeFacts",
    "SourceFacts",
    "TrainingFacts",
    "WindowRule",
]

# Raised when an older ottenok could read a newer manifest wrongly.
FORMAT = 1


def _safe_name(name: str) -> str:
    if not is_safe(name):
        raise ValueError(f"{name!r} is no plain path inside the bundle")
    return name


def _known_options(value: object) -> object:
    known = [field.name for field in fields(TextOptions)]
    if isinstance(value, Mapping):
        for key in value:
            if key not in known:
                raise ValueError(f"there is no text option {key!r}. {suggest(str(key), known)}")
    return value


SafeName = Annotated[str, AfterValidator(_safe_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
KnownText = Annotated[TextOptions, BeforeValidator(_known_options)]


class SchemeFacts(Table):
    """The labels, in the order of the model's outputs.

    Attributes:
        name: Of the scheme; `custom` where it is none of ottenok's.
        kind: `multi-class`, `multi-label` or `ordinal`.
        labels: As the model gives them.
        canonical: The same labels as ottenok's scheme spells them, where the model spells them otherwise (`POSITIVE`).
        values: Each label's place on -1..1, in the order of `labels`; empty for labels without order.
        titles: Language code to the labels' names in that language, in the order of `labels`.
        source: Where the scheme comes from.
    """

    name: str
    kind: SchemeKind
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    canonical: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    titles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    source: str = ""

    @model_validator(mode="after")
    def _one_per_label(self) -> SchemeFacts:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("two labels have the same name")
        for name, items in {"values": self.values, "canonical": self.canonical, **self.titles}.items():
            if items and len(items) != len(self.labels):
                raise ValueError(f"found {len(items)} {name} for {len(self.labels)} labels")
        return self

    @classmethod
    def of(cls, scheme: LabelScheme) -> SchemeFacts:
        """Return the facts of a scheme."""
        return cls(
            name=scheme.name,
            kind=scheme.kind,
            labels=scheme.labels,
            values=scheme.values,
            titles=dict(scheme.titles),
            source=scheme.source,
        )

    def scheme(self) -> LabelScheme:
        """Return the scheme with the labels as the model gives them."""
        return self._scheme(self.labels)

    def canonical_scheme(self) -> LabelScheme:
        """Return the scheme with the labels as ottenok spells them: to compare with a corpus."""
        return self._scheme(self.canonical or self.labels)

    def _scheme(self, labels: tuple[str, ...]) -> LabelScheme:
        return LabelScheme(
            name=self.name, kind=self.kind, labels=labels, values=self.values, titles=self.titles, source=self.source
        )


class WindowRule(Table):
    """How a text is read that has more tokens than the model takes.

    Attributes:
        read: `all` of it, in windows; or its `end` alone, for models that learned from ends (`text.keep`).
        overlap: Tokens that neighbouring windows share.
        combine: `mean-logits` or `mean-probabilities` of the windows, each weighing as much as it has tokens.
    """

    read: Literal["all", "end"] = "all"
    overlap: int = Field(default=32, ge=0)
    combine: Literal["mean-logits", "mean-probabilities"] = "mean-logits"


class LicenceFacts(Table):
    """Terms.

    Attributes:
        id: SPDX identifier, or `unknown`.
        commercial: False if commercial use is forbidden; None if unknown.
        statement: Where the terms are stated, or how they follow.
    """

    id: str
    commercial: bool | None
    statement: str = ""


class SourceFacts(Table):
    """One data set that the model was trained or measured on.

    Attributes:
        name: The card's name.
        title: As its publisher calls it.
        rows: Split to number of rows.
        languages: ISO 639-1 codes.
        annotation: Who gave the labels: `human`, `author`, `distant`, `translated`, `unknown`.
        homepage: Where it is described.
        licence: Its terms.
        files: Path to sha256, where known.
    """

    name: str
    title: str = ""
    rows: dict[str, int] = Field(default_factory=dict)
    languages: tuple[str, ...] = ()
    annotation: str = "unknown"
    homepage: str = ""
    licence: LicenceFacts
    files: dict[str, Sha256 | None] = Field(default_factory=dict)


class DataFacts(Table):
    """The corpus.

    Attributes:
        name: Of the corpus recipe.
        rows: Split to number of rows.
        sources: What it was made of.
        dropped: Reason to number of rows that were dropped.
        recipe: The resolved corpus recipe.
    """

    name: str
    rows: dict[str, int] = Field(default_factory=dict)
    sources: tuple[SourceFacts, ...] = ()
    dropped: dict[str, int] = Field(default_factory=dict)
    recipe: dict[str, JsonValue] = Field(default_factory=dict)


class EncoderFacts(Table):
    """The pretrained model that training started from.

    Attributes:
        name: Hub name or folder name.
        origin: In words: whose model it is and what was done to it.
        licence: Its terms.
    """

    name: str
    origin: str = ""
    licence: LicenceFacts


class TrainingFacts(Table):
    """What the training took.

    Attributes:
        epochs: Rows of the table of epochs: epochs begun, also one that `max_steps` ended.
        seconds: Of training steps; evaluation, checkpoints and export not counted.
        texts: Texts seen, each as often as it was seen.
        tokens: Tokens seen, padding not counted.
        parameters: Of the model as it is saved.
        trained: How many of them the training changed; the others are frozen.
        device: What it ran on: `cpu`, or the GPU's name.
        processes: Processes that shared the work.
        threads: Threads of each process on the CPU.
        precision: `fp32`, `bf16` or `fp16`.
    """

    epochs: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    texts: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    parameters: int = Field(default=0, ge=0)
    trained: int = Field(default=0, ge=0)
    device: str = ""
    processes: int = Field(default=1, ge=1)
    threads: int = Field(default=0, ge=0)
    precision: str = ""


class FileFacts(Table):
    """A file's sha256 and size in bytes."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class BundleManifest(Table):
    """A trained classifier.

    Attributes:
        format: Version of this layout.
        name: Of the model.
        description: A sentence.
        created: Date of training, ISO 8601.
        scheme: The labels.
        problem_type: What was learned.
        decision: From logits to labels.
        languages: ISO 639-1 codes of the texts it is meant for; empty if unknown.
        text: How texts are normalised first.
        max_length: Most tokens that the model reads at once, special ones included.
        window: How longer texts are read.
        encoder: The pretrained model; None if unknown.
        recipe: The resolved training recipe.
        data: The corpus; None if unknown.
        training: What the training took; None if unknown.
        tuning: How the decision was fitted and what that did, an `ottenok.tasks.tuning.TuningReport` as JSON; None
            if it was not, or is not known.
        metrics: Name of a set of rows (`test` and `validation` are its own corpus's) to an evaluation report as JSON.
        baselines: The same name to the reports of the baselines on those rows.
        versions: Package to version, at training.
        licence: Of the weights.
        files: File to its checksum and size; empty for bundles of other tools.
        notes: What a user should know: guesses and warnings, a sentence each.
    """

    format: int = FORMAT
    name: str
    description: str = ""
    created: str = ""
    scheme: SchemeFacts
    problem_type: ProblemType
    decision: Decision
    languages: tuple[str, ...] = ()
    text: KnownText = TextOptions()
    max_length: int = Field(ge=3)
    window: WindowRule = WindowRule()
    encoder: EncoderFacts | None = None
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    data: DataFacts | None = None
    training: TrainingFacts | None = None
    tuning: dict[str, JsonValue] | None = None
    metrics: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    baselines: dict[str, tuple[dict[str, JsonValue], ...]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    licence: LicenceFacts
    files: dict[SafeName, FileFacts] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @field_validator("metrics", "baselines", mode="before")
    @classmethod
    def _of_today(cls, value: object) -> object:
        """Give reports of older versions the keys of today."""
        if not isinstance(value, Mapping):
            return value
        return {
            name: upgraded_report(report)
            if isinstance(report, Mapping)
            else tuple(upgraded_report(one) if isinstance(one, Mapping) else one for one in report)
            if isinstance(report, list | tuple)
            else report
            for name, report in value.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> BundleManifest:
        allowed = ACTIVATIONS[self.problem_type]
        if self.decision.activation not in allowed:
            raise ValueError(
                f"a {self.problem_type} model can't have the activation {self.decision.activation}, "
                f"only {' or '.join(allowed)}"
            )
        check_fit(self.decision, self.scheme.scheme())
        if self.window.overlap >= self.max_length - 2:
            raise ValueError("windows must overlap by less than their length")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a mapping that JSON can hold."""
        tree: dict[str, Any] = self.model_dump(mode="json")
        return tree
