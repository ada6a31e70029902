"""Whole runs on a toy corpus with a tiny random encoder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, DataError, ModelError, OttenokError
from ottenok.recipes.train import TrainRecipe
from ottenok.tasks.decision import probabilities
from ottenok.tasks.predictions import load_predictions, predictions_file

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402 - after the check for torch
from transformers import pipeline  # noqa: E402 - after the check for torch

from ottenok.bundle.card import card_text  # noqa: E402
from ottenok.export.onnx import export  # noqa: E402
from ottenok.inference.api import load as load_classifier  # noqa: E402
from ottenok.models.network import load  # noqa: E402
from ottenok.training.checkpoints import checkpoint_path, list_checkpoints, rotate, start  # noqa: E402
from ottenok.training.run import train  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus
    from ottenok.training.run import Fitted

pytestmark = pytest.mark.train

_BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 32},
    "model": {"pooling": "mean"},
    "optim": {"lr": 3e-3, "head_lr": 1e-2},
    "schedule": {"epochs": 3},
    "batch": {"size": 8},
    "run": {"precision": "fp32", "checkpoint_minutes": 100.0},
}


def _recipe(encoder: Path, **over: Any) -> TrainRecipe:
    return parse(TrainRecipe, merge(merge(_BASE, {"model": {"encoder": str(encoder)}}), over))


def _fitted(encoder: Path, corpus: Corpus, out: Path, **over: Any) -> Fitted:
    fitted = train(_recipe(encoder, **over), corpus=corpus, out=out)
    assert fitted is not None
    return fitted


@pytest.mark.parametrize(
    ("model", "problem_type", "activation"),
    [
        ({"problem": "multi-class"}, "multi-class", "softmax"),
        ({"problem": "ordinal"}, "ordinal", "softmax"),
        ({"problem": "regression"}, "regression", "regression"),
        ({"pooling": "cls+mean", "head": {"kind": "mlp", "hidden": [16], "dropout": 0.1}}, "multi-class", "softmax"),
    ],
)
def test_each_problem_is_learned(
    model: dict[str, Any], problem_type: str, activation: str, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """A few epochs suffice to tell texts whose words give them away, and the folder says what was learned."""
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", model=model, schedule={"epochs": 6})

    assert fitted.report("test").value("accuracy") > 0.8
    manifest = fitted.bundle.manifest
    assert (manifest.problem_type, manifest.decision.activation) == (problem_type, activation)
    labels = load(fitted.bundle.folder).config.id2label
    assert labels == ({0: "score"} if problem_type == "regression" else dict(enumerate(manifest.scheme.labels)))


def test_the_end_of_long_texts_can_be_what_is_learned_from(
    make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path
) -> None:
    """A verdict beyond max_length is learned where the end is kept, and such a classifier reads ends in use."""
    corpus, folder = make_corpus(rows=300, opening=40), tmp_path / "out"
    fitted = _fitted(tiny, corpus, folder, text={"keep": "end"}, schedule={"epochs": 5})
    accuracy = fitted.report("test").value("accuracy")
    assert accuracy > 0.8
    assert fitted.bundle.manifest.window.read == "end"

    export(folder)
    rows = corpus.table("test", columns=("text", "labels")).to_pylist()
    found = load_classifier(folder, precision="fp32")([row["text"] for row in rows])
    assert all((one.windows, one.truncated) == (1, True) for one in found)
    right = np.mean([one.label == row["labels"][0] for one, row in zip(found, rows, strict=True)])
    assert right == pytest.approx(accuracy)
    whole = load_classifier(folder, read="all")(rows[0]["text"])
    assert (whole.windows > 1, whole.truncated) == (True, False)


def test_several_labels_are_learned_with_thresholds(
    make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path
) -> None:
    """A multi-label run fits one threshold per label and allows empty answers."""
    corpus = make_corpus(rows=400, scheme="emotions-7")
    fitted = _fitted(
        tiny, corpus, tmp_path / "out", loss={"class_weights": "sqrt"}, decision={"thresholds": {"metric": "micro_f1"}}
    )

    assert fitted.report("test").value("micro_f1") > 0.9
    decision = fitted.bundle.manifest.decision
    assert decision.activation == "sigmoid"
    assert len(decision.thresholds) == 7


def test_the_folder_holds_what_was_measured(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """The saved model gives the scores that the run reports, in ottenok and, temperature and all, in a pipeline."""
    # Smoothed targets make timid scores, which a temperature sharpens.
    over = {"model": {"pooling": "cls"}, "loss": {"label_smoothing": 0.4}}
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", **over)
    manifest = fitted.bundle.manifest
    assert manifest.decision.temperature == 1.0
    assert any(note.startswith("Temperature 0.") for note in manifest.notes)

    texts = toy_corpus.table("validation", columns=("text",)).column("text").to_pylist()
    found = pipeline("text-classification", model=str(fitted.bundle.folder))(texts, top_k=None)
    assert fitted.logits is not None
    expected = probabilities(fitted.logits, manifest.decision)
    for row, answer in zip(expected.tolist(), found, strict=True):
        by_label = {item["label"]: item["score"] for item in answer}
        assert by_label == pytest.approx(dict(zip(manifest.scheme.labels, row, strict=True)), abs=1e-5)


def test_the_manifest_says_where_the_weights_come_from(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Data, licences, text options, recipe and versions are in `ottenok.json`; paths of this machine are not."""
    recipe = {"model": {"licence": "MIT", "origin": "made in a test"}, "data": {"corpus": str(toy_corpus.folder)}}
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", **recipe, schedule={"max_steps": 3})
    manifest = fitted.bundle.manifest

    assert manifest.data is not None
    assert manifest.data.dropped == {"duplicate": 5}
    assert manifest.data.sources[0].licence.commercial is False
    assert manifest.text.yo == "e"
    assert manifest.languages == ("ru", "zh")
    assert manifest.encoder is not None
    assert (manifest.encoder.name, manifest.encoder.licence.commercial) == (tiny.name, True)
    assert {"torch", "transformers", "ottenok"} <= manifest.versions.keys()
    for file in ("ottenok.json", "run.json", "config.json"):
        assert str(tmp_path.parent) not in (tmp_path / "out" / file).read_text(encoding="utf-8")


def test_weights_learned_elsewhere_tell_what_that_took(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Texts, tokens and hardware come from the weights' metadata or from a file beside them, and stand in the card."""
    learned = _fitted(tiny, toy_corpus, tmp_path / "first", schedule={"max_steps": 3}, run={"test": False})
    weights, facts = tmp_path / "weights.safetensors", tmp_path / "facts.json"
    told = {"texts": 2500, "tokens": 40_000, "seconds": 90, "epochs": 5.6, "device": "NVIDIA H100", "precision": "bf16"}
    save_file(
        load_encoder_weights(learned.bundle.folder), weights, metadata={"format": "pt", "training": json.dumps(told)}
    )
    recipe = _recipe(tiny, run={"test": False, "export": False})

    fitted = train(recipe, corpus=toy_corpus, out=tmp_path / "second", weights=weights)
    assert fitted is not None
    training = fitted.bundle.manifest.training
    assert training is not None
    assert training.model_dump(include=set(told)) == told
    assert training.parameters > 0
    assert "2,500 texts, 40,000 tokens, each as often as it was read (5.6 epochs), in 1.5 minutes on NVIDIA H100" in (
        card_text(fitted.bundle, {})
    )

    facts.write_text(json.dumps({"texts": 7, "elsewhere": "on a borrowed GPU"}), encoding="utf-8")
    fitted = train(recipe, corpus=toy_corpus, out=tmp_path / "third", weights=weights, weights_facts=facts)
    assert fitted is not None
    assert fitted.bundle.manifest.training is not None
    assert (fitted.bundle.manifest.training.texts, fitted.bundle.manifest.training.device) == (7, "cpu")
    facts.write_text('{"texs": 7}', encoding="utf-8")
    with pytest.raises(ConfigError, match="texs"):
        train(recipe, corpus=toy_corpus, out=tmp_path / "fourth", weights=weights, weights_facts=facts)


def test_the_best_epoch_is_kept(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Where later epochs spoil the model, the folder has the weights of the best one."""
    # Without decay and with a rate that is far too high, scores go up and down.
    over = {"optim": {"lr": 0.03, "clip": 0}, "schedule": {"name": "constant", "epochs": 6}, "run": {"patience": 2}}
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", **over, decision={"temperature": False})
    scores = [row["macro_f1"] for row in fitted.epochs]

    assert fitted.best == scores.index(max(scores))
    assert fitted.report("validation").value("macro_f1") == pytest.approx(max(scores))
    assert len(scores) == 6 or len(scores) - 1 - fitted.best == 2
    history = (tmp_path / "out" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["macro_f1"] for line in history] == scores


def test_the_head_learns_at_its_own_rate(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """With a rate of next to nothing and frozen embeddings the encoder stays as it was, and the head moves."""
    over = {"model": {"freeze_embeddings": True}, "optim": {"lr": 1e-12, "weight_decay": 0.0}}
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", **over)
    before = load_encoder_weights(tiny)
    # The folder holds an XLM, which has no segments: the only one's embedding is in its positions.
    segment = before.pop("embeddings.token_type_embeddings.weight")[0]
    before["embeddings.position_embeddings.weight"] += segment

    after = load(fitted.bundle.folder).encoder.state_dict()
    for name, value in before.items():
        if name in after:
            torch.testing.assert_close(after[name], value, atol=1e-8, rtol=0)
    assert fitted.epochs[-1]["train_loss"] < fitted.epochs[0]["train_loss"]


def load_encoder_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an encoder's file."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_corpus_without_validation_keeps_the_last_epoch(
    make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path
) -> None:
    """There is nothing to choose by, nothing to calibrate on, and the manifest says so."""
    corpus = make_corpus(rows=60, splits="t")
    fitted = _fitted(tiny, corpus, tmp_path / "out", schedule={"epochs": 2})

    assert fitted.logits is None
    assert fitted.reports == {}
    assert "the last epoch" in fitted.bundle.manifest.notes[0]
    with pytest.raises(ConfigError, match="no validation rows"):
        _fitted(tiny, corpus, tmp_path / "other", run={"patience": 1})


def test_the_run_is_bound_by_its_steps(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """`max_steps` ends the run in the middle of an epoch, and it is evaluated there."""
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", schedule={"max_steps": 5}, batch={"size": 8, "accumulate": 2})

    assert [row["step"] for row in fitted.epochs] == [5]
    # One of the ten batches may be the incomplete one.
    assert 9 * 8 < fitted.epochs[0]["texts"] <= 10 * 8


def test_validation_rows_can_be_a_sample(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """An epoch is measured on so many rows and no more."""
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", data={"validation_rows": 11}, schedule={"max_steps": 2})

    assert fitted.report("validation").rows == 11
    kept = load_predictions(predictions_file(tmp_path / "out", "validation"))
    rows = {row["id"]: row for row in toy_corpus.table("validation").to_pylist()}
    assert len(kept) == 11
    for name, source, truth in zip(kept.ids, kept.sources, kept.truth, strict=True):
        assert (source, [kept.labels[truth.argmax()]]) == (rows[name]["source"], rows[name]["labels"])


@pytest.mark.parametrize(
    ("over", "error", "words"),
    [
        ({"run": {"metric": "f1_macro"}}, ConfigError, "macro_f1"),
        ({"run": {"metric": "subset_accuracy"}}, ConfigError, "no metric"),
        ({"text": {"max_length": 65}}, ConfigError, "at most 64 tokens"),
        ({"loss": {"name": "cee"}}, ConfigError, "Did you mean 'ce'"),
        ({"loss": {"class_weights": [1.0]}}, ConfigError, "one per label"),
        ({"model": {"problem": "regression"}, "loss": {"label_smoothing": 0.1}}, ConfigError, "has no label_smoothing"),
        ({"loss": {"name": "asymmetric"}}, ConfigError, "Use one of: ce, focal"),
        ({"model": {"link": "corn"}}, ConfigError, "is for ordinal problems"),
        ({"optim": {"lr": 1e30}}, ModelError, "the loss is"),
    ],
)
def test_recipes_that_can_not_work_are_refused(
    over: dict[str, Any], error: type[OttenokError], words: str, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """The error comes before or in the first steps, and says what to do."""
    with pytest.raises(error) as caught:
        _fitted(tiny, toy_corpus, tmp_path / "out", **over)
    assert words in str(caught.value)


def test_an_empty_split_is_refused(make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path) -> None:
    """A corpus of tests alone teaches nothing."""
    with pytest.raises(DataError, match="no rows to learn from"):
        _fitted(tiny, make_corpus(rows=20, splits="x"), tmp_path / "out")


def test_a_folder_in_use_is_not_overwritten(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Neither a run nor anything else is lost; `--resume` of a finished run changes nothing."""
    recipe = _recipe(tiny, schedule={"max_steps": 2})
    out = tmp_path / "out"
    train(recipe, corpus=toy_corpus, out=out)
    weights = (out / "model.safetensors").stat().st_mtime_ns

    with pytest.raises(ConfigError, match="--resume"):
        train(recipe, corpus=toy_corpus, out=out)
    again = train(recipe, corpus=toy_corpus, out=out, resume=True)
    assert again is not None
    assert (out / "model.safetensors").stat().st_mtime_ns == weights
    assert again.reports.keys() == {"validation", "test"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ConfigError, match="not empty"):
        train(recipe, corpus=toy_corpus, out=other)


def test_another_recipe_or_corpus_is_not_resumed(
    make_corpus: Callable[..., Corpus], toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """Resuming goes on with the same run or not at all; how often it saves may change."""
    out = tmp_path / "out"
    train(_recipe(tiny, schedule={"max_steps": 2}), corpus=toy_corpus, out=out)

    with pytest.raises(ConfigError, match="another recipe") as caught:
        train(_recipe(tiny, schedule={"max_steps": 3}), corpus=toy_corpus, out=out, resume=True)
    assert caught.value.key == "schedule.max_steps"
    with pytest.raises(ConfigError, match="another corpus"):
        train(_recipe(tiny, schedule={"max_steps": 2}), corpus=make_corpus(rows=90), out=out, resume=True)
    same = _recipe(tiny, schedule={"max_steps": 2}, run={"keep": 1, "checkpoint_steps": 1})
    assert train(same, corpus=toy_corpus, out=out, resume=True) is not None


def test_the_same_seed_gives_the_same_model(toy_corpus: Corpus, tiny: Path, tmp_path: Path, one_thread: None) -> None:
    """Two runs of one recipe have equal weights, and another seed has others."""
    over = {"schedule": {"max_steps": 4}, "model": {"dropout": 0.1}}
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder, seed in zip(folders, (7, 7, 8), strict=True):
        _fitted(tiny, toy_corpus, folder, **over, seed=seed)
    first, second, third = [(folder / "model.safetensors").read_bytes() for folder in folders]

    assert first == second
    assert first != third


def test_rotation_spares_the_best_checkpoint(tmp_path: Path) -> None:
    """The newest two and the best one stay, in the order of their steps; half-written ones go."""
    for step in (5, 10, 90, 100):
        checkpoint_path(tmp_path, step).mkdir()
    start(tmp_path, 110)
    rotate(tmp_path, keep=2, best=10)

    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-90", "checkpoint-100"]
    assert len(list(tmp_path.iterdir())) == 3


def test_tensorboard_logs_are_written(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """A run that is asked to leaves an event file."""
    pytest.importorskip("tensorboard")
    _fitted(tiny, toy_corpus, tmp_path / "out", run={"tensorboard": True}, schedule={"max_steps": 2})

    assert list((tmp_path / "out" / "tensorboard").glob("events.*"))


def test_bf16_trains_where_the_cpu_has_it(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Mixed precision on a CPU learns too, and what is saved is float32."""
    fitted = _fitted(tiny, toy_corpus, tmp_path / "out", run={"precision": "bf16", "device": "cpu"})

    assert fitted.report("test").value("accuracy") > 0.9
    assert {value.dtype for value in load_encoder_weights(fitted.bundle.folder).values()} == {torch.float32}
    assert fitted.logits is not None
    assert fitted.logits.dtype == np.float32
