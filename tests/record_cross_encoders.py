"""Record what Sentence Transformers' CrossEncoder gives for small random cross-encoders.

    pip install sentence-transformers
    python tests/record_cross_encoders.py

PyTorch is needed here only; the tests read the file that this writes.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import transformer_folder
from record_transformers import IDENTITY, SIZES, TEXTS, shapes_of, tokenizer

FIXTURE = Path(__file__).parent / "fixtures" / "cross_encoders.json"

LIMIT = 30
QUERIES = ["where is my card", "dog", TEXTS[3]]  # the last is longer than the limit
PAIRS = [[query, text] for query in QUERIES for text in TEXTS]

_OF_TODAY = {
    "modules.json": [
        {
            **{"idx": 0, "name": "0", "path": ""},
            "type": "sentence_transformers.base.modules.transformer.Transformer",
        }
    ],
    "sentence_bert_config.json": {
        "transformer_task": "sequence-classification",
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
        "module_output_name": "scores",
    },
    "config_sentence_transformers.json": {
        **{"model_type": "CrossEncoder", "activation_fn": IDENTITY},
        **{"prompts": {}, "default_prompt_name": None},
    },
}


def cases() -> dict[str, dict[str, Any]]:
    """Return the cross-encoders: their family, what config.json says more, and their files."""
    return {
        "bert": {
            "family": "bert",
            "says": {"sbert_ce_default_activation_function": IDENTITY},
            "has_segments": True,
        },
        "bert_sigmoid": {"family": "bert", "has_segments": True},
        "bert_of_today": {"family": "bert", "files": _OF_TODAY, "has_segments": True},
        "roberta": {
            "family": "roberta",
            "says": {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.1.0"}},
        },
    }


def recorded(case: dict[str, Any]) -> dict[str, Any]:
    """Return a case with the shapes of its weights, its files, its token ids and its scores."""
    import torch  # pyright: ignore[reportMissingImports]
    from sentence_transformers import CrossEncoder  # pyright: ignore[reportMissingImports]
    from transformers import (  # pyright: ignore[reportMissingImports]
        AutoConfig,
        AutoModelForSequenceClassification,
    )

    family = case["family"]
    positions = {"max_position_embeddings": 64 if family == "bert" else 66}
    segments = {} if family == "bert" else {"type_vocab_size": 1}
    config = AutoConfig.for_model(family, **SIZES, **positions, **segments, num_labels=1)
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
        shapes = {"model.safetensors": shapes_of(Path(folder) / "model.safetensors")}
        written = json.loads((Path(folder) / "config.json").read_text())
    written = {key: value for key, value in written.items() if key not in ("dtype", "_name")}
    written.pop("transformers_version")
    of_pairs = tokenizer(config.pad_token_id)
    has_segments = case.get("has_segments", False)
    of_pairs["post_processor"]["pair"][3]["Sequence"]["type_id"] = int(has_segments)
    of_pairs["post_processor"]["pair"].append(
        {"SpecialToken": {"id": "[SEP]", "type_id": int(has_segments)}}
    )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if has_segments else [])]
    files: dict[str, Any] = {
        "config.json": {**written, **case.get("says", {})},
        "tokenizer.json": of_pairs,
        "tokenizer_config.json": {
            **{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LIMIT},
            **{"pad_token": "[PAD]", "unk_token": "[UNK]", "model_input_names": names},
            **{"cls_token": "[CLS]", "sep_token": "[SEP]"},
        },
        **case.get("files", {}),
    }
    made = {"shapes": shapes, "files": files}
    with tempfile.TemporaryDirectory() as parent:
        folder = transformer_folder.make(Path(parent) / "encoder", made)
        model = CrossEncoder(str(folder), device="cpu")
        with torch.inference_mode():
            scores = model.predict(PAIRS, batch_size=len(PAIRS))
        encoded = model.tokenizer(PAIRS, truncation="longest_first", max_length=LIMIT)
    return {
        **made,
        "input_ids": encoded["input_ids"],
        "token_type_ids": encoded.get("token_type_ids"),
        "scores": [round(float(score), 7) for score in scores],
    }


def main() -> None:
    """Write the fixture."""
    made = {
        "versions": {name: version(name) for name in ("sentence-transformers", "transformers")},
        "pairs": PAIRS,
        "cases": {name: recorded(case) for name, case in cases().items()},
    }
    FIXTURE.write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
