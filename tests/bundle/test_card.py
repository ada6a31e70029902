"""The model card: written from the manifest, valid for the hub, honest about terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ottenok.bundle.card import card_text, terms, write_card
from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import DataFacts, EncoderFacts, LicenceFacts, SchemeFacts, SourceFacts, TaskFacts
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.tables import code_span, escape_markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest

    Maker = Callable[..., Any]


def _source(name: str, licence: str, commercial: bool | None, **changes: Any) -> SourceFacts:
    facts = {
        "name": name,
        "title": name.title(),
        "rows": {"train": 1200, "test": 300},
        "languages": ("ru",),
        "annotation": "human",
        "homepage": "https://example.org",
        "licence": LicenceFacts(id=licence, commercial=commercial),
    }
    return SourceFacts(**{**facts, **changes})


OPEN = _source("open", "CC-BY-4.0", True)
UNSTATED = _source("unstated", "unknown", None, annotation="author", languages=("zh",))
BARRED = _source("barred", "CC-BY-NC-SA-4.0", False)


def _interval(value: float) -> dict[str, float | None]:
    return {"value": value, "low": None, "high": None}


def _label(label: str, f1: float, support: int) -> dict[str, Any]:
    return {"label": label, "precision": f1, "recall": f1, "f1": _interval(f1), "auc": None, "support": support}


def _of_source(source: str, f1: float) -> dict[str, Any]:
    return {"source": source, "rows": 300, "metrics": {"macro_f1_present": _interval(f1)}}


REPORT = {
    "system": "small",
    "scheme": "sentiment-3",
    "kind": "ordinal",
    "rows": 1400,
    "metrics": {"accuracy": _interval(0.81), "macro_f1": _interval(0.75), "macro_auc": _interval(0.9)},
    "labels": [_label("negative", 0.61, 500), _label("neutral", 0.85, 900), _label("positive", 0.0, 0)],
    "averages": [],
    "sources": [_of_source("open", 0.7), _of_source("unstated", 0.92)],
    "confusion": [],
    "confidence": 0.95,
    "resamples": 0,
    "seed": 0,
}


@pytest.fixture
def card(tmp_path: Path, make_folder: Maker, make_manifest: Maker) -> Callable[..., str]:
    """Return a function from changes of the manifest to the card."""

    def card(*sources: SourceFacts, config: dict[str, Any] | None = None, **changes: Any) -> str:
        folder = make_folder(tmp_path / "model", **(config or {}))
        (folder / "onnx").mkdir(exist_ok=True)
        (folder / "onnx" / "model_quantized.onnx").write_bytes(b"graph")
        facts = {
            "description": "Sentiment of short texts.",
            "created": "2026-01-02",
            "encoder": EncoderFacts(
                name="intfloat/multilingual-e5-small",
                origin="cut to 48,000 pieces",
                licence=LicenceFacts(id="MIT", commercial=True),
            ),
            "recipe": {"optim": {"lr": 5e-05}},
            "data": DataFacts(name="sentiment-ru-zh", sources=sources, dropped={"exact duplicate": 1234}),
            "metrics": {"test": {"sentiment-3": REPORT}},
            "versions": {"ottenok": "0.1.0", "torch": "2.13"},
            "notes": ("The weights are those of epoch 2 of 3.",),
        }
        write_manifest(folder, make_manifest(**{**facts, **changes}))
        return card_text(open_bundle(folder), {"Test rows": "| | macro F1 |\n| --- | ---: |\n| model | 0.750 |"})

    return card


PATTERN = r"""---
language: \["ru", "zh"\]
license: "mit"
library_name: "transformers"
pipeline_tag: "text-classification"
tags: \["ottenok", "sentiment-analysis", "ordinal-classification", "russian", "chinese"\]
base_model: "intfloat/multilingual-e5-small"
metrics: \["accuracy", "f1", "roc_auc"\]
model-index: \[\{.*\}\]
---

\*\*Terms partly unknown: check them before commercial use\.\*\* The publishers of these training sets state no terms: \
unstated \(unknown\)\.

# small

Sentiment of short texts\.

## Labels

Each text gets one label, and the labels have an order\. Probabilities are the softmax of the model's outputs, divided \
by the temperature 1\.250\.

\| id \| label \| value \| English \| Русский \| 中文 \|
\| --- \| --- \| --- \| --- \| --- \| --- \|
\| 0 \| `negative` \| -1 \| negative \| негативный \| 负面 \|
\| 1 \| `neutral` \| 0 \| neutral \| нейтральный \| 中性 \|
\| 2 \| `positive` \| 1 \| positive \| позитивный \| 正面 \|

## Use

With ottenok\. It runs `onnx/model_quantized\.onnx` on an ordinary CPU and needs no torch\.

```python
import ottenok

classifier = ottenok\.load\("FOLDER"\)  # this folder
print\(classifier\("Какая гадость эта ваша заливная рыба!"\)\)
```

With transformers:

```python
from transformers import pipeline

classifier = pipeline\("text-classification", model="FOLDER"\)
print\(classifier\("Какая гадость эта ваша заливная рыба!", truncation=True\)\)
```

And with other tools:

\| tool \| how it opens the folder \|
\| --- \| --- \|
\| transformers\.js \| .* \|
\| optimum \| .* \|
\| ONNX Runtime \| .* \|

All but ottenok read texts as they are .*, cut what is longer than the model and leave the temperature out\.

## Results

### Test rows

\| \| macro F1 \|
\| --- \| ---: \|
\| model \| 0\.750 \|

## Training

- Encoder: `intfloat/multilingual-e5-small`: cut to 48,000 pieces \(licence: MIT\)
- Longest input: 128 tokens; longer texts are read in windows that overlap by 32 tokens, and the windows' logits are \
averaged, each weighing as much as it has tokens
- Trained: 2026-01-02

<details><summary>The resolved recipe</summary>

```json
\{
  "optim": \{
    "lr": 5e-05
  \}
\}
```

</details>

## Data

The corpus `sentiment-ru-zh`, in rows:

\| set \| train \| validation \| test \| languages \| labelled by \| licence \| commercial use \|
(\| --- ){8}\|
\| \[Open\]\(https://example\.org\) \| 1,200 \| 0 \| 300 \| ru \| people \| CC-BY-4\.0 \| yes \|
\| \[Unstated\]\(https://example\.org\) \| 1,200 \| 0 \| 300 \| zh \| the texts' authors \(stars\) \
\| unknown \| unknown \|

Rows left out: exact duplicate 1,234\.

## Intended use and limits

- Meant for the sentiment of texts in Russian and Chinese, .*
- Its weakest label is `negative`: F1 0\.61 on 500 rows\.
- It is not equally good everywhere: macro F1 0\.70 on open, 0\.92 on unstated \(labels present\)\.
- Training texts of Unstated were labelled by their authors' stars, .*
- Irony, .*
- Not for decisions about single people\. .*

## Terms

Weights: MIT; commercial use: unknown\. of the encoder

## Notes

- The weights are those of epoch 2 of 3\.

Made with ottenok 0\.1\.0, torch 2\.13\.
"""


def test_the_whole_card(card: Callable[..., str]) -> None:
    """The card says what the manifest knows, in this order and in these words."""
    text = card(OPEN, UNSTATED)

    assert re.fullmatch(PATTERN.replace("\\\n", ""), text), text


def test_the_head_is_the_hubs(card: Callable[..., str]) -> None:
    """The hub's own reader finds licence, languages, base model and results."""
    data = ModelCard(card(OPEN)).data

    assert data.license == "mit"
    assert data.language == ["ru", "zh"]
    assert data.base_model == "intfloat/multilingual-e5-small"
    assert data.pipeline_tag == "text-classification"
    assert data.model_name == "small"
    assert [(result.metric_type, result.metric_value) for result in data.eval_results or ()] == [
        ("accuracy", 0.81),
        ("f1", 0.75),
        ("roc_auc", 0.9),
    ]


def test_nothing_in_a_name_breaks_the_head(card: Callable[..., str]) -> None:
    """Quotes, colons, line breaks and dashes in a name stay inside their value."""
    name = 'a: "b"\n---\nlicense: mit # 好'

    assert ModelCard(card(OPEN, name=name)).data.model_name == name


def _first_line(text: str) -> str:
    return text.split("\n---\n", 1)[1].strip().splitlines()[0]


def test_non_commercial_data_is_told_first(card: Callable[..., str]) -> None:
    """The first line names the strictest licence and its set, and so does the head, whatever is claimed."""
    text = card(OPEN, UNSTATED, BARRED)

    assert _first_line(text) == ("**Non-commercial use only** (CC-BY-NC-SA-4.0). Trained on: barred (CC-BY-NC-SA-4.0).")
    assert ModelCard(text).data.license == "cc-by-nc-sa-4.0"
    assert "Weights: CC-BY-NC-SA-4.0; commercial use: no." in text


def test_a_claim_of_non_commercial_weights_names_its_reason(card: Callable[..., str]) -> None:
    """Where the weights are non-commercial already, a permissive name does not stay on them."""
    text = card(BARRED, licence=LicenceFacts(id="MIT", commercial=False, statement="Because."))

    assert _first_line(text).startswith("**Non-commercial use only** (CC-BY-NC-SA-4.0).")


def test_a_set_whose_code_alone_is_free_names_no_free_licence(card: Callable[..., str]) -> None:
    """A set under MIT whose texts are non-commercial makes the licence `other`, in the head and in the first line."""
    texts = _source("subtitles", "MIT", False)
    for claimed in ("MIT", "other"):
        text = card(OPEN, texts, licence=LicenceFacts(id=claimed, commercial=claimed == "MIT", statement="Because."))
        assert _first_line(text) == "**Non-commercial use only**. Trained on: subtitles."
        data = ModelCard(text).data
        assert (data.license, data.license_name) == ("other", "non-commercial")
        assert "Weights: other; commercial use: no." in text


def test_open_terms_need_no_warning(card: Callable[..., str]) -> None:
    """Where everything may be used commercially the card begins with the name."""
    assert _first_line(card(OPEN)) == "# small"


def test_sets_that_were_only_measured_on_bind_nothing(card: Callable[..., str]) -> None:
    """A non-commercial test set does not make the weights non-commercial."""
    only_test = _source("barred", "CC-BY-NC-SA-4.0", False, rows={"test": 100})

    assert _first_line(card(OPEN, only_test)) == "# small"


def test_what_was_never_learned_is_named(card: Callable[..., str]) -> None:
    """A label with hardly any training rows in a language is marked in its table and named among the limits."""
    cells = {"sentiment-3": {"ru": {"negative": 4000, "neutral": 3000}, "zh": {"negative": 5000, "neutral": 12}}}
    text = card(OPEN, data=DataFacts(name="mine", sources=(OPEN,), cells=cells))

    assert "| zh | 5,000 | **12, not learned** |" in text
    assert "- Not learned, for want of training rows (under 200): `neutral` of sentiment-3 in Chinese (12)." in text


def test_rows_that_chose_the_thresholds_do_bind(make_manifest: Maker) -> None:
    """Validation rows had a part in the model."""
    source = _source("barred", "CC-BY-NC-SA-4.0", False, rows={"validation": 100})
    manifest: BundleManifest = make_manifest(data=DataFacts(name="x", sources=(source,)))

    assert terms(manifest).commercial is False


def test_unknown_weights_say_so(card: Callable[..., str]) -> None:
    """A model without any stated licence is `unknown` on the hub and warned about."""
    text = card(OPEN, licence=LicenceFacts(id="unknown", commercial=None))

    assert ModelCard(text).data.license == "unknown"
    assert _first_line(text).startswith("**Terms partly unknown")


def test_a_licence_that_the_hub_does_not_know(card: Callable[..., str]) -> None:
    """Other names are given as the hub wants them: `other`, with a name."""
    data = ModelCard(card(OPEN, licence=LicenceFacts(id="Acme Licence 1.0", commercial=True))).data

    assert (data.license, data.license_name) == ("other", "acme-licence-1.0")


def test_a_multi_label_card_tells_its_thresholds(card: Callable[..., str]) -> None:
    """Thresholds and the rule for empty answers are in the card; transformers leaves them to the user."""
    cedr = load_scheme("cedr-5")
    text = card(
        OPEN,
        config={"id2label": {str(i): label for i, label in enumerate(cedr.labels)}},
        scheme=SchemeFacts.of(cedr),
        problem_type="multi-label",
        decision=Decision(activation="sigmoid", thresholds=(0.3, 0.4, 0.5, 0.2, 0.25), empty="top"),
    )

    assert "Thresholds: `joy` 0.300, `sadness` 0.400, `surprise` 0.500, `fear` 0.200, `anger` 0.250." in text
    assert "An answer without labels becomes the most probable label." in text
    assert "top_k=None" in text
    assert "leave the thresholds to you" in text


def test_our_own_architecture_is_registered_first(card: Callable[..., str]) -> None:
    """A pooling that transformers has not needs one import more, and the snippet has it."""
    assert "import ottenok.models" in card(OPEN, config={"model_type": "ottenok"})
    assert "import ottenok.models" not in card(OPEN)
    twin = card(OPEN, config={"model_type": "xlm", "ottenok": {"encoder": {"model_type": "bert"}}})
    assert "import ottenok.models" not in twin
    assert "One text at a time" in twin


def test_a_bundle_without_weights_is_not_for_transformers(folder: Path, make_manifest: Maker) -> None:
    """The snippet for transformers is left out where its files are; the hub's name is that of transformers.js."""
    (folder / "model.safetensors").unlink()
    write_manifest(folder, make_manifest())

    text = card_text(open_bundle(folder), {})

    assert "from transformers import pipeline" not in text
    assert ModelCard(text).data.library_name == "transformers.js"


def test_writing_a_card_leaves_the_bundle_whole(folder: Path) -> None:
    """The card is no listed file: writing it, and editing it later, breaks no checksum."""
    bundle = open_bundle(folder)

    write_card(bundle, {}).write_text("edited", encoding="utf-8")

    assert open_bundle(folder, full=True) == bundle


HOSTILE = [
    "</details><script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "a | b | c",
    "**bold** _it_ ~~gone~~ `code` ``more``",
    "line\n\n# heading\n- item\n> quote",
    "<!-- hidden",
    "\u202egnirts\x1b[31m",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_label_or_title_is_markup(card: Callable[..., str], text: str) -> None:
    """Labels, titles, names and notes of strangers add no heading, link, HTML or cell to a card."""
    names = ("negative", text, "positive")
    scheme = SchemeFacts(
        name="sentiment-3",
        kind="ordinal",
        labels=names,
        values=(-1.0, 0.0, 1.0),
        titles={"en": names, "ru": names},
    )
    source = _source("open", "MIT", True).model_copy(
        update={"title": text, "name": text, "homepage": f"https://a.b/{text}", "annotation": text}
    )
    cells = {text: {"ru": {text: 3}}}
    page = card(
        config={"id2label": {str(i): label for i, label in enumerate(names)}},
        scheme=scheme,
        data=DataFacts(name=text, sources=(source,), dropped={text: 2}, cells=cells),
        encoder=EncoderFacts(name=text, origin=text, licence=LicenceFacts(id=text, commercial=True)),
        description=text,
        name=text,
        notes=(text,),
        created=text,
        recipe={},
        versions={text: text},
        decision=Decision(activation="softmax", thresholds=(0.1, 0.2, 0.3), empty=text),
    )
    html, plain = (_html(text) for text in (page, card(recipe={})))
    links = "".join(re.findall(r'(?:href|src)="[^"]*"', html))
    assert "<script" not in html
    assert "<img" not in html
    assert "javascript:" not in links
    assert "evil.example" not in links
    for tag in ("h1", "blockquote", "em", "del", "s"):
        assert html.count(f"<{tag}>") == plain.count(f"<{tag}>")
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) == plain.count("<table>") + 2
    for table in tables:
        assert len({len(re.findall("<t[hd][ >]", row)) for row in table.split("</tr>")[:-1]}) == 1


def _html(page: str) -> str:
    body = page.split("\n---\n", 1)[1]
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(body))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    """Escaped text, and code, are one plain paragraph."""
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for made in (
        f"x {escape_markdown(text)}",
        f"x {code_span(text)}",
        f"- {escape_markdown(text)}",
        escape_markdown(text),
    ):
        html = markdown.render(made)
        assert set(re.findall(r"<([a-z0-9]+)", html)) <= ({"ul", "li"} if made.startswith("-") else {"p", "code"})


def test_a_card_tells_of_every_task(card: Callable[..., str]) -> None:
    """Labels, decision, weakest label and the hub's results are told task by task; transformers sees the first."""
    emotions = load_scheme("emotions-7")
    tasks = (
        TaskFacts(
            name="sentiment-3",
            scheme=SchemeFacts.of(load_scheme("sentiment-3")),
            problem_type="multi-class",
            decision=Decision(activation="softmax"),
        ),
        TaskFacts(
            name="emotions-7",
            scheme=SchemeFacts.of(emotions),
            problem_type="multi-label",
            decision=Decision(activation="sigmoid", thresholds=(0.3,) * 7, exclusive="neutral"),
            output="logits_emotions_7",
        ),
    )
    second = REPORT | {
        "kind": "multi-label",
        "labels": [_label("joy", 0.5, 40), _label("fear", 0.2, 30)],
        "sources": [],
    }
    text = card(OPEN, tasks=tasks, metrics={"test": {"sentiment-3": REPORT, "emotions-7": second}})

    assert "### sentiment-3\n\nEach text gets one label" in text
    assert "### emotions-7\n\nEach text gets any number of labels" in text
    assert "`neutral` stands alone" in text
    assert "Its weakest label of sentiment-3 is `negative`: F1 0.61 on 500 rows." in text
    assert "Its weakest label of emotions-7 is `fear`: F1 0.20 on 30 rows." in text
    assert "give the outputs of sentiment-3 only" in text
    data = ModelCard(text).data
    assert len(data.eval_results or ()) == 6
    assert {"sentiment-analysis", "emotion-classification", "multi-label-classification"} <= set(data.tags or ())
