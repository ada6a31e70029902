"""The network: from a recipe and label schemes to a model ready to train; its files; a temperature in its weights."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ottenok.bundle.foreign import read_labels
from ottenok.bundle.manifest import CONFIG, TOKENIZER_CONFIG, read_json
from ottenok.bundle.stock import own_config
from ottenok.core.errors import ConfigError, ModelError
from ottenok.models.classifier import OttenokClassifier, OttenokConfig, register
from ottenok.models.encoder import (
    attention_kind,
    freeze,
    give_padding,
    keep_layers,
    load_config,
    load_encoder,
    load_tokenizer,
    quiet,
    refuse_random,
    text_limit,
)
from ottenok.models.heads import IdentityLink
from ottenok.models.stock import read_stock, to_stock
from ottenok.recipes.model import PROBLEMS, HeadOptions, resolve_problem
from ottenok.tasks.decision import Decision, check_fit
from ottenok.tasks.task import Task, columns
from ottenok.tasks.tuning import check_tuning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.core.schemes import LabelScheme
    from ottenok.recipes.model import ModelOptions, Problem
    from ottenok.recipes.train import DecisionOptions, TaskOptions, TrainRecipe

__all__ = [
    "NATIVE_POOLING",
    "POOLING_FIELD",
    "Network",
    "average_weights",
    "build",
    "fold_temperature",
    "load",
    "load_saved_tokenizer",
    "output_layer",
    "plain_decision",
    "save",
]

# Architectures whose own sequence classifier scores one position with (its own layers and) a linear layer, by pooling.
# What is saved as such opens in transformers without ottenok. An architecture that is not here is saved as ours.
NATIVE_POOLING: dict[str, str] = {
    **dict.fromkeys(
        ("albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
         "electra", "ernie", "megatron-bert", "mpnet", "nystromformer", "rembert", "roberta", "roformer",
         "xlm-roberta", "xlm-roberta-xl"),
        "cls",
    ),
    **dict.fromkeys(("gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3", "smollm3"), "last"),
}  # fmt: skip
# Architectures whose own sequence classifier pools as `classifier_pooling` of their configuration says: pooling to the
# field's value.
POOLING_FIELD: dict[str, dict[str, str]] = {
    "eurobert": {"cls": "bos", "mean": "mean"},
    "modernbert": {"cls": "cls", "mean": "mean"},
    "ultrabert": {"cls": "cls", "mean": "mean"},
}

# What torch's wrappers put before the names of weights: DataParallel and compile.
_WRAPPED = re.compile(r"^(?:(?:module|_orig_mod)\.)+")
# Where architectures' own sequence classifiers keep their last linear layer.
_NATIVE_OUTPUTS = ("classifier.out_proj", "classifier", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network ready to train.

    Attributes:
        model: A transformers model for sequence classification, float32, with the primary task's labels in its config;
            its `logits` are those of all tasks side by side.
        tokenizer: The encoder's fast tokenizer.
        tasks: What it answers, with untuned decisions; the first is the primary one.
        options: What the recipe says of each task.
        limit: Most tokens that the encoder can read, or None.
        native: True if the model is the architecture's own sequence classifier.
        started: Tasks whose heads come from the classifier that the recipe starts from.
    """

    model: Any
    tokenizer: Any
    tasks: tuple[Task, ...]
    options: tuple[TaskOptions, ...]
    limit: int | None
    native: bool
    started: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, slice]:
        """Where each task's logits stand among the model's."""
        return columns(self.tasks)

    @property
    def outputs(self) -> int:
        """Logits of all tasks together."""
        return sum(task.outputs for task in self.tasks)

    def is_encoder(self, name: str) -> bool:
        """Tell whether the parameter called `name` came with the encoder; a native pooler counts as new."""
        return name.startswith(f"{self.model.base_model_prefix}.") and not (self.native and ".pooler." in name)


def build(recipe: TrainRecipe, schemes: Mapping[str, LabelScheme]) -> Network:
    """Build the network. Seed everything before: new layers are drawn here.

    Args:
        recipe: The recipe.
        schemes: Name to labels of the tasks that there is data for, the primary one first.

    Raises:
        ConfigError: An option is unknown or does not fit the scheme.
        SchemeError: A decision names a label that the scheme has not.
        ModelError: The encoder can't be loaded.
    """
    options, asked = recipe.model, recipe.task_options(schemes)
    tasks = []
    for one in asked:
        scheme = schemes[one.name]
        problem = resolve_problem(one.problem or "auto", scheme)
        if one.link not in {"auto", "identity"} and problem != "ordinal":
            raise ConfigError(f"the link {one.link!r} is for ordinal problems, this one is {problem}", key="model.link")
        decision = plain_decision(problem, scheme, one.decision or recipe.decision)
        tasks.append(Task(name=one.name, scheme=scheme, problem=problem, decision=decision))
    first = asked[0]
    config = load_config(options, head_dropout=(first.head or options.head).dropout)
    tokenizer = load_tokenizer(options)
    # The architecture's own classifier serves one task with a plain head that pools as it does; the decoders' and
    # EuroBERT's have no dropout before their logits. Decoders look for the last token that is no padding, so a
    # tokenizer that ends texts in the padding token, as of Qwen3's embedders, would have them read the token before.
    head, last, problem = options.head, options.pooling == "last", tasks[0].problem
    field = POOLING_FIELD.get(config.model_type, {}).get(options.pooling)
    native = (
        len(tasks) == 1
        and PROBLEMS[problem].link == "identity"
        and problem != "regression"
        and head == HeadOptions(dropout=head.dropout, activation=head.activation)
        and (field is not None or NATIVE_POOLING.get(config.model_type) == options.pooling)
        and not ((last or config.model_type == "eurobert") and head.dropout)
        and not (last and tokenizer("a")["input_ids"][-1] == tokenizer.pad_token_id)
    )
    if native and field is not None:
        config.classifier_pooling = field
    config.pad_token_id = tokenizer.pad_token_id
    model = _native(options, config, tasks[0]) if native else _own(options, config, tasks, asked)
    if not native:
        model.all_tasks = True
    started = () if options.init_from is None else _take_heads(model, tasks, options.init_from)
    freeze(model.base_model, embeddings=options.freeze_embeddings, layers=options.freeze_layers)
    return Network(
        model=model,
        tokenizer=tokenizer,
        tasks=tuple(tasks),
        options=asked,
        limit=text_limit(config),
        native=native,
        started=started,
    )


def plain_decision(problem: Problem, scheme: LabelScheme, options: DecisionOptions) -> Decision:
    """Return the untuned decision of a problem.

    Raises:
        ConfigError: The recipe asks for thresholds in a one-label scheme.
        SchemeError: The label of empty answers, or the exclusive one, is none of the scheme's.
    """
    check_tuning(options.thresholds, scheme)
    several = problem == "multi-label"
    decision = Decision(
        activation=PROBLEMS[problem].activation,
        empty=options.empty if several else "allow",
        exclusive=options.exclusive if several else "",
        values=scheme.values if problem == "regression" else (),
    )
    check_fit(decision, scheme)
    return decision


def _label_fields(task: Task) -> dict[str, Any]:
    facts = PROBLEMS[task.problem]
    # A regression has one output, which is none of the labels: a pipeline must not call every text by the first one.
    names = ("score",) if task.problem == "regression" else task.scheme.labels
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {label: number for number, label in enumerate(names)},
        "problem_type": facts.hub_name,
        "function_to_apply": facts.activation if facts.activation in {"softmax", "sigmoid"} else "none",
    }


def _native(options: ModelOptions, config: Any, task: Task) -> Any:  # noqa: ANN401
    for key, value in _label_fields(task).items():
        setattr(config, key, value)
    # The head is always new, also where the encoder is a classifier of its own: its labels may have another order.
    encoder = load_encoder(options, config, pooler=True)
    if options.layers:
        keep_layers(encoder, config, options.layers)
    model: Any = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.float32, attn_implementation=attention_kind(options)
    )
    inner = model.base_model
    # Some architectures have no field for the head's dropout in their configuration, and take the encoder's.
    own = {id(part) for part in inner.modules()}
    for part in model.modules():
        if isinstance(part, nn.Dropout) and id(part) not in own:
            part.p = options.head.dropout
    known = inner.state_dict().keys()
    inner.load_state_dict({key: value for key, value in encoder.state_dict().items() if key in known})
    return model


def _own(options: ModelOptions, config: Any, tasks: list[Task], asked: tuple[TaskOptions, ...]) -> OttenokClassifier:  # noqa: ANN401
    poolings = [one.pooling or options.pooling for one in asked]
    wanted = options.model_copy(update={"pooling": "pooler" if "pooler" in poolings else poolings[0]})
    encoder: Any = load_encoder(wanted, config, pooler="pooler" in poolings)
    if options.layers:
        keep_layers(encoder, config, options.layers)
    parts: list[dict[str, Any]] = [
        {
            "pooling": pooling,
            "head": (one.head or options.head).model_dump(mode="json"),
            "link": PROBLEMS[task.problem].link if one.link in {None, "auto"} else one.link,
        }
        for task, one, pooling in zip(tasks, asked, poolings, strict=True)
    ]
    others = [
        {"name": task.name, "labels": list(fields["id2label"].values()), "problem_type": fields["problem_type"], **part}
        for task, part in zip(tasks[1:], parts[1:], strict=True)
        for fields in [_label_fields(task)]
    ]
    # Of the encoder's configuration only what differs from the architecture's defaults, and nothing about its file.
    dropped = {"architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "id2label", "label2id"}
    fields = {key: value for key, value in encoder.config.to_diff_dict().items() if key not in dropped}
    own = OttenokConfig(
        encoder={"model_type": encoder.config.model_type} | fields,
        **parts[0],
        other_tasks=others,
        pad_token_id=config.pad_token_id,
        **_label_fields(tasks[0]),
    )
    return OttenokClassifier(own, encoder)


def _take_heads(model: Any, tasks: list[Task], folder: str) -> tuple[str, ...]:  # noqa: ANN401
    """Take over the heads of a trained classifier whose task has the same name and labels, and whose layers fit.

    Returns:
        The tasks whose heads were taken.
    """
    from ottenok.bundle.folder import open_bundle

    before: Any = load(folder)
    there = open_bundle(folder).manifest.task_list()
    taken = []
    for place, task in enumerate(tasks):
        old = next(
            (n for n, one in enumerate(there) if (one.name, one.scheme.labels) == (task.name, task.scheme.labels)), None
        )
        if old is None:
            continue
        source, target = _heads(before, old), _heads(model, place)
        shapes = [{name: weight.shape for name, weight in part.items()} for part in (source, target)]
        if target and shapes[0] == shapes[1]:
            with torch.no_grad():
                for name, weight in target.items():
                    weight.copy_(source[name])
            taken.append(task.name)
    return tuple(taken)


def _heads(model: Any, place: int) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Return the weights of a task's own layers by name."""
    if place:
        return dict(model.others[place - 1].state_dict())
    outside = (f"{model.base_model_prefix}.", "others.")
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith(outside)}


def output_layer(model: Any, place: int = 0) -> nn.Linear | None:  # noqa: ANN401 - one class per architecture
    """Return the linear layer whose outputs are a task's logits; None if there is none that is known.

    Args:
        model: A classifier.
        place: Of the task among the model's.
    """
    if isinstance(model, OttenokClassifier):
        part: Any = model.others[place - 1] if place else model
        return cast("nn.Linear", part.head.out) if isinstance(part.link, IdentityLink) else None
    modules: dict[str, nn.Module] = dict(model.named_modules())
    for name in _NATIVE_OUTPUTS:
        found = modules.get(name)
        if isinstance(found, nn.Linear):
            return found
    return None


def fold_temperature(model: Any, temperature: float, place: int = 0) -> bool:  # noqa: ANN401
    """Divide a task's logits by a fitted temperature, by scaling their linear layer.

    Every tool that opens the model then gives believable probabilities.

    Args:
        model: A classifier.
        temperature: Above 0.
        place: Of the task among the model's.

    Returns:
        False, with the model unchanged, where no linear layer makes the logits (ordinal links).
    """
    layer = output_layer(model, place)
    if layer is None:
        return False
    with torch.no_grad():
        layer.weight.div_(temperature)
        if layer.bias is not None:
            layer.bias.div_(temperature)
    return True


def save(model: Any, tokenizer: Any, folder: Path, *, max_length: int) -> None:  # noqa: ANN401
    """Write `config.json`, `model.safetensors` and the tokenizer's files into a folder.

    A classifier of ottenok's own kind is saved as a class that transformers has, if one can compute the same
    (`ottenok.models.stock`). Other files of the folder stay. Each file is renamed into place when all are complete.

    Args:
        model: A transformers model.
        tokenizer: Its fast tokenizer; what is saved cuts and pads nothing by itself.
        folder: Where to.
        max_length: Saved as the tokenizer's `model_max_length`, so that `truncation=True` means something everywhere.
    """
    part = folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    stock = to_stock(model) if isinstance(model, OttenokClassifier) else None
    with quiet():
        (model if stock is None else stock).save_pretrained(part, max_shard_size="50GB")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(part)
    if stock is not None:
        # No segments, whose numbers XLM would look up among the words, and no padding, which it would count.
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_length,
            "model_input_names": ["input_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            **{name: token for name, token in tokenizer.special_tokens_map.items() if name != "pad_token"},
        }
    else:
        # transformers 5 writes a name that 4 does not know, nor optimum, which needs 4; both know the other.
        settings = json.loads((part / TOKENIZER_CONFIG).read_text(encoding="utf-8"))
        if settings.get("tokenizer_class") == "TokenizersBackend":
            settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (part / TOKENIZER_CONFIG).write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf-8")
    # Without the indentation, which makes the file of a large vocabulary larger by two thirds.
    (part / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    for file in sorted(part.iterdir()):
        # Weights come out readable by their owner only; a model is as public as the rest of its folder.
        shutil.copymode(part / "config.json", file)
    for file in sorted(part.iterdir()):
        file.replace(folder / file.name)
    part.rmdir()


def load(folder: str | Path, *, attention: str | None = None) -> Any:  # noqa: ANN401 - one class per architecture
    """Open the model in a folder, in float32 and for evaluation; its `logits` are those of all its tasks side by side.

    Names that torch's wrappers begin (`module.`, `_orig_mod.`) are read without them.

    Raises:
        ModelError: It can't be opened, or its weights are not those that its configuration describes.
    """
    register()
    try:
        if (found := read_stock(str(folder))) is not None:
            with quiet():
                own: Any = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                    found[0], dtype=torch.float32, attn_implementation=attention
                )
            own.load_state_dict(found[1])
            own.all_tasks = True
            return own.eval()
        names = []
        for file in sorted(Path(folder).glob("model*.safetensors")):
            with safe_open(file, framework="pt") as weights:
                names += list(weights.keys())
        fields: dict[str, Any] = {}
        if any(_WRAPPED.match(name) for name in names):
            fields["key_mapping"] = {_WRAPPED.pattern: ""}
        config = read_json(Path(folder) / CONFIG)
        if "id2label" not in config and "label2id" in config:
            # transformers counts the labels of the one alone.
            fields["id2label"] = dict(enumerate(read_labels(config, file=CONFIG)))
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **fields,
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"this model can't be opened: {reason}", file=str(folder)) from error
    for name, found, wanted in sorted(info["mismatched_keys"]):
        raise ModelError(
            f"the weight {name} is {' x '.join(map(str, found))}, and config.json describes "
            f"{' x '.join(map(str, wanted))}",
            hint="Check that config.json and model.safetensors belong together, the number of labels first.",
            file=str(folder),
        )
    refuse_random(str(folder), missing=info["missing_keys"], left=info["unexpected_keys"])
    if isinstance(model, OttenokClassifier):
        model.all_tasks = True
    return model.eval()


def average_weights(folders: Sequence[str | Path]) -> Any:  # noqa: ANN401 - one class per architecture
    """Return the model whose weights are the mean of those of trained models of one recipe (Wortsman et al. 2022).

    Seeds that started from the same pretrained weights have a mean that is often better than any of them; of models
    that started elsewhere the mean is nothing.

    Args:
        folders: Of two models or more.

    Raises:
        ModelError: They can't be opened, or their weights do not match.
    """
    first, *others = [load(folder) for folder in folders]
    mean = {name: weight.to(torch.float64) for name, weight in first.state_dict().items()}
    for folder, model in zip(folders[1:], others, strict=True):
        state = model.state_dict()
        if {name: weight.shape for name, weight in state.items()} != {name: one.shape for name, one in mean.items()}:
            raise ModelError("its weights are not of the first model's names and shapes", file=str(folder))
        for name, weight in state.items():
            mean[name] = mean[name] + weight
    first.load_state_dict(
        {name: (mean[name] / len(folders)).to(weight.dtype) for name, weight in first.state_dict().items()}
    )
    return first


def load_saved_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - one class per family
    """Open the tokenizer in a folder.

    Raises:
        ModelError: It can't be opened.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        give_padding(tokenizer, own_config(read_json(folder / CONFIG)))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"this tokenizer can't be opened: {error}", file=str(folder)) from error
    return tokenizer
