"""Sentence encoders with a head over them, and LoRA adapters: read without a pickle, with their makers' answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.errors import BundleError, OttenokError
from ottenok.inference.api import load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")

TEXTS = ["какая гадость", "хорошо", "这个酒店很好", "Да!"]
WIDTH = 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert into a folder of the test."""
    monkeypatch.setenv("OTTENOK_CACHE", str(tmp_path / "cache"))


def _write(file: Path, tree: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tree), encoding="utf-8")


def _modules(folder: Path, kinds: list[str], **pooling: object) -> Path:
    """Write a sentence encoder as sentence-transformers does, with modules of these kinds after the pooling."""
    from tiny_encoders import tiny_encoder

    tiny_encoder(folder, sizes={"num_hidden_layers": 1})
    listed = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *((f"{n}_{kind}", kind) for n, kind in enumerate(kinds, 2)),
    ]
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(listed)
    ]
    _write(folder / "modules.json", modules)
    _write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": WIDTH, **(pooling or {"pooling_mode_mean_tokens": True})},
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    return folder


def _vectors(folder: Path) -> Any:
    """Return the mean of each text's tokens, as the encoder alone gives it."""
    from transformers import AutoModel, AutoTokenizer

    encoder, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        found = [encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in TEXTS]
    return torch.stack(found)


def test_a_dense_head_of_sentence_transformers(tmp_path: Path) -> None:
    """Two dense layers and a normalisation between them give the probabilities that torch gives."""
    from safetensors.torch import save_file

    folder = _modules(tmp_path / "st", ["Dense", "Normalize", "Dense"])
    torch.manual_seed(1)
    vectors, normal = _vectors(folder), torch.nn.functional.normalize
    for place, size, activation in (("2_Dense", (16, WIDTH), "Tanh"), ("4_Dense", (3, 16), "linear.Identity")):
        weights = {"linear.weight": torch.randn(*size), "linear.bias": torch.randn(size[0])}
        _write(folder / place / "config.json", {"activation_function": f"torch.nn.modules.activation.{activation}"})
        save_file(weights, folder / place / "model.safetensors")
        vectors = vectors @ weights["linear.weight"].T + weights["linear.bias"]
        vectors = normal(vectors.tanh(), dim=-1) if activation == "Tanh" else vectors
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _write(folder / "config.json", {**config, "id2label": {"0": "negative", "1": "neutral", "2": "positive"}})

    classifier = load(folder)

    assert classifier.labels == ("negative", "neutral", "positive")
    assert classifier.manifest.max_length == 40
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), vectors.softmax(-1).numpy(), atol=1e-5)


def test_a_head_of_setfit_as_json_and_never_as_a_pickle(tmp_path: Path) -> None:
    """A pickled head is refused with the line that makes JSON of it, by which scikit-learn's probabilities come."""
    linear = pytest.importorskip("sklearn.linear_model")
    folder = _modules(tmp_path / "setfit", ["Normalize"])
    vectors = torch.nn.functional.normalize(_vectors(folder), dim=-1).numpy()
    head = linear.LogisticRegression(C=100.0).fit(vectors, [0, 1, 1, 0])
    _write(folder / "config_setfit.json", {"labels": ["negative", "positive"], "normalize_embeddings": False})
    (folder / "model_head.pkl").write_bytes(b"\x80\x04never read")

    with pytest.raises(BundleError, match=r"model_head\.pkl") as caught:
        load(folder)
    assert "model_head.json" in (caught.value.hint or "")

    _write(
        folder / "model_head.json",
        {"coef": head.coef_.tolist(), "intercept": head.intercept_.tolist(), "classes": head.classes_.tolist()},
    )
    classifier = load(folder)
    assert classifier.labels == ("negative", "positive")
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), head.predict_proba(vectors), atol=1e-5)


@pytest.mark.parametrize(
    ("kinds", "pooling", "message"),
    [
        ([], {}, "without a head"),
        (["LSTM"], {}, "LSTM is not known"),
        (["Normalize"], {"pooling_mode": "weightedmean"}, "without a head"),
        (["Dense"], {}, "there is no such file"),
    ],
)
def test_what_can_not_be_a_classifier_is_refused(
    tmp_path: Path, kinds: list[str], pooling: dict[str, Any], message: str
) -> None:
    """No head, a module of another kind, a missing file: each is named."""
    with pytest.raises(OttenokError, match=message):
        load(_modules(tmp_path / "st", kinds, **pooling))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks transformers so
def test_a_lora_adapter_is_merged(tmp_path: Path) -> None:
    """Adapter and head of peft over a base in another folder give peft's own probabilities."""
    peft = pytest.importorskip("peft", reason="needs peft (extra lora)")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from tiny_encoders import tiny_encoder

    base = tiny_encoder(tmp_path / "base", sizes={"num_hidden_layers": 1})
    torch.manual_seed(2)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    settings = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, settings).eval()
    folder = tmp_path / "adapter"
    adapted.save_pretrained(folder)
    names = {"0": "negative", "1": "neutral", "2": "positive"}
    _write(folder / "config.json", {"id2label": names, "label2id": {name: int(n) for n, name in names.items()}})
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.inference_mode():
        expected = [adapted(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist() for text in TEXTS]

    classifier = load(folder)

    assert classifier.labels == ("negative", "neutral", "positive")
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-5)
