"""Folders of other tools: which activation, which labels, which order, and what is only a guess."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import ottenok
from ottenok.bundle.folder import open_bundle
from ottenok.bundle.foreign import foreign_manifest
from ottenok.core.errors import BundleError
from ottenok.tasks.decision import decide, ordered_score, probabilities
from toys import write_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest

    Maker = Callable[..., Path]
    Read = Callable[..., BundleManifest]


@pytest.fixture
def read(tmp_path: Path, make_folder: Maker) -> Callable[..., BundleManifest]:
    """Return a function from changes of a configuration to the manifest that is made of it."""

    def read(**changes: Any) -> BundleManifest:
        bundle = open_bundle(make_folder(tmp_path / "model", **changes))
        assert not bundle.own
        return bundle.manifest

    return read


def _ids(*labels: str) -> dict[str, str]:
    return {str(i): label for i, label in enumerate(labels)}


@pytest.mark.parametrize(
    ("changes", "activation", "noted"),
    [
        ({"problem_type": "single_label_classification"}, "softmax", False),
        ({"problem_type": "multi_label_classification"}, "sigmoid", False),
        ({"problem_type": "multi_label_classification", "function_to_apply": "softmax"}, "sigmoid", False),
        ({}, "softmax", True),
        ({"function_to_apply": "sigmoid"}, "sigmoid", True),
        ({"function_to_apply": "softmax"}, "softmax", True),
        ({"id2label": _ids("toxic")}, "sigmoid", True),
    ],
)
def test_the_activation_follows_the_stated_rules(
    read: Read, changes: dict[str, Any], activation: str, noted: bool
) -> None:
    """`problem_type` decides; without it `function_to_apply`, then the number of labels, and a guess is noted."""
    manifest = read(**changes)

    assert manifest.decision.activation == activation
    assert any("no problem_type" in note for note in manifest.notes) == noted


def test_a_three_class_model_without_problem_type_is_softmax(read: Read) -> None:
    """The sentiment model whose published snippet applies sigmoid gets probabilities that sum to 1."""
    manifest = read(id2label=_ids("negative", "neutral", "positive"))

    probs = probabilities([[1.3, -0.02, -1.4]], manifest.decision)

    assert probs.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("problem", ["regression", "token_classification", 3])
def test_other_problems_are_refused(read: Read, problem: object) -> None:
    """A regression without a scale, and problems that are none, are refused."""
    with pytest.raises(BundleError) as caught:
        read(problem_type=problem)

    assert caught.value.key == "problem_type"


def test_the_order_of_the_labels_is_the_models(read: Read) -> None:
    """neutral, positive, negative keeps its order, and values and titles move with it."""
    manifest = read(id2label=_ids("neutral", "positive", "negative"))

    assert manifest.scheme.name == "sentiment-3"
    assert manifest.scheme.labels == ("neutral", "positive", "negative")
    assert manifest.scheme.values == (0.0, 1.0, -1.0)
    assert manifest.scheme.titles["ru"] == ("нейтральный", "позитивный", "негативный")
    assert manifest.scheme.canonical == ()


def test_the_order_of_the_ids_is_numeric(read: Read) -> None:
    """Ids are sorted as numbers, not as they stand in the file or as text."""
    labels = [f"mood {i}" for i in range(12)]
    shuffled = {str(i): labels[i] for i in (10, 2, 0, 1, 11, 3, 5, 4, 6, 9, 8, 7)}

    assert read(id2label=shuffled).scheme.labels == tuple(labels)


@pytest.mark.parametrize(
    "labels",
    [
        ("NEGATIVE", "NEUTRAL", "POSITIVE"),
        ("Neg", "Neu", "Pos"),
        ("негативный", "нейтральный", "позитивный"),
        ("отрицательно", "нейтрально", "положительно"),
        ("负面", "中性", "正面"),
    ],
)
def test_sentiment_is_known_in_other_spellings(read: Read, labels: tuple[str, ...]) -> None:
    """Upper case, Russian and Chinese names are known; answers keep the model's own spelling."""
    manifest = read(id2label=_ids(*labels))
    scheme = manifest.scheme.scheme()
    probs = probabilities([[0.0, 0.0, 5.0]], manifest.decision)

    assert manifest.scheme.name == "sentiment-3"
    assert manifest.scheme.canonical == ("negative", "neutral", "positive")
    assert manifest.scheme.canonical_scheme().labels == ("negative", "neutral", "positive")
    assert decide(probs, scheme, manifest.decision) == [(labels[2],)]
    assert ordered_score(probs, scheme.values)[0] > 0.95


def test_two_poles_have_an_order_too(read: Read) -> None:
    """POSITIVE and NEGATIVE alone are scored from -1 to 1, in the model's order."""
    manifest = read(id2label=_ids("POSITIVE", "NEGATIVE"))

    assert manifest.scheme.name == "custom"
    assert manifest.scheme.values == (1.0, -1.0)
    assert manifest.scheme.canonical == ("positive", "negative")


def test_stars_are_known(read: Read) -> None:
    """Labels like `1 star`, `2 stars` are five ordered stars."""
    manifest = read(id2label=_ids("1 star", "2 stars", "3 stars", "4 stars", "5 stars"))

    assert manifest.scheme.name == "stars-5"
    assert manifest.scheme.kind == "ordinal"
    assert manifest.scheme.values == (-1.0, -0.5, 0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("problem", "kind"), [("multi_label_classification", "multi-label"), ("single_label_classification", "multi-class")]
)
def test_emotions_take_the_models_kind(read: Read, problem: str, kind: str) -> None:
    """The seven emotions under softmax exclude each other, whatever ottenok's scheme of that name does."""
    manifest = read(
        id2label=_ids("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise"), problem_type=problem
    )

    assert manifest.scheme.name == "emotions-7"
    assert manifest.scheme.kind == kind


def test_unknown_labels_make_a_scheme_of_their_own(read: Read) -> None:
    """Labels of another world have no values and no titles."""
    manifest = read(id2label=_ids("спорт", "политика", "погода"))

    assert (manifest.scheme.name, manifest.scheme.kind) == ("custom", "multi-class")
    assert manifest.scheme.values == ()


def test_numbered_labels_keep_their_names_with_a_warning(read: Read) -> None:
    """LABEL_0 stays LABEL_0: nothing is guessed from the number of labels, and the user is told."""
    manifest = read(id2label=None, num_labels=3)

    assert manifest.scheme.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert manifest.scheme.values == ()
    assert any("no names but LABEL_0" in note for note in manifest.notes)


@pytest.mark.parametrize(
    "names",
    [_ids("a", "a"), {"0": "a", "2": "b"}, {"1": "a", "2": "b"}, {"x": "a"}, ["a", "b"], {}, "ab", 3, _ids("a", "")],
)
def test_labels_that_are_not_clear_are_refused(read: Read, names: object) -> None:
    """Equal names, gaps and other forms are refused rather than read somehow."""
    with pytest.raises(BundleError) as caught:
        read(id2label=names)

    assert caught.value.key == "id2label"


@pytest.mark.parametrize("architectures", [["BertModel"], ["BertForMaskedLM"], [], None])
def test_an_encoder_without_a_head_is_refused(read: Read, architectures: object) -> None:
    """An encoder alone would answer at random, so it is no classifier."""
    with pytest.raises(BundleError, match="expected an architecture for sequence classification"):
        read(architectures=architectures)


def test_a_bundle_that_lost_its_manifest_is_refused(read: Read) -> None:
    """Without its manifest one of our own can't be read rightly."""
    with pytest.raises(BundleError, match=r"ottenok.json is missing"):
        read(model_type="ottenok")


@pytest.mark.parametrize(
    ("changes", "stated", "length"),
    [
        ({}, None, 512),
        ({}, 1e30, 512),
        ({}, float("inf"), 512),
        ({}, 128, 128),
        ({"max_position_embeddings": 2048}, 2048, 512),
        ({"max_position_embeddings": 256}, 512, 256),
        ({"max_position_embeddings": None}, None, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta"}, 512, 512),
        ({"max_position_embeddings": 130, "model_type": "roberta"}, 1e30, 128),
    ],
)
def test_the_longest_input_is_a_real_one(
    tmp_path: Path, make_folder: Maker, changes: dict[str, Any], stated: float | None, length: int
) -> None:
    """A tokenizer's 1e30 means nothing; positions, their offset in RoBERTa and a cap of 512 do."""
    folder = make_folder(tmp_path / "model", **changes)
    if stated is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": stated}), encoding="utf-8")

    assert open_bundle(folder).manifest.max_length == length


def test_texts_of_foreign_models_stay_as_they_are(read: Read) -> None:
    """A model that was not trained on our normalised texts gets the texts that it knows."""
    names = set(read().text.__dataclass_fields__)

    assert names == {"capitals", "emoji", "entities", "width", "marks", "urls", "users", "yo"}
    assert {getattr(read().text, name) for name in names} == {"keep"}


def test_nothing_is_claimed_about_its_terms(read: Read) -> None:
    """The licence of a foreign model is unknown."""
    assert read().licence.commercial is None


def test_a_tokenizer_is_needed(tmp_path: Path, make_folder: Maker) -> None:
    """Without tokenizer.json the way to make one is told."""
    folder = make_folder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()

    with pytest.raises(BundleError, match=r"tokenizer.json is missing") as caught:
        open_bundle(folder)

    assert "save_pretrained" in str(caught.value.hint)


def test_what_only_stands_for_a_model_is_refused(tmp_path: Path) -> None:
    """A pointer of Git LFS in place of the weights, and a file in place of the folder, are told as what they are."""
    write_config(tmp_path, ["neg", "pos"])
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(BundleError, match="Git LFS") as caught:
        ottenok.load(tmp_path)
    assert "git lfs pull" in str(caught.value.hint)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 8)
    with pytest.raises(BundleError, match=r"there is no tokenizer: none of tokenizer\.json"):
        ottenok.load(tmp_path)
    with pytest.raises(BundleError, match="this is a file, not the folder"):
        ottenok.load(tmp_path / "config.json")


def test_numbers_that_disagree_are_told(tmp_path: Path) -> None:
    """`id2label` holds, as in transformers' pipeline; a `label2id` of another order is told."""
    write_config(tmp_path / "other", ["neg", "pos"], label2id={"neg": 1, "pos": 0})
    write_config(tmp_path / "same", ["neg", "pos"], label2id={"neg": 0, "pos": 1})

    other, same = (foreign_manifest(tmp_path / name) for name in ("other", "same"))
    assert other.scheme.labels == same.scheme.labels == ("neg", "pos")
    assert any("label2id gives" in note for note in other.notes)
    assert not any("label2id" in note for note in same.notes)
