"""Networks: built from recipes, saved, and opened again by ottenok and by transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.errors import ConfigError, ModelError
from ottenok.core.schemes import load_scheme
from ottenok.recipes.model import HeadOptions, LayerOptions, ModelOptions

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402 - after the check for torch
from tokenizers import processors  # noqa: E402
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline  # noqa: E402

from ottenok.models.encoder import lost_letters  # noqa: E402
from ottenok.models.network import (  # noqa: E402
    average_weights,
    fold_temperature,
    load,
    save,
)
from tiny_encoders import FAMILIES, network_of, tiny_encoder  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.train

SENTIMENT = load_scheme("sentiment-3")
TEXTS = ["Ёлка!", "это очень плохо, и йод тоже", "我很喜欢这部电影。"]
# Every family with its own classifier's pooling and with ours; every pooling over an encoder and over a decoder.
BUILT = [
    *((family, pooling) for family in FAMILIES for pooling in ("cls", "mean")),
    *(
        (family, pooling)
        for family in ("bert", "qwen2")
        for pooling in ("first", "max", "attention", "cls+mean", "last")
    ),
]


def _built(encoder: Path, **options: Any) -> Any:
    torch.manual_seed(1)
    network = network_of(ModelOptions(encoder=str(encoder), **options), SENTIMENT)
    network.model.eval()
    return network


def _scores_of(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    return model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits


def _scores(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    with torch.inference_mode():
        return _scores_of(model, tokenizer, texts)


@pytest.mark.parametrize(("family", "pooling"), BUILT)
def test_every_encoder_and_pooling_is_saved_and_opened(
    family: str, pooling: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """A network of any family and pooling gives the same scores after saving and opening, alone and in a batch."""
    network = _built(tiny(family), pooling=pooling)
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    opened = load(tmp_path)
    together = _scores(network.model, network.tokenizer, TEXTS)
    torch.testing.assert_close(_scores(opened, network.tokenizer, TEXTS), together, atol=1e-5, rtol=0)
    alone = torch.cat([_scores(opened, network.tokenizer, [text]) for text in TEXTS])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "pooling", "architecture"),
    [
        ("bert", "cls", "BertForSequenceClassification"),
        ("xlm-roberta", "cls", "XLMRobertaForSequenceClassification"),
        ("distilbert", "cls", "DistilBertForSequenceClassification"),
        ("qwen2", "last", "Qwen2ForSequenceClassification"),
        ("bert", "mean", "XLMForSequenceClassification"),
        ("roberta", "mean", "XLMForSequenceClassification"),
        ("distilbert", "mean", "XLMForSequenceClassification"),
        ("modernbert", "mean", "ModernBertForSequenceClassification"),
        ("bert", "pooler", "OttenokClassifier"),
        ("qwen2", "cls", "OttenokClassifier"),
    ],
)
def test_pipelines_of_transformers_give_the_same_scores(
    family: str, pooling: str, architecture: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """`pipeline("text-classification", model=FOLDER)` equals our softmax to 1e-5, with our labels."""
    network = _built(tiny(family), pooling=pooling)
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [architecture]
    assert config["problem_type"] == "single_label_classification"
    found = pipeline("text-classification", model=str(tmp_path))(TEXTS, top_k=None)
    expected = _scores(network.model, network.tokenizer, TEXTS).softmax(dim=-1)
    for row, answer in zip(expected.tolist(), found, strict=True):
        by_label = {item["label"]: item["score"] for item in answer}
        assert by_label == pytest.approx(dict(zip(SENTIMENT.labels, row, strict=True)), abs=1e-5)
    torch.testing.assert_close(_scores(load(tmp_path), network.tokenizer, TEXTS).softmax(dim=-1), expected)


HEADS = {
    "mlp": HeadOptions(kind="mlp", hidden=(24,), dropout=0.85, norm="batch", activation="leaky-relu"),
    "residual": HeadOptions(kind="mlp", hidden=(24, 24), residual=True, norm="group", activation="silu"),
    "parallel": HeadOptions(
        kind="parallel",
        branches=(LayerOptions(), LayerOptions(hidden=(16,), norm="layer"), LayerOptions(hidden=(8,), norm="batch")),
    ),
}


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_saved_and_opened(head: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """What a head has learned, batch norm's running figures included, comes back; so does its temperature."""
    network = _built(tiny("bert"), head=HEADS[head])
    network.model.train()
    for _ in range(3):
        _scores_of(network.model, network.tokenizer, TEXTS)
    network.model.eval()
    before = _scores(network.model, network.tokenizer, TEXTS)
    assert fold_temperature(network.model, 2.0)
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    opened = load(tmp_path)
    torch.testing.assert_close(_scores(opened, network.tokenizer, TEXTS), before / 2.0, atol=1e-5, rtol=0)
    alone = torch.cat([_scores(opened, network.tokenizer, [text]) for text in TEXTS])
    torch.testing.assert_close(alone, before / 2.0, atol=1e-5, rtol=0)


def test_models_saved_before_heads_had_norms_are_opened(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A `config.json` without the newer options of a head, and the names of its weights, stay readable."""
    network = _built(tiny("bert"), head=HeadOptions(kind="mlp", hidden=(8, 4), activation="tanh"))
    save(network.model, network.tokenizer, tmp_path, max_length=32)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["head"] = {"kind": "mlp", "hidden": [8, 4], "dropout": 0.0, "activation": "tanh"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    heads = {name for name in load_file(tmp_path / "model.safetensors") if name.startswith("head.")}

    layers = ("hidden.1", "hidden.4", "out")
    assert heads == {f"head.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    expected = _scores(network.model, network.tokenizer, TEXTS)
    torch.testing.assert_close(_scores(load(tmp_path), network.tokenizer, TEXTS), expected)


def test_options_that_a_native_head_lacks_are_refused(tiny: Callable[[str], Path]) -> None:
    """`cls` with a linear head is the architecture's own classifier, and a norm for it is not silently left out."""
    with pytest.raises(ConfigError) as caught:
        _built(tiny("bert"), pooling="cls", head=HeadOptions(norm="layer"))
    assert caught.value.key == "model.head.norm"


def test_the_pooler_is_the_encoders_own(tiny: Callable[[str], Path]) -> None:
    """`pooler` gives what transformers calls `pooler_output`, and trains at the encoder's rate."""
    network = _built(tiny("bert"), pooling="pooler")
    encoder = AutoModel.from_pretrained(tiny("bert")).eval()
    tokens = network.tokenizer(TEXTS, padding=True, return_tensors="pt")
    pooled = encoder(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output

    expected = network.model.head(pooled)
    torch.testing.assert_close(_scores(network.model, network.tokenizer, TEXTS), expected, atol=1e-6, rtol=0)
    assert network.is_encoder("encoder.pooler.dense.weight")
    assert not network_of(ModelOptions(encoder=str(tiny("bert")), pooling="cls"), SENTIMENT).is_encoder(
        "bert.pooler.dense"
    )


@pytest.mark.parametrize("family", ["distilbert", "qwen2", "modernbert"])
def test_an_encoder_without_a_pooler_is_refused(family: str, tiny: Callable[[str], Path]) -> None:
    """Where the architecture has none, the error names the pooling and others to use."""
    with pytest.raises(ConfigError, match="no trained pooler") as caught:
        _built(tiny(family), pooling="pooler")
    assert caught.value.key == "model.pooling"


def test_an_untrained_pooler_is_refused(tmp_path: Path) -> None:
    """A BERT whose file holds no pooler would get a random one."""
    folder = tiny_encoder(tmp_path / "bare")
    tensors = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if "pooler" not in key}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ConfigError, match="no trained pooler"):
        _built(folder, pooling="pooler")
    assert _built(folder, pooling="cls").native


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", ["eurobert", "modernbert", "ultrabert"])
def test_a_field_of_the_architecture_pools(family: str, pooling: str, tiny: Callable[[str], Path]) -> None:
    """Where the architecture's own classifier can pool so it is the model, and padding changes nothing."""
    network = _built(tiny(family), pooling=pooling)
    model = AutoModelForSequenceClassification.from_config(network.model.config).eval()
    model.load_state_dict(network.model.state_dict())

    together = _scores(model, network.tokenizer, TEXTS)
    alone = torch.cat([_scores(model, network.tokenizer, [text]) for text in TEXTS])

    assert network.native
    assert network.model.config.classifier_pooling == ("bos" if (family, pooling) == ("eurobert", "cls") else pooling)
    torch.testing.assert_close(together, _scores(network.model, network.tokenizer, TEXTS))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "pooling"), [("bert", "cls"), ("roberta", "cls"), ("distilbert", "cls"), ("qwen2", "last")]
)
def test_a_linear_heads_dropout_is_the_recipes(family: str, pooling: str, tiny: Callable[[str], Path]) -> None:
    """Whatever the architecture calls its head's dropout, and where it has none; the encoder's is another."""
    network = _built(tiny(family), pooling=pooling, dropout=0.05, head=HeadOptions(dropout=0.85))
    shares: dict[bool, set[float]] = {True: set(), False: set()}
    inside = {id(part) for part in network.model.base_model.modules()}
    for part in network.model.modules():
        if isinstance(part, torch.nn.Dropout):
            shares[id(part) in inside].add(part.p)

    assert shares[False] == {0.85}
    assert shares[True] <= {0.05}


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_padding_on_either_side_of_a_decoder_changes_nothing(pooling: str, tiny: Callable[[str], Path]) -> None:
    """A causal model's text is the same behind padding and before it, natively and through our own pooling."""
    network = _built(tiny("qwen2"), pooling=pooling, dropout=None)
    found = {}
    for side in ("left", "right"):
        network.tokenizer.padding_side = side
        found[side] = _scores(network.model, network.tokenizer, TEXTS)

    assert network.native == (pooling == "last")
    assert float(found["left"].std(dim=0).min()) > 1e-4
    torch.testing.assert_close(found["left"], found["right"], atol=1e-5, rtol=0)


def test_texts_that_end_in_the_padding_token_keep_their_end(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Qwen3's embedders close a text with the token that also pads; transformers' classifier would read one before."""
    folder = shutil.copytree(tiny("qwen3"), tmp_path / "qwen3")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer.pad_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.pad_token_id)]
    )
    tokenizer.save_pretrained(folder)
    network = _built(folder, pooling="last")
    hidden = network.model.encoder(input_ids=torch.tensor([network.tokenizer("да")["input_ids"]])).last_hidden_state

    assert not network.native
    expected = network.model.head(hidden[:, -1])
    torch.testing.assert_close(_scores(network.model, network.tokenizer, ["да"]), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["unknown", "bert"])
def test_code_that_comes_with_a_model_is_never_run(kind: str, tmp_path: Path) -> None:
    """Neither run nor asked for: an architecture of its own is refused, also under a known architecture's name."""
    folder = tiny_encoder(tmp_path / "foreign")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": kind, "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "code.py").write_text("open('ran', 'w')\nraise SystemExit\n", encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    renamed = {f"other.{key}": value for key, value in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match="code of its own, which ottenok never runs"):
        network_of(ModelOptions(encoder=str(folder)), SENTIMENT)


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    """T5 wants a second text, which nobody has."""
    (tmp_path / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    with pytest.raises(ModelError, match="an encoder with a decoder"):
        network_of(ModelOptions(encoder=str(tmp_path)), SENTIMENT)


def test_a_linear_head_on_cls_needs_no_ottenok(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A process that never imports ottenok opens the folder."""
    network = _built(tiny("bert"), pooling="cls")
    save(network.model, network.tokenizer, tmp_path, max_length=32)
    code = (
        "import sys; from transformers import pipeline;"
        f"print(pipeline('text-classification', model={str(tmp_path)!r})('плохо')[0]['label']);"
        "assert 'ottenok' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    expected = SENTIMENT.labels[int(_scores(network.model, network.tokenizer, ["плохо"]).argmax())]
    assert answer.stdout.strip() == expected


def test_multi_label_models_are_read_with_a_sigmoid(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Several labels can be likely at once: transformers' pipeline applies no softmax to a multi-label model."""
    torch.manual_seed(1)
    network = network_of(ModelOptions(encoder=str(tiny("bert")), pooling="cls"), load_scheme("emotions-7"))
    network.model.eval()
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    found = pipeline("text-classification", model=str(tmp_path))(TEXTS[0], top_k=None)
    expected = _scores(network.model, network.tokenizer, TEXTS[:1]).sigmoid()[0].tolist()
    assert sorted(item["score"] for item in found) == pytest.approx(sorted(expected), abs=1e-5)


def test_ordinal_models_are_right_under_softmax_everywhere(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """The graph itself ends in log-probabilities, so a pipeline's softmax gives probabilities that sum to 1."""
    network = _built(tiny("bert"), problem="ordinal", link="corn")
    assert network.model.head.out.out_features == 2
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    scores = _scores(load(tmp_path), network.tokenizer, TEXTS)
    torch.testing.assert_close(scores.exp().sum(dim=-1), torch.ones(3))


def test_the_head_starts_from_the_seed(tiny: Callable[[str], Path]) -> None:
    """The same seed draws the same head, another seed another one."""
    options = ModelOptions(encoder=str(tiny("bert")), pooling="mean", head=HeadOptions(kind="mlp", hidden=(8,)))

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return network_of(options, SENTIMENT).model.head.out.weight.detach()

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_a_classifiers_own_head_is_not_taken_over(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """An encoder that comes as a classifier gives its layers and not its head, whose labels may be in another order."""
    first = _built(tiny("bert"), pooling="cls")
    save(first.model, first.tokenizer, tmp_path, max_length=32)
    torch.manual_seed(2)
    second = network_of(ModelOptions(encoder=str(tmp_path), pooling="cls"), SENTIMENT)

    assert not torch.equal(first.model.classifier.weight, second.model.classifier.weight)
    assert torch.equal(
        first.model.bert.encoder.layer[0].output.dense.weight, second.model.bert.encoder.layer[0].output.dense.weight
    )


def test_weights_that_are_not_there_are_not_made_up(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """An encoder file without one of its layers is refused, where transformers would draw it at random."""
    folder = tiny_encoder(tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    lost = next(key for key in tensors if "layer.1.output.dense.weight" in key)
    save_file({key: value for key, value in tensors.items() if key != lost}, folder / "model.safetensors")

    for pooling in ("mean", "cls"):
        with pytest.raises(ModelError, match="not in its files"):
            network_of(ModelOptions(encoder=str(folder), pooling=pooling), SENTIMENT)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """A folder with `pytorch_model.bin` alone has no weights for us."""
    folder = tiny_encoder(tmp_path / "old")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="can't be loaded"):
        network_of(ModelOptions(encoder=str(folder)), SENTIMENT)


def test_an_absent_encoder_is_told_plainly(tmp_path: Path) -> None:
    """A path that is not there gives no talk of repository names."""
    with pytest.raises(ModelError, match="there is no folder"):
        network_of(ModelOptions(encoder=str(tmp_path / "nowhere")), SENTIMENT)


def test_frozen_parts_are_not_trained(tiny: Callable[[str], Path]) -> None:
    """Frozen embeddings and one frozen layer leave the second layer and the head."""
    network = _built(tiny("bert"), freeze_embeddings=True, freeze_layers=1)
    trained = {name for name, value in network.model.named_parameters() if value.requires_grad}

    assert not any(".embeddings." in name or ".layer.0." in name for name in trained)
    assert any(".layer.1." in name for name in trained)
    assert {"head.out.weight", "head.out.bias"} <= trained
    with pytest.raises(ConfigError, match="the encoder has 2"):
        _built(tiny("bert"), freeze_layers=3)


@pytest.mark.parametrize(("family", "limit"), [("bert", 64), ("roberta", 63), ("distilbert", 64)])
def test_the_limit_is_what_the_positions_hold(family: str, limit: int, tiny: Callable[[str], Path]) -> None:
    """RoBERTa's positions start behind the padding token's number, so fewer tokens fit."""
    network = _built(tiny(family))
    assert network.limit == limit
    tokens = torch.full((1, limit), 7)

    assert network.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits.shape == (1, 3)


def test_a_problem_must_fit_the_labels(tiny: Callable[[str], Path]) -> None:
    """Emotions that may come together are no multi-class problem."""
    with pytest.raises(ConfigError, match="can't be learned as multi-class"):
        network_of(ModelOptions(encoder=str(tiny("bert")), problem="multi-class"), load_scheme("emotions-7"))


@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("bert", "cls"), ("roberta", "cls")])
def test_a_temperature_in_the_weights_divides_the_scores(
    family: str, pooling: str, tiny: Callable[[str], Path]
) -> None:
    """After folding, every score is the old one divided by the temperature."""
    network = _built(tiny(family), pooling=pooling)
    before = _scores(network.model, network.tokenizer, TEXTS)

    assert fold_temperature(network.model, 2.5)
    torch.testing.assert_close(_scores(network.model, network.tokenizer, TEXTS), before / 2.5)
    ordinal = _built(tiny("bert"), problem="ordinal")
    assert not fold_temperature(ordinal.model, 2.5)


def test_saved_tokenizers_neither_cut_nor_pad(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """`tokenizer.json` carries no truncation left over from training, and `truncation=True` has a real limit."""
    network = _built(tiny("bert"))
    network.tokenizer("а" * 50, truncation=True, max_length=8, padding="max_length")
    save(network.model, network.tokenizer, tmp_path, max_length=32)

    saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert saved["truncation"] is None
    assert saved["padding"] is None
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 32


def test_short_i_and_yo_survive_the_published_tokenizer(published_tokenizer: Path) -> None:
    """й and ё come back out of rubert-tiny2's pieces; a tokenizer that strips accents would give и and е."""
    tokenizer = AutoTokenizer.from_pretrained(published_tokenizer)
    text = "Йод и ёлка"

    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_a_tokenizer_that_strips_accents_is_noticed(tmp_path: Path) -> None:
    """й and ё that become и and е are named; a tokenizer that keeps them has nothing to tell."""
    folder = tiny_encoder(tmp_path / "tiny")
    assert lost_letters(AutoTokenizer.from_pretrained(folder)) == ()

    file = folder / "tokenizer.json"
    stripped = file.read_text(encoding="utf-8").replace('"strip_accents": false', '"strip_accents": true')
    file.write_text(stripped, encoding="utf-8")
    assert lost_letters(AutoTokenizer.from_pretrained(folder)) == ("й", "ё")


def test_weights_are_averaged(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """The mean of two models has the mean of their weights; models of other shapes have none."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = network_of(ModelOptions(encoder=str(tiny("bert")), pooling="mean"), SENTIMENT)
        folders.append(tmp_path / str(seed))
        save(network.model, network.tokenizer, folders[-1], max_length=32)
    one, two = (load(folder).head.out.weight for folder in folders)
    torch.testing.assert_close(average_weights(folders).head.out.weight, (one + two) / 2)

    other = network_of(ModelOptions(encoder=str(tiny("bert")), pooling="cls+mean"), SENTIMENT)
    save(other.model, other.tokenizer, tmp_path / "other", max_length=32)
    with pytest.raises(ModelError, match="names and shapes"):
        average_weights([folders[0], tmp_path / "other"])
