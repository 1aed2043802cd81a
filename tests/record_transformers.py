"""Record what Sentence Transformers gives for small random encoders of each family.

    pip install sentence-transformers
    python tests/record_transformers.py

PyTorch is needed here only; the tests read the file that this writes.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import transformer_folder

FIXTURE = Path(__file__).parent / "fixtures" / "transformers.json"

WORDS = """the a cat dog bird sat ran flew on under over mat rug hill and or but not my your card
was stolen lost found where is when who pays for this that .""".split()  # noqa: SIM905
TEXTS = [
    "the cat sat on the mat .",
    "where is my card",
    "dog",
    "a bird flew over the hill and the dog ran under the rug but not on the mat . " * 2,
    "your card was stolen and found or lost when that dog ran for my cat .",
    "the card [PAD] was on the hill",  # RoBERTa's family counts its positions without padding
]

SIZES = {
    "vocab_size": len(WORDS) + 4,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 40,
}
TANH = "torch.nn.modules.activation.Tanh"
IDENTITY = "torch.nn.modules.linear.Identity"


def cases() -> dict[str, dict[str, Any]]:
    """Return the encoders: what `AutoConfig` takes, the pooling, the modules after it."""
    return {
        "bert": {"config": {**SIZES, "max_position_embeddings": 64}, "pooling": "mean"},
        "bert_dense": {
            "config": {**SIZES, "max_position_embeddings": 64, "model_type": "bert"},
            "pooling": "max",
            "dense": [(24, 16, TANH, True), (16, 10, IDENTITY, False)],
        },
        "camembert": {
            "config": {**SIZES, "max_position_embeddings": 66, "pad_token_id": 1},
            "pooling": "mean_sqrt_len_tokens",
        },
        "distilbert": {
            "config": {
                **{"vocab_size": SIZES["vocab_size"], "dim": 24, "n_layers": 4, "n_heads": 3},
                **{"hidden_dim": 40, "max_position_embeddings": 64},
            },
            "pooling": "mean",
            "dense": [(24, 12, TANH, True)],
        },
        **{
            f"bert_prompt_{pooling}": {
                "config": {**SIZES, "num_hidden_layers": 1, "max_position_embeddings": 64},
                "pooling": pooling,
                "prompt": "query: my ",
            }
            for pooling in ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")
        },
        "bert_prompt_lasttoken": {
            "config": {**SIZES, "num_hidden_layers": 1, "max_position_embeddings": 64},
            "pooling": "lasttoken",
            "prompt": "query: my ",
            "include_prompt": False,
        },
        "bert_truncated": {
            "config": {**SIZES, "num_hidden_layers": 1, "max_position_embeddings": 64},
            "pooling": "mean",
            "dense": [(24, 16, TANH, True)],
            "normalize": True,
            "prompt": "query: my ",
            "truncate_dim": 7,
        },
        "modernbert": {
            "config": {**SIZES, "max_position_embeddings": 64, "local_attention": 8},
            "pooling": "cls",
        },
        "mpnet": {"config": {**SIZES, "max_position_embeddings": 66}, "pooling": "mean"},
        "nomic_bert": {
            "config": {**SIZES, "max_position_embeddings": 64},
            "pooling": "mean",
        },
        "roberta": {
            "config": {**SIZES, "max_position_embeddings": 66, "layer_norm_eps": 1e-5},
            "pooling": "weightedmean",
        },
        "xlm-roberta": {
            "config": {**SIZES, "max_position_embeddings": 66, "hidden_act": "gelu_new"},
            "pooling": "lasttoken",
        },
    }


def tokenizer(padding: int) -> dict[str, Any]:
    """Return a tokenizer.json of words: [CLS] … [SEP], with the padding at this id."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    if padding == 1:
        special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS])}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                **{"id": vocabulary[word], "content": word, "special": True},
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
            }
            for word in special
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
            ],
            "special_tokens": {
                word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
                for word in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


def recorded(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """Return a case with the shapes of its weights, its files, and its vectors."""
    import torch  # pyright: ignore[reportMissingImports]
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )
    from transformers import AutoConfig, AutoModel  # pyright: ignore[reportMissingImports]

    said = dict(case["config"])
    config = AutoConfig.for_model(
        said.pop("model_type", name.partition("_prompt")[0].partition("_truncated")[0]), **said
    )
    padding = config.pad_token_id if config.pad_token_id in (0, 1) else 0
    config.pad_token_id = padding
    with tempfile.TemporaryDirectory() as folder:
        AutoModel.from_config(config).save_pretrained(folder)
        shapes = {"model.safetensors": shapes_of(Path(folder) / "model.safetensors")}
        written = json.loads((Path(folder) / "config.json").read_text())
    kept = ("_name_or_path", "transformers_version", "architectures", "dtype", "id2label")
    files: dict[str, Any] = {
        "config.json": {key: value for key, value in written.items() if key not in kept},
        "tokenizer.json": tokenizer(padding),
        "tokenizer_config.json": {
            **{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 30},
            **{"pad_token": "[PAD]", "unk_token": "[UNK]"},
            **{"cls_token": "[CLS]", "sep_token": "[SEP]"},
        },
        "sentence_bert_config.json": {"max_seq_length": 30, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": 24,
            f"pooling_mode_{_flag(case['pooling'])}": True,
            **({} if case.get("include_prompt", True) else {"include_prompt": False}),
        },
    }
    prompt = case.get("prompt", "")
    if prompt:
        files["config_sentence_transformers.json"] = {
            **{"prompts": {"query": prompt}, "default_prompt_name": "query"},
            "truncate_dim": case.get("truncate_dim"),
        }
    kinds = ["Transformer", "Pooling"]
    for takes, gives, activation, bias in case.get("dense", ()):
        place = f"{len(kinds)}_Dense"
        kinds.append("Dense")
        files[f"{place}/config.json"] = {
            **{"in_features": takes, "out_features": gives, "bias": bias},
            "activation_function": activation,
        }
        shapes[f"{place}/model.safetensors"] = {
            "linear.weight": [gives, takes],
            **({"linear.bias": [gives]} if bias else {}),
        }
    if case.get("normalize"):
        kinds.append("Normalize")
    files["modules.json"] = [
        {
            **{"idx": place, "name": str(place)},
            "path": f"{place}_{kind}" if place else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    made = {"shapes": shapes, "files": files}
    with tempfile.TemporaryDirectory() as parent:
        folder = transformer_folder.make(Path(parent) / "encoder", made)
        model = SentenceTransformer(str(folder), device="cpu").eval()
        with torch.inference_mode():
            vectors = model.encode(TEXTS, batch_size=len(TEXTS))
            ids = model.tokenize([prompt + text for text in TEXTS])
    return {
        **made,
        "input_ids": ids["input_ids"].tolist(),
        "attention_mask": ids["attention_mask"].tolist(),
        "vectors": [[round(float(x), 7) for x in row] for row in vectors],
    }


def _flag(pooling: str) -> str:
    return {
        "cls": "cls_token",
        "mean": "mean_tokens",
        "max": "max_tokens",
        "weightedmean": "weightedmean_tokens",
    }.get(pooling, pooling)


def shapes_of(path: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    with safe_open(str(path), "np") as file:
        return {name: file.get_slice(name).get_shape() for name in sorted(file.keys())}


def main() -> None:
    """Write the fixture."""
    made = {
        "versions": {name: version(name) for name in ("sentence-transformers", "transformers")},
        "texts": TEXTS,
        "cases": {name: recorded(name, case) for name, case in cases().items()},
    }
    FIXTURE.write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
