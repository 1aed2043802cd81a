"""The folders that are refused: each has its sentence, and stages nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bert_folder
import duckdb_projects
import numpy as np
import pytest
import static_folders
import transformer_folder
from safetensors.numpy import load_file, save_file
from staging_cli import stage_model, staged_files
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.conversion.folders import read_folder
from tf_embeddings_staging.conversion.transformer import AS_SAVED_MODEL
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local

FIXTURES = Path(__file__).parent / "fixtures"
TRANSFORMERS: dict[str, Any] = json.loads((FIXTURES / "transformers.json").read_text())["cases"]

WEIGHTS = "model.safetensors"
TANH = "torch.nn.modules.activation.Tanh"
POOLINGS = "mean, cls, max, mean_sqrt_len, weightedmean and lasttoken"
TYPES = (
    "'bert', 'camembert', 'distilbert', 'modernbert', 'mpnet', 'nomic_bert', 'roberta', "
    "'xlm-roberta'"
)
ACTIVATIONS = "'gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu', 'silu'"
KNOWN = (
    "the converter knows Transformer + Pooling, then any number of Dense, and at most Normalize "
    "after that"
)
WHOLE = "Save the whole pipeline as one SavedModel, with one vector a text"
BY_ST = "Use the encoder with Sentence Transformers."
PEFT = (
    "'adapter_config.json' is there: PEFT adds an adapter to the model's own weights, which is not "
    "done here. Merge it first, with merge_and_unload() and save_pretrained(), and stage the "
    "folder that this writes."
)
PLAIN = (
    "and the converter knows the plain bert only. Stage a model without that, or a SavedModel of "
    "this one."
)
TORN = "'model.safetensors' is not a complete safetensors file (Error while deserializing header: "
SIZE = "not a whole number of at least 1 and below 2**31."
AGAIN = "Download or save the folder again."
SAVE_TOKENIZER = (
    "Save the tokenizer as you use it, with AutoTokenizer.from_pretrained(folder)"
    ".save_pretrained(folder), and stage that."
)
NO_TOKENIZER = (
    "the folder 'encoder' has no 'tokenizer.json'; the converter needs the fast tokenizer. Save it "
    "there, with AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
)
NO_WEIGHTS = (
    "the folder 'encoder' has no 'model.safetensors'; weights in another format must be saved as "
    "safetensors. Load the encoder with Sentence Transformers, and save it with "
    "save_pretrained(folder)."
)
POINTER = (
    " is a pointer of Git LFS, not the file itself. Install Git LFS and run 'git lfs pull' in the "
    "model's folder, or download the file."
)

Change = Callable[[Path], object]


@dataclass(frozen=True)
class Refused:
    """What is changed in a folder, and the sentence that it has then.

    Attributes:
        change: of the folder that would be staged.
        sentence: all of it.
        of: a case of `fixtures/transformers.json`, or `plain`, the BERT of `bert_folder`.
        options: what is said on the command line.
    """

    change: Change
    sentence: str
    of: str = "plain"
    options: Options = field(default_factory=Options)


def edit(name: str, **fields: object) -> Change:
    """Set fields of a JSON file, which need not be there; None removes a field."""

    def change(folder: Path) -> None:
        file = folder / name
        content = {**(json.loads(file.read_text()) if file.is_file() else {}), **fields}
        kept = {key: value for key, value in content.items() if value is not None}
        bert_folder.write_json(file, kept)

    return change


def text(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def without(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names]


def renamed(name: str, other: str) -> Change:
    def change(folder: Path) -> None:
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / name).rename(folder / other)

    return change


def modules(*kinds: str) -> Change:
    """List these modules; what has a dot is the whole path of a class."""
    listed = [
        {
            "type": kind if "." in kind else f"sentence_transformers.models.{kind}",
            "path": f"{place}_{kind}" if place else "",
        }
        for place, kind in enumerate(kinds)
    ]
    return text("modules.json", json.dumps(listed))


def tensors(change: Callable[[dict[str, np.ndarray]], object], name: str = WEIGHTS) -> Change:
    """Change the tensors of a file."""

    def changed(folder: Path) -> None:
        there = load_file(folder / name)
        change(there)
        save_file(there, folder / name)

    return changed


def renamed_tensor(name: str, other: str) -> Change:
    return tensors(lambda there: there.update({other: there.pop(name)}))


def header(change: Callable[[dict[str, Any]], object], name: str = WEIGHTS) -> Change:
    """Change what a safetensors file says of its tensors, and nothing else."""

    def changed(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        said = json.loads(content[8 : 8 + length])
        change(said)
        written = json.dumps(said).encode()
        (folder / name).write_bytes(
            struct.pack("<Q", len(written)) + written + content[8 + length :]
        )

    return changed


def nothing(folder: Path) -> None:
    """Change nothing: the folder, or what is said of it, is refused as it is."""


def all_of(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def sharded(files: dict[str, str]) -> Change:
    return all_of(
        without(WEIGHTS), text(f"{WEIGHTS}.index.json", json.dumps({"weight_map": files}))
    )


def twice(there: dict[str, np.ndarray]) -> None:
    name = "embeddings.LayerNorm.bias"
    there[f"bert.{name}"] = there[name] + 1


WORDS = "embeddings.word_embeddings.weight"
LIE = {"dtype": "F32", "shape": [24], "data_offsets": [0, 10**12]}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4665a5\nsize 9\n"
PROMPT = edit(
    "config_sentence_transformers.json", prompts={"q": "query: "}, default_prompt_name="q"
)

CASES: dict[str, Refused] = {
    # What is there is no encoder, or not all of it
    "LoRA adapter": Refused(edit("adapter_config.json", r=8), PEFT),
    "LoRA adapter without a model": Refused(
        all_of(
            without("config.json", "modules.json", "1_Pooling/config.json"),
            edit("adapter_config.json", r=8),
            renamed(WEIGHTS, "adapter_model.safetensors"),
        ),
        PEFT,
    ),
    "weights beside the model's": Refused(
        renamed("1_Pooling/config.json", "dense.safetensors"),
        "'dense.safetensors' lies beside 'model.safetensors': what it does to the vectors is "
        "not known here. Merge it into the model, or take it out.",
    ),
    "pytorch_model.bin only": Refused(renamed(WEIGHTS, "pytorch_model.bin"), NO_WEIGHTS),
    "ONNX only": Refused(renamed(WEIGHTS, "onnx/model.onnx"), NO_WEIGHTS),
    "OpenVINO only": Refused(renamed(WEIGHTS, "openvino/openvino_model.bin"), NO_WEIGHTS),
    "GGUF only": Refused(renamed(WEIGHTS, "model-q8_0.gguf"), NO_WEIGHTS),
    "vocab.txt only": Refused(renamed("tokenizer.json", "vocab.txt"), NO_TOKENIZER),
    "no config.json": Refused(
        without("config.json"),
        "the folder 'encoder' has no 'config.json', so it is not a complete sentence "
        f"encoder. {AGAIN}",
    ),
    "no pooling": Refused(
        without("modules.json", "1_Pooling/config.json"),
        "the folder 'encoder' has neither modules.json nor 1_Pooling/config.json, so nothing "
        "says how the tokens' vectors become one. Save the encoder with Sentence "
        "Transformers, or say --pooling mean or --pooling cls.",
    ),
    "no file of the pooling": Refused(
        without("1_Pooling/config.json"),
        "the folder '1_Pooling' has no 'config.json', so it is not a complete sentence "
        f"encoder. {AGAIN}",
    ),
    "a module that nothing lists": Refused(
        all_of(without("modules.json"), text("2_Dense/config.json", "{}")),
        "'2_Dense' is the folder of a module of Sentence Transformers, and there is no "
        "'modules.json' that says how it is used. Save the encoder again, or take it out.",
    ),
    **{
        f"pointer for {name}": Refused(
            text(name, LFS),
            f"'{Path(name).name}'{POINTER}",
        )
        for name in (
            *("config.json", "modules.json", "tokenizer.json", "tokenizer_config.json"),
            *("1_Pooling/config.json", WEIGHTS, "sentence_bert_config.json"),
        )
    },
    # Another model than the converter knows
    **{
        f"model_type {kind}": Refused(
            edit("config.json", model_type=kind),
            f"'config.json' says model_type {kind!r}; the converter knows {TYPES}. "
            f"{AS_SAVED_MODEL}",
        )
        for kind in ("gpt2", "qwen3", "llama", "gemma3_text", "t5", "bart", "new", "clip", 7)
    },
    "no model_type": Refused(
        edit("config.json", model_type=None),
        f"'config.json' says model_type None; the converter knows {TYPES}. {AS_SAVED_MODEL}",
    ),
    "is_decoder": Refused(
        edit("config.json", is_decoder=True),
        "'config.json' says is_decoder true; the converter knows encoders only, in which "
        f"each token attends to the whole text. {AS_SAVED_MODEL}",
    ),
    "cross-attention": Refused(
        edit("config.json", add_cross_attention=True),
        "'config.json' says add_cross_attention true; the converter knows encoders only, in "
        f"which each token attends to the whole text. {AS_SAVED_MODEL}",
    ),
    "relative positions": Refused(
        edit("config.json", position_embedding_type="relative_key"),
        "'config.json' says position_embedding_type 'relative_key'; the converter knows "
        f"'absolute'. {AS_SAVED_MODEL}",
    ),
    "hidden_act": Refused(
        edit("config.json", hidden_act="mish"),
        f"'config.json' says hidden_act 'mish'; the converter knows {ACTIVATIONS}. "
        f"{AS_SAVED_MODEL}",
    ),
    "remote code": Refused(
        edit("config.json", auto_map={"AutoModel": "modeling.Bert"}),
        "'config.json' says auto_map: code of the model's own computes it, which never runs "
        f"here, {PLAIN}",
    ),
    "remote module": Refused(
        modules("custom_st.Transformer", "Pooling"),
        f"'modules.json' asks for custom_st.Transformer + Pooling; {KNOWN}. {WHOLE}.",
    ),
    "remote tokenizer": Refused(
        edit("tokenizer_config.json", auto_map={"AutoTokenizer": [None, "a.B"]}),
        "'tokenizer_config.json' says auto_map: the tokenizer is code of the model's own, "
        f"which never runs here. {SAVE_TOKENIZER}",
    ),
    **{
        f"quantized, {method}": Refused(
            edit("config.json", quantization_config={"quant_method": method}),
            f"'config.json' says quantization_config: its weights are quantized, {PLAIN}",
        )
        for method in ("awq", "gptq", "bitsandbytes")
    },
    # Modules
    **{
        f"modules {' + '.join(kinds)}": Refused(
            modules(*kinds),
            f"'modules.json' asks for {' + '.join(kinds) or 'nothing'}; {KNOWN}. {WHOLE}.",
        )
        for kinds in (
            ("Transformer", "Pooling", "LSTM"),
            ("Transformer", "CNN", "Pooling"),
            ("Transformer", "WordWeights", "Pooling"),
            ("Transformer", "Pooling", "LayerNorm"),
            ("Transformer", "Pooling", "Normalize", "Dense"),
            ("WordEmbeddings", "Pooling"),
            ("CLIPModel",),
            ("Asym",),
            ("Router",),
            ("Transformer",),
            (),
        )
    },
    "modules that are a map": Refused(
        text("modules.json", "{}"),
        f"'modules.json' is not a list of modules with a type and a path. {AGAIN}",
    ),
    "a path that leaves the folder": Refused(
        text(
            "modules.json",
            json.dumps(
                [
                    {"type": f"sentence_transformers.models.{kind}", "path": path}
                    for kind, path in (("Transformer", ""), ("Pooling", "../elsewhere"))
                ]
            ),
        ),
        f"'modules.json' has the path '../elsewhere', which leaves the folder. {AGAIN}",
    ),
    "two poolings": Refused(
        edit("1_Pooling/config.json", pooling_mode_mean_tokens=1),
        "'1_Pooling/config.json' asks for the pooling cls + mean; the converter knows "
        f"{POOLINGS}. {WHOLE}, or choose one with --pooling.",
    ),
    "two poolings, today": Refused(
        edit("1_Pooling/config.json", pooling_mode=["cls", "mean"]),
        "'1_Pooling/config.json' asks for the pooling cls + mean; the converter knows "
        f"{POOLINGS}. {WHOLE}, or choose one with --pooling.",
    ),
    "no pooling true": Refused(
        edit("1_Pooling/config.json", pooling_mode_cls_token=False),
        f"'1_Pooling/config.json' asks for no pooling; the converter knows {POOLINGS}. "
        f"{WHOLE}, or choose one with --pooling.",
    ),
    "unknown pooling": Refused(
        edit("1_Pooling/config.json", pooling_mode_cls_token=False, pooling_mode_median=True),
        "'1_Pooling/config.json' asks for the pooling median; the converter knows "
        f"{POOLINGS}. {WHOLE}, or choose one with --pooling.",
    ),
    **{
        f"include_prompt false, {mode}": Refused(
            all_of(edit("1_Pooling/config.json", pooling_mode=mode, include_prompt=False), PROMPT),
            "'1_Pooling/config.json' says include_prompt false: the tokens of the prompt 'query: "
            f"' have no part in the pooling {mode.removesuffix('_tokens')}, and here they would "
            'have. Choose no prompt, with --prefix "", or use the encoder with Sentence '
            "Transformers.",
        )
        for mode in ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")
    },
    "Normalize of tokens": Refused(
        all_of(
            modules("Transformer", "Pooling", "Normalize"),
            edit("2_Normalize/config.json", module_input_name="token_embeddings"),
        ),
        "'2_Normalize/config.json' says module_input_name 'token_embeddings': the runtime "
        f"scales a text's vector, sentence_embedding, and nothing else. {BY_ST}",
    ),
    # Numbers
    "a size that is a text": Refused(
        edit("config.json", hidden_size="24"),
        f"'config.json' says hidden_size '24', {SIZE} {AGAIN}",
    ),
    "a size that is huge": Refused(
        edit("config.json", hidden_size=10**12),
        f"'config.json' says hidden_size 1000000000000, {SIZE} {AGAIN}",
    ),
    "a number of 5,000 digits": Refused(
        text("config.json", '{"vocab_size": ' + "9" * 5000 + "}"),
        "'config.json' is not JSON (Exceeds the limit (4300 digits) for integer string "
        "conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the "
        f"limit). {AGAIN}",
    ),
    "a number of 4,000 digits": Refused(
        edit("config.json", vocab_size=10**4000),
        "'config.json' says vocab_size "
        f"100000000000000000000000000000000000000000000000000000000000…, {SIZE} {AGAIN}",
    ),
    "a million layers": Refused(
        edit("config.json", num_hidden_layers=10**6),
        f"'config.json' says num_hidden_layers 1000000; the converter knows at most 1000. {AGAIN}",
    ),
    "heads that do not divide": Refused(
        edit("config.json", num_attention_heads=5),
        "'config.json' says hidden_size 24, which its num_attention_heads 5 does not divide. "
        f"{AGAIN}",
    ),
    "an epsilon of 0": Refused(
        edit("config.json", layer_norm_eps=0),
        f"'config.json' says layer_norm_eps 0, not a number between 0 and 1. {AGAIN}",
    ),
    "no token types": Refused(
        edit("config.json", type_vocab_size=0),
        f"'config.json' says type_vocab_size 0, {SIZE} {AGAIN}",
    ),
    "three token types": Refused(
        edit("config.json", type_vocab_size=3),
        "'model.safetensors' has embeddings.token_type_embeddings.weight of shape [2, 24], "
        "and config.json asks for [3, 24]. Do both come from the same model?",
    ),
    "max_seq_length": Refused(
        edit("sentence_bert_config.json", max_seq_length="many"),
        "the encoder's limit of tokens is 'many'; it must be a whole number of at least 3. "
        "Correct it in the file that says so, or take it out.",
    ),
    "truncate_dim": Refused(
        edit("config_sentence_transformers.json", truncate_dim=0),
        "'config_sentence_transformers.json' says truncate_dim 0, not a whole number of at "
        "least 1 or null. Set it to one of these.",
    ),
    # Files
    "config.json is a list": Refused(
        text("config.json", "[]"), f"'config.json' is not a JSON object. {AGAIN}"
    ),
    "config.json is not JSON": Refused(
        text("config.json", "{"),
        "'config.json' is not JSON (Expecting property name enclosed in double quotes: line "
        f"1 column 2 (char 1)). {AGAIN}",
    ),
    "modules.json is not JSON": Refused(
        text("modules.json", "\x00"),
        f"'modules.json' is not JSON (Expecting value: line 1 column 1 (char 0)). {AGAIN}",
    ),
    "JSON nested too deep": Refused(
        text("1_Pooling/config.json", "[" * 100_000),
        "'config.json' is not JSON (maximum recursion depth exceeded while decoding a JSON "
        f"array from a unicode string). {AGAIN}",
    ),
    "a shard that is missing": Refused(
        sharded({WORDS: "model-00002-of-00002.safetensors"}),
        "the folder 'encoder' has no 'model-00002-of-00002.safetensors'; "
        "'model.safetensors.index.json' names it. Download the rest of the folder.",
    ),
    "a shard elsewhere": Refused(
        sharded({WORDS: "../model-00001-of-00001.safetensors"}),
        "'model.safetensors.index.json' has no weight_map of tensors to files such as "
        f"model-00001-of-00002.safetensors. {AGAIN}",
    ),
    "a shard of another name": Refused(
        sharded({WORDS: "/etc/passwd"}),
        "'model.safetensors.index.json' has no weight_map of tensors to files such as "
        f"model-00001-of-00002.safetensors. {AGAIN}",
    ),
    "shards without a map": Refused(
        sharded({}),
        "'model.safetensors.index.json' has no weight_map of tensors to files such as "
        f"model-00001-of-00002.safetensors. {AGAIN}",
    ),
    # Settings
    "a setting that is not known": Refused(
        edit("sentence_bert_config.json", query_length=32),
        "'sentence_bert_config.json' says query_length 32: that could change the vectors, "
        "and is not known here. Take it out if it does not, or stage the encoder as a "
        "SavedModel.",
    ),
    "another type of encoder": Refused(
        edit("config_sentence_transformers.json", model_type="SparseEncoder"),
        "'config_sentence_transformers.json' says model_type 'SparseEncoder'; it must be "
        "'SentenceTransformer', which gives one vector a text.",
    ),
    "prompts that are a list": Refused(
        edit("config_sentence_transformers.json", prompts=["query: "]),
        "'config_sentence_transformers.json' has prompts that are not a map of names to texts.",
    ),
    "a default prompt that is not there": Refused(
        edit("config_sentence_transformers.json", prompts={}, default_prompt_name="query"),
        "'config_sentence_transformers.json' says default_prompt_name 'query', which is not "
        "in its prompts.",
    ),
    # The tokenizer
    "ids beyond the vocabulary": Refused(
        edit("config.json", vocab_size=10),
        "'tokenizer.json' has ids up to 203, and config.json says vocab_size 10. Is it this "
        "model's own tokenizer?",
    ),
    "tokens of type 1": Refused(
        all_of(
            edit(
                "tokenizer.json",
                post_processor={
                    "type": "TemplateProcessing",
                    "single": [{"Sequence": {"id": "A", "type_id": 1}}],
                    "pair": [],
                    "special_tokens": {},
                },
            ),
            edit("tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast"),
        ),
        "the post_processor in 'tokenizer.json' gives the tokens of a text a type other than "
        f"0; the converter knows texts of type 0 only. {SAVE_TOKENIZER}",
    ),
    "lower case, of two minds": Refused(
        all_of(
            edit("tokenizer.json", normalizer={"type": "NFC"}),
            edit("tokenizer_config.json", do_lower_case=True),
        ),
        "'tokenizer_config.json' says do_lower_case true, and the normalizer in "
        "'tokenizer.json' does not lower-case. Make them agree.",
    ),
    "lower case, says the folder": Refused(
        all_of(
            edit("tokenizer.json", normalizer={"type": "NFC"}),
            edit("tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast"),
            edit("sentence_bert_config.json", do_lower_case=True),
        ),
        "'sentence_bert_config.json' says do_lower_case true, and the normalizer in "
        "'tokenizer.json' does not lower-case. Make them agree.",
    ),
    "truncation_side": Refused(
        edit("tokenizer_config.json", truncation_side="middle"),
        "'tokenizer_config.json' says truncation_side 'middle'; it must be left or right.",
    ),
    "a tokenizer that begins with a mark": Refused(
        text("tokenizer.json", b"\xef\xbb\xbf{}"),
        "'tokenizer.json' starts with a byte-order mark, which tokenizers does not read. "
        "Save the file as UTF-8 without one.",
    ),
    # Weights
    "a tensor is missing": Refused(
        tensors(lambda there: there.pop(WORDS)),
        "'model.safetensors' lacks embeddings.word_embeddings.weight, so it is not an "
        f"encoder of the type 'bert' and the size in config.json. {AGAIN}",
    ),
    "a tensor too many": Refused(
        tensors(lambda there: there.update({"gate": np.ones(3)})),
        "'model.safetensors' has gate, which an encoder of the type 'bert' and the size in "
        f"config.json does not have. {AS_SAVED_MODEL}",
    ),
    "a tensor twice": Refused(
        tensors(twice),
        "'model.safetensors' has embeddings.LayerNorm.bias, and "
        "bert.embeddings.LayerNorm.bias is there too: both are embeddings.LayerNorm.bias. "
        "Save the encoder again.",
    ),
    "a tensor of another shape": Refused(
        tensors(lambda there: there.update({WORDS: np.ones((3, 24), np.float32)})),
        "'model.safetensors' has embeddings.word_embeddings.weight of shape [3, 24], and "
        "config.json asks for [204, 24]. Do both come from the same model?",
    ),
    "int8": Refused(
        tensors(lambda there: there.update({WORDS: there[WORDS].astype(np.int8)})),
        "'model.safetensors' has embeddings.word_embeddings.weight of type I8; the converter "
        "knows F64, F32, F16 and BF16. Stage the model that is not quantized.",
    ),
    "weights that are cut short": Refused(
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100]),
        f"{TORN}incomplete metadata, file not fully covered). Download or save it again.",
    ),
    "weights that are empty": Refused(
        text(WEIGHTS, b""), f"{TORN}header too small). Download or save it again."
    ),
    "a header that lies": Refused(
        header(lambda said: said.update({WORDS: LIE})),
        f"{TORN}invalid offset for tensor `embeddings.word_embeddings.weight`). Download or "
        "save it again.",
    ),
    "a header that is too long": Refused(
        text(WEIGHTS, struct.pack("<Q", 2**40) + b"{}"),
        f"{TORN}header too large). Download or save it again.",
    ),
    "float8": Refused(
        header(lambda said: said[WORDS].update(dtype="F8_E4M3", shape=[204 * 4, 24])),
        "'model.safetensors' has embeddings.word_embeddings.weight of type F8_E4M3; the "
        "converter knows F64, F32, F16 and BF16. Stage the model that is not quantized.",
    ),
    # Other families
    "MPNet's buckets": Refused(
        edit("config.json", relative_attention_num_buckets=64),
        f"'config.json' says relative_attention_num_buckets 64; the converter knows 32. {BY_ST}",
        "mpnet",
    ),
    **{
        f"a {family} that looks only back": Refused(
            edit("config.json", is_causal=True),
            "'config.json' says is_causal true; the converter knows encoders only, in which each "
            f"token attends to the whole text. {AS_SAVED_MODEL}",
            family,
        )
        for family in ("plain", "distilbert", "modernbert", "nomic_bert", "roberta")
    },
    "ModernBERT's window of one": Refused(
        edit("config.json", local_attention=1),
        f"'config.json' says local_attention 1; it must be at least 2. {AGAIN}",
        "modernbert",
    ),
    "ModernBERT's two windows": Refused(
        edit("config.json", local_attention=8, sliding_window=3),
        "'config.json' says sliding_window 3, and local_attention 8, half of which it must be. "
        f"{AGAIN}",
        "modernbert",
    ),
    "rotary positions of an odd width": Refused(
        edit("config.json", num_attention_heads=8),
        "'config.json' says hidden_size 24 and num_attention_heads 8; rotary positions need heads "
        f"of an even width. {AGAIN}",
        "modernbert",
    ),
    "NomicBERT's scaled positions": Refused(
        edit("config.json", rope_scaling={"rope_type": "linear", "factor": 4}),
        "'config.json' says rope_scaling {'rope_type': 'linear', 'factor': 4}; the converter knows "
        f"None. {AS_SAVED_MODEL}",
        "nomic_bert",
    ),
    "DistilBERT's activation": Refused(
        edit("config.json", activation="mish"),
        f"'config.json' says activation 'mish'; the converter knows {ACTIVATIONS}. "
        f"{AS_SAVED_MODEL}",
        "distilbert",
    ),
    "RoBERTa's padding": Refused(
        edit("config.json", pad_token_id=-1),
        f"'config.json' says pad_token_id -1, not a whole number of at least 0. {AGAIN}",
        "roberta",
    ),
    "RoBERTa's positions": Refused(
        edit("config.json", pad_token_id=90),
        "'config.json' says max_position_embeddings 66, and its first 91 positions are for "
        f"padding. {AGAIN}",
        "roberta",
    ),
    "ModernBERT's layers": Refused(
        edit("config.json", layer_types=["full_attention"]),
        "'config.json' says layer_types ['full_attention']; the converter knows "
        f"full_attention and sliding_attention, one for each of its 4 layers. {AGAIN}",
        "modernbert",
    ),
    "ModernBERT's biases": Refused(
        edit("config.json", attention_bias=True),
        f"'config.json' says attention_bias True; the converter knows False. {AS_SAVED_MODEL}",
        "modernbert",
    ),
    "ModernBERT's many layers": Refused(
        edit("config.json", num_hidden_layers=10**9),
        "'config.json' says num_hidden_layers 1000000000; the converter knows at most 1000. "
        f"{AGAIN}",
        "modernbert",
    ),
    "ModernBERT's rotary positions": Refused(
        edit("config.json", rope_parameters={"full_attention": {"rope_type": "yarn"}}),
        f"'config.json' says rope_parameters {{'rope_type': 'yarn'}}; the converter knows the "
        f"rope_type 'default'. {BY_ST}",
        "modernbert",
    ),
    "ModernBERT's base": Refused(
        all_of(
            edit("config.json", rope_parameters=None),
            edit("config.json", global_rope_theta=1e300),
        ),
        f"'config.json' says rope_theta 1e+300, not a number above 0 and below 1e+15. {AGAIN}",
        "modernbert",
    ),
    "NomicBERT's experts": Refused(
        edit("config.json", moe_every_n_layers=2),
        f"'config.json' says moe_every_n_layers 2; the converter knows 0. {AS_SAVED_MODEL}",
        "nomic_bert",
    ),
    "NomicBERT's norm": Refused(
        edit("config.json", use_rms_norm=True),
        f"'config.json' says use_rms_norm True; the converter knows False. {AS_SAVED_MODEL}",
        "nomic_bert",
    ),
    # Dense
    "Dense, unknown activation": Refused(
        edit("2_Dense/config.json", activation_function="torch.nn.modules.activation.Mish"),
        "'2_Dense/config.json' says activation_function 'torch.nn.modules.activation.Mish'; "
        f"the converter knows Identity, Tanh, ReLU, GELU, all of torch. {BY_ST}",
        "bert_dense",
    ),
    "Dense, activation of its own": Refused(
        edit("2_Dense/config.json", activation_function="mine.Swish"),
        "'2_Dense/config.json' says activation_function 'mine.Swish'; the converter knows "
        f"Identity, Tanh, ReLU, GELU, all of torch. {BY_ST}",
        "bert_dense",
    ),
    "Dense, a list of activations": Refused(
        edit("2_Dense/config.json", activation_function=[TANH]),
        "'2_Dense/config.json' says activation_function "
        "['torch.nn.modules.activation.Tanh']; the converter knows Identity, Tanh, ReLU, "
        f"GELU, all of torch. {BY_ST}",
        "bert_dense",
    ),
    "Dense, what comes does not fit": Refused(
        edit("2_Dense/config.json", in_features=32),
        "'2_Dense/config.json' says in_features 32, and the vectors before it have 24 "
        f"numbers. {AGAIN}",
        "bert_dense",
    ),
    "Dense, what it gives does not fit": Refused(
        edit("3_Dense/config.json", out_features=11),
        "'3_Dense/model.safetensors' has linear.weight [10, 16], and its config.json asks "
        f"for linear.weight [11, 16]. {AGAIN}",
        "bert_dense",
    ),
    "Dense, no size": Refused(
        edit("2_Dense/config.json", out_features=None),
        f"'2_Dense/config.json' says out_features None, not a whole number of at least 1. {AGAIN}",
        "bert_dense",
    ),
    "Dense, a bias that is not there": Refused(
        edit("3_Dense/config.json", bias=True),
        "'3_Dense/model.safetensors' has linear.weight [10, 16], and its config.json asks "
        f"for linear.bias [10], linear.weight [10, 16]. {AGAIN}",
        "bert_dense",
    ),
    "Dense, a bias too many": Refused(
        edit("2_Dense/config.json", bias=False),
        "'2_Dense/model.safetensors' has linear.bias [16], linear.weight [16, 24], and its "
        f"config.json asks for linear.weight [16, 24]. {AGAIN}",
        "bert_dense",
    ),
    "Dense, a bias that is a text": Refused(
        edit("2_Dense/config.json", bias="yes"),
        f"'2_Dense/config.json' says bias 'yes', not true or false. {AGAIN}",
        "bert_dense",
    ),
    "Dense, a residual": Refused(
        edit("2_Dense/config.json", use_residual=True),
        "'2_Dense/config.json' says use_residual true; the converter knows a Dense that adds "
        f"nothing to what it gives. {BY_ST}",
        "bert_dense",
    ),
    "Dense, of tokens": Refused(
        edit("2_Dense/config.json", module_input_name="token_embeddings"),
        "'2_Dense/config.json' says module_input_name 'token_embeddings'; the converter "
        f"knows a Dense of a text's vector, sentence_embedding. {BY_ST}",
        "bert_dense",
    ),
    "Dense, no weights": Refused(
        renamed("2_Dense/model.safetensors", "2_Dense/pytorch_model.bin"),
        "the folder '2_Dense' has no 'model.safetensors'; weights in another format must be "
        "saved as safetensors. Load the encoder with Sentence Transformers and save it again.",
        "bert_dense",
    ),
    "Dense, float8": Refused(
        header(
            lambda said: said["linear.weight"].update(dtype="F8_E5M2", shape=[16 * 4, 24]),
            "2_Dense/model.safetensors",
        ),
        "'2_Dense/model.safetensors' has linear.weight of type F8_E5M2; the converter knows "
        "F64, F32, F16 and BF16. Stage the model that is not quantized.",
        "bert_dense",
    ),
    "Dense, cut short": Refused(
        text("2_Dense/model.safetensors", b"{}"),
        "'2_Dense/model.safetensors' is not a complete safetensors file (Error while "
        "deserializing header: header too small). Download or save it again.",
        "bert_dense",
    ),
    # Static encoders, and what is said on the command line
    "static, no rule": Refused(
        nothing,
        "the folder 'encoder' has a table of token vectors, and neither 'config.json' nor "
        "'modules.json' says what happens to unknown tokens and long texts. Say so with "
        "--static-rule model2vec, model2vec-0.9 or sentence-transformers; WordLlama's is the "
        "last.",
        "static bare",
    ),
    "static, another rule": Refused(
        nothing,
        "--static-rule mine: there is no such rule; it may be model2vec, model2vec-0.9, "
        "sentence-transformers.",
        "static own",
        Options(static_rule="mine"),
    ),
    "static, another kind": Refused(
        nothing,
        "--kind tokens: 'encoder' is the folder of a static encoder, whose kind is static. "
        "Leave --kind out.",
        "static own",
        Options(kind="tokens"),
    ),
    "static, a pooling": Refused(
        nothing,
        "--pooling: 'encoder' is the folder of a static encoder, which has none to choose: "
        "its vectors are the mean of a table's. Leave --pooling out.",
        "static own",
        Options(pooling="cls"),
    ),
    "static, normalize": Refused(
        edit("config.json", normalize="yes"),
        f"the encoder's settings say normalize 'yes', not true or false. {AGAIN}",
        "static own",
    ),
    "static, max_length": Refused(
        edit("config.json", max_length=0),
        "the encoder's settings say max_length 0, not a whole number of at least 1 or null. "
        "Say how many tokens with --max-tokens.",
        "static own",
    ),
    "static, no tokenizer": Refused(
        without("tokenizer.json"),
        "the folder 'encoder' has no 'tokenizer.json'; a static encoder's tokenizer is in "
        f"it. {AGAIN}",
        "static own",
    ),
    "static, no weights": Refused(
        without(WEIGHTS),
        "the folder 'encoder' has no 'model.safetensors'; a static encoder is a table of "
        f"token vectors in it. {AGAIN}",
        "static modules",
    ),
    "static, too few weights": Refused(
        tensors(lambda there: there.update(weights=np.ones(5, np.float32))),
        "'model.safetensors' has embeddings [57, 8], weights [5], which do not fit: there "
        "must be one of each for a token. Save the encoder again.",
        "static own",
    ),
    "static, ids beyond the table": Refused(
        tensors(lambda there: there.update(embeddings=np.ones((2, 8), np.float32))),
        "'tokenizer.json' has ids up to 56, and the table is of 2 tokens. Is it this model's "
        "own tokenizer?",
        "static own",
    ),
    "static, int16": Refused(
        tensors(lambda there: there.update(embeddings=np.ones((57, 8), np.int16))),
        "'model.safetensors' has embeddings of type I16 and shape [57, 8]; it must have 2 "
        "axes that are not empty, and be of type float64, float32, float16, bfloat16, int8.",
        "static own",
    ),
    "static, float8": Refused(
        header(lambda said: said["embeddings"].update(dtype="F8_E4M3", shape=[57 * 4, 8])),
        "'model.safetensors' has embeddings of type F8_E4M3 and shape [228, 8]; it must have "
        "2 axes that are not empty, and be of type float64, float32, float16, bfloat16, int8.",
        "static own",
    ),
    "static, a mapping of another": Refused(
        tensors(lambda there: there.update(mapping=np.arange(57))),
        "'model.safetensors' has the tensors embedding.weight, mapping; a static encoder has "
        "embedding.weight, or embeddings with at most mapping and weights. Is it the table "
        "of token vectors?",
        "static modules",
    ),
    "static, Normalize before Dense": Refused(
        modules("StaticEmbedding", "Normalize", "Dense"),
        "'modules.json' asks for StaticEmbedding + Normalize + Dense; the converter knows "
        f"StaticEmbedding, then any number of Dense, and at most Normalize after that. {BY_ST}",
        "static modules",
    ),
    "static, LSTM": Refused(
        modules("StaticEmbedding", "LSTM"),
        "'modules.json' asks for StaticEmbedding + LSTM; the converter knows "
        f"StaticEmbedding, then any number of Dense, and at most Normalize after that. {BY_ST}",
        "static modules",
    ),
    "static, an activation between": Refused(
        edit("1_Dense/config.json", activation_function=TANH),
        "'1_Dense/config.json' has the activation tanh, and another Dense follows: behind a "
        f"table, the converter knows an activation of the last Dense only. {BY_ST}",
        "static modules_dense",
    ),
    "static, a residual": Refused(
        edit("1_Dense/config.json", use_residual=True),
        "'1_Dense/config.json' says use_residual true; the converter knows a Dense that adds "
        f"nothing to what it gives. {BY_ST}",
        "static modules_dense",
    ),
    "static, two cuts": Refused(
        nothing,
        "'tokenizer.json' truncates at 6 tokens: by the rule model2vec-0.9, that comes "
        "before unknown tokens are dropped, and another cut after. Set its truncation to "
        "null, or choose the rule model2vec.",
        "static own_truncating_tokenizer",
        Options(static_rule="model2vec-0.9"),
    ),
    "static, cut short": Refused(
        text("tokenizer.json", "{"),
        "'tokenizer.json' is not a tokenizer (EOF while parsing an object at line 1 column "
        f"1). {AGAIN}",
        "static modules",
    ),
    "static, a pointer": Refused(
        text(WEIGHTS, LFS), f"'model.safetensors'{POINTER}", "static modules"
    ),
    "static without modules.json, a pointer": Refused(
        all_of(without("modules.json"), text(WEIGHTS, LFS)),
        f"'model.safetensors'{POINTER}",
        "static own",
    ),
    "static without modules.json, cut short": Refused(
        text(f"0_StaticEmbedding/{WEIGHTS}", b"{}"),
        f"{TORN}header too small). Download or save it again.",
        "static nested",
    ),
    "static, a Dense that Model2Vec does not read": Refused(
        all_of(renamed_tensor("embedding.weight", "embeddings"), edit("config.json")),
        "'modules.json' asks for Dense, and the rule is model2vec: Model2Vec reads no Dense. "
        "Take it out, or choose --static-rule sentence-transformers.",
        "static modules_dense",
    ),
    "static, a prompt that Model2Vec does not read": Refused(
        PROMPT,
        "'config_sentence_transformers.json' puts the prompt 'query: ' before texts, and the "
        'rule is model2vec: Model2Vec reads no prompts. Say --prefix "", or choose '
        "--static-rule sentence-transformers.",
        "static own",
    ),
    "static, truncate_dim": Refused(
        edit("config_sentence_transformers.json", truncate_dim="8"),
        "'config_sentence_transformers.json' says truncate_dim '8', not a whole number of at "
        "least 1 or null. Set it to one of these.",
        "static modules",
    ),
    "options, kind": Refused(
        nothing,
        "--kind text: 'encoder' is the folder of a sentence encoder, whose kind is tokens. "
        "Leave --kind out.",
        "plain",
        Options(kind="text"),
    ),
    "options, output": Refused(
        nothing,
        "--output is for SavedModels, and 'encoder' is the folder of a sentence encoder, "
        "whose graph is made here. Leave --output out.",
        "plain",
        Options(output="pooler_output"),
    ),
    "options, pooling": Refused(
        nothing,
        f"--pooling best: for the folder of a sentence encoder, the converter knows {POOLINGS}.",
        "plain",
        Options(pooling="best"),
    ),
    "options, too many tokens": Refused(
        nothing,
        "--max-tokens 33: this encoder takes from 3 to 32 tokens, as many as it has positions.",
        "plain",
        Options(max_tokens=33),
    ),
    "options, too few tokens": Refused(
        nothing,
        "--max-tokens 2: this encoder takes from 3 to 32 tokens, as many as it has positions.",
        "plain",
        Options(max_tokens=2),
    ),
    "options, truncate_dim": Refused(
        nothing,
        "--truncate-dim 24 keeps the first numbers of a vector, and this model gives 24. "
        "Give a smaller number, or leave it out.",
        "plain",
        Options(truncate_dim=24),
    ),
    "options, static_rule": Refused(
        nothing,
        "--static-rule model2vec is for static encoders, whose model is a table of token "
        "vectors, and 'encoder' is a transformer. Leave --static-rule out.",
        "plain",
        Options(static_rule="model2vec"),
    ),
}


def made(folder: Path, of: str) -> Path:
    """Write the folder that a case changes."""
    if of == "plain":
        return bert_folder.make_folder(folder).path
    if of.startswith("static "):
        return static_folders.make(folder, of.removeprefix("static "))
    return transformer_folder.make(folder, TRANSFORMERS[of])


def said_of(folder: Path, cache: Path, options: Options) -> str:
    with pytest.raises(StagingError) as error:
        build(Local(folder), "mine", cache, Report(), options)
    return str(error.value)


@pytest.mark.parametrize("name", CASES)
def test_a_folder_is_refused_in_a_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder, cache = made(tmp_path / "encoder", case.of), tmp_path / "cache"
    case.change(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert said_of(folder, cache, case.options) == case.sentence
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert said_of(folder, cache, case.options) == case.sentence  # nothing kept makes it pass
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("of", sorted({case.of for case in CASES.values()}))
def test_as_it_was_before_the_change_the_folder_is_read(of: str, tmp_path: Path) -> None:
    options = Options(static_rule="sentence-transformers" if of == "static bare" else None)
    assert read_folder(made(tmp_path / "encoder", of), options).model.dimensions > 1


@pytest.mark.parametrize("name", ["LoRA adapter", "a tensor twice", "static, int16"])
def test_nothing_is_put_on_the_stage_and_no_pin_is_written(name: str, tmp_path: Path) -> None:
    project = duckdb_projects.make_project(tmp_path / "project")
    folder, case = made(tmp_path / "encoder", CASES[name].of), CASES[name]
    case.change(folder)
    said = (project.folder / "dbt_project.yml").read_text()
    done = stage_model(
        project,
        *(folder, "--name", "mine", "--write"),
        TF_EMBEDDINGS_CACHE=str(tmp_path / "cache"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.rstrip().endswith(case.sentence)
    assert staged_files(project) == []
    assert (project.folder / "dbt_project.yml").read_text() == said


def test_a_model_whose_code_is_known_here_is_read_without_its_own(tmp_path: Path) -> None:
    """NomicBERT's folders name code of their own, which gives what the converter gives."""
    folder = made(tmp_path / "encoder", "nomic_bert")
    edit("config.json", auto_map={"AutoModel": "modeling_hf_nomic_bert.NomicBertModel"})(folder)
    ran = tmp_path / "ran"
    text("modeling_hf_nomic_bert.py", f"open({str(ran)!r}, 'w')")(folder)
    assert read_folder(folder, Options()).model.dimensions == 24
    assert not ran.exists()


def test_of_a_key_that_is_there_twice_the_last_counts(tmp_path: Path) -> None:
    """As in Python's json, and so for Sentence Transformers."""
    folder = made(tmp_path / "encoder", "plain")
    text("sentence_bert_config.json", '{"max_seq_length": 9, "max_seq_length": 11}')(folder)
    assert read_folder(folder, Options()).model.max_tokens == 11
