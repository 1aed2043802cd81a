"""Record which ids transformers and Sentence Transformers give where a folder's files disagree.

    pip install sentence-transformers
    python tests/record_tokenizers.py

`CASES` are what transformers makes of tokenizer_config.json and the files beside it, `SETTINGS`
what Sentence Transformers makes of all files. The tests read the file that this writes.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).parent / "fixtures" / "tokenizers_of_transformers.json"
MOST_TOKENS = 14

CORPUS = [
    "The Quick brown Fox jumps over the lazy dog",
    "the quick brown fox jumps over The Lazy Dog",
    "a person is riding a horse on a sunny day, café au lait in Zürich",
    "cafe au lait in zurich: How do I reset my Password?",
    "敏捷的棕色狐狸跳过了懒狗 敏捷 棕色",
    "the fox, the dog and the horse: naïve naive façade facade",
]
TEXTS = [
    "The Quick Brown Fox",
    "café naïve façade, Zürich",
    "敏捷的棕色狐狸",
    "fox [MASK] dog <mask> horse",
    "[SEP] the </s> fox [CLS] <s> [PAD] <pad>",
    "a NEWTOKEN and newtoken here",
    "  two  spaces\tand\na line ",
    "ﬁne Ａ",  # noqa: RUF001
    "😀 unknown ✅",
    "the quick brown fox jumps over the lazy dog and a person is riding a horse on a sunny day",
    # Not U+3000: XLM-R's own rules make a space of it, those below do not.
    " \u00a0fox\u00a0dog\u200bhorse\u0007the ",
    "ΟΔΟΣ İstanbul Straße ŁÓDŹ cafe\u0301 E\u0301",
    "مرحبا שלום привет नमस्ते สวัสดี",
    "\u1112\u1161\u11ab\uae00 カタカナ ｶﾀｶﾅ 漢字かな",
    "👩‍👩‍👧‍👦 🇿🇼 ❤️ don't e-mail a@b.c #1 $5.00",
    "fox[SEP]dog<s>horse [sep] <S> newtoken.NEWTOKEN[UNK]",
    "",
]

# SentencePiece's compiled rules: tab and U+00A0 to a space, U+FF21 to A, U+FB01 to fi.
_RULES = (
    "eNol01XQFkQUBuDlH7ggpGQESRFUuhtE6ZAu6e5uEAUB6RRQUpQu6e7uobuboUNCRfL5cGeeObvz7sXu7NkQPYTw"
    "SQgxPwiR0XdajBAWhqjQz1rUd3p+mSDKPLYai8jWOMQjLgmIz4ckZOPeqJBITcxHfEwSkpGUFCQnFSlJ/f8RQho+"
    "5TPS8gWfk550ZCQDmclEVrKQnWzkJAe5yUVe8uAKIR8FKcCXFOIrClOErylGUUpQnFKUpAyl+YaylKccFalAZSpR"
    "lSpUpxrfUoNa1KQOtalHXRpQn0Y0pAmNaUZTWtCcVrSkDa1pR1s60J5OdKQLnelGV3rQne/oyff0ojc/8CN96Bd5"
    "eH6iPwMZwGAGMZQhDGcYIxnBaEYxhp8Zx1h+5RcmMJ5JTGQKk5nKb/zB70xnGjOZwWxmMZc5zGcef7KARSHSoyEs"
    "YTHLWMoKlrOKlaxhNetYywbWsynSo2xhM9vYyg62s4ud7GE3+9gbyWZFC/vVgxzgMIc4yhGOc4yTnOA0pzjLGc5z"
    "jotc4DKXuMoVrnONm9zgFo8KRQt31Nvc4y4PuB/JeMhfPOYpT3jOM/7hb17wLy/5j9e84i1v3v+9IqF5q/AOWqGH"
    "Ww=="
)

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
NEW = {"content": "NEWTOKEN", "lstrip": False, "rstrip": False, "single_word": False}
ADDED = {"normalized": False, "special": False, **NEW}


def _special(place: int, content: str, **flags: bool) -> dict[str, dict[str, Any]]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {str(place): {"content": content, **plain, "special": True, **flags}}


LISTED = {key: one for place, name in enumerate(BERT) for key, one in _special(place, name).items()}

# name: of which tokenizer.json, what is changed in it, and the files beside it.
CASES: dict[str, dict[str, Any]] = {
    # BERT: the flags of its normalizer, and their defaults
    "bert": {
        "said": {"tokenizer_class": "BertTokenizer", "do_lower_case": True},
        "unchanged": True,
    },
    "bert, no config of the tokenizer": {"said": None, "unchanged": True},
    "bert, cased, no config of the tokenizer": {
        "said": None,
        "file": {"normalizer.lowercase": False},
    },
    "bert, cased file, class only": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"normalizer.lowercase": False},
    },
    "bert, cased file, fast class": {
        "said": {"tokenizer_class": "BertTokenizerFast"},
        "file": {"normalizer.lowercase": False},
    },
    "bert, no lower case": {"said": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}},
    "bert, no class, no lower case": {"said": {"do_lower_case": False}},
    "bert, class of config.json": {
        "said": {"do_lower_case": False},
        "config": {"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"},
        "unchanged": True,
    },
    "bert, accents stay": {"said": {"tokenizer_class": "BertTokenizer", "strip_accents": False}},
    "bert, cased, accents go": {
        "said": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True}
    },
    "bert, file keeps accents": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"normalizer.strip_accents": False},
    },
    "bert, no Chinese": {
        "said": {"tokenizer_class": "BertTokenizer", "tokenize_chinese_chars": False}
    },
    "bert, cut on the left": {
        "said": {"tokenizer_class": "BertTokenizer", "truncation_side": "left"}
    },
    "bert, file cuts on the left": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"truncation": {
            "direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0
        }},
        "unchanged": True,
    },
    "bert, file cuts on the left, key on the right": {
        "said": {"tokenizer_class": "BertTokenizer", "truncation_side": "right"},
        "file": {"truncation": {
            "direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0
        }},
    },
    "bert, keys that do nothing": {
        "said": {
            **{"tokenizer_class": "BertTokenizer", "padding_side": "left", "never_split": None},
            **{"do_basic_tokenize": False, "clean_up_tokenization_spaces": True},
            **{"model_input_names": ["input_ids"], "name_or_path": "elsewhere"},
            **{"add_prefix_space": True, "add_bos_token": True, "model_max_length": 512},
        },
        "unchanged": True,
    },
    "distilbert": {
        "said": {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": False},
        "config": {"model_type": "distilbert"},
    },
    "electra": {
        "said": {"tokenizer_class": "ElectraTokenizer", "strip_accents": False},
        "config": {"model_type": "electra"},
    },
    # Files that the class does not take as they are
    "bert, another normalizer": {
        "said": {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
        "file": {"normalizer": {"type": "NFC"}},
        "refused": "normalizer",
    },
    "bert, another split": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"pre_tokenizer": {"type": "WhitespaceSplit"}},
        "refused": "pre_tokenizer",
    },
    "bert, longer words": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"model.max_input_chars_per_word": 5},
        "refused": "max_input_chars_per_word",
    },
    "bert, nothing around a text": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {"post_processor": None},
        "refused": "post_processor",
    },
    "bert, around a text as of old": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "file": {
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
        },
        "unchanged": True,
    },
    "bert, other tokens around a text": {
        "said": {"tokenizer_class": "BertTokenizer", "cls_token": "[MASK]"},
        "refused": "post_processor",
    },
    "bert, another unknown token": {
        "said": {"tokenizer_class": "BertTokenizer", "unk_token": "[PAD]"},
        "refused": "unk_token",
    },
    "bert, pieces under the name of BERT": {
        "of": "unigram",
        "said": {"tokenizer_class": "BertTokenizer"},
        "refused": "model",
    },
    "code of its own": {
        "said": {"tokenizer_class": "BertTokenizer", "auto_map": {"AutoTokenizer": [None, "a.B"]}},
        "refused": "auto_map",
        "recorded": False,
    },
    "another file": {
        "said": {
            "tokenizer_class": "BertTokenizer",
            "fast_tokenizer_files": ["tokenizer.4.0.0.json"],
        },
        "refused": "fast_tokenizer_files",
        "recorded": False,
    },
    "special tokens are split": {
        "said": {"tokenizer_class": "BertTokenizer", "split_special_tokens": True},
        "refused": "split_special_tokens",
    },
    "a class that is not known": {
        "said": {"tokenizer_class": "HerbertTokenizer"},
        "refused": "HerbertTokenizer",
        "recorded": False,
    },
    # Added tokens
    "bert, no added tokens": {
        "said": {"tokenizer_class": "BertTokenizer"}, "file": {"added_tokens": []}
    },
    "bert, listed tokens": {
        "said": {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": LISTED},
        "unchanged": True,
    },
    "bert, a new token is listed": {
        "said": {
            "tokenizer_class": "BertTokenizer",
            "added_tokens_decoder": {**LISTED, "@N@": ADDED},
        },
        "config": {"model_type": "bert", "vocab_size": 1000},
    },
    "bert, a new token is normalized": {
        "said": {
            "tokenizer_class": "BertTokenizer",
            "added_tokens_decoder": {**LISTED, "@N@": {**ADDED, "normalized": True}},
        },
        "config": {"model_type": "bert", "vocab_size": 1000},
    },
    "bert, a token takes the space before it": {
        "said": {
            "tokenizer_class": "BertTokenizer",
            "added_tokens_decoder": {**LISTED, **_special(4, "[MASK]", lstrip=True)},
        },
    },
    "bert, a token of the file is not listed": {
        "said": {
            "tokenizer_class": "BertTokenizer",
            "added_tokens_decoder": {key: LISTED[key] for key in "0123"},
            "mask_token": None,
        },
        "refused": "added_tokens_decoder",
        "recorded": False,
    },
    "bert, a map of special tokens": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "map": {
            "mask_token": {"content": "fox", "lstrip": False, "normalized": False, "rstrip": False}
        },
    },
    "bert, a map that is not read": {
        "said": {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": LISTED},
        "map": {"mask_token": "fox"},
        "unchanged": True,
    },
    "bert, added tokens of old": {
        "said": {"tokenizer_class": "BertTokenizer"},
        "added": {"NEWTOKEN": "@N@"},
        "config": {"model_type": "bert", "vocab_size": 1000},
    },
    "bert, more special tokens": {
        "said": {"tokenizer_class": "BertTokenizer", "additional_special_tokens": ["fox", "dog"]},
    },
    "bert, more special tokens by today's name": {
        "said": {"tokenizer_class": "BertTokenizer", "extra_special_tokens": {"a_token": "fox"}},
    },
    "bert, a token of its own name": {
        "said": {"tokenizer_class": "BertTokenizer", "query_token": "fox"},
    },
    # A class that takes the file
    "as it is": {
        "said": {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
        "file": {"normalizer.strip_accents": False},
        "unchanged": True,
    },
    "as it is, in today's words": {
        "said": {"tokenizer_class": "TokenizersBackend", "tokenize_chinese_chars": False},
        "unchanged": True,
    },
    "as it is, cut on the left": {
        "said": {"tokenizer_class": "PreTrainedTokenizerFast", "truncation_side": "left"},
    },
    "as it is, a new token is listed": {
        "said": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "added_tokens_decoder": {"@N@": ADDED},
        },
        "config": {"model_type": "bert", "vocab_size": 1000},
    },
    "as it is, a token takes the space before it": {
        "said": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "mask_token": "[MASK]",
            "added_tokens_decoder": {**LISTED, **_special(4, "[MASK]", lstrip=True)},
        },
    },
    "as it is, a special token of the map": {
        "said": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "map": {"sep_token": "fox"},
    },
    "as it is, another model": {
        "said": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "config": {"model_type": "modernbert"},
        "unchanged": True,
    },
    "as it is, a space before the text": {
        "of": "bytes",
        "said": {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True},
        "refused": "add_prefix_space",
    },
    "as it is, the file puts a space before the text": {
        "of": "bytes",
        "said": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "file": {"pre_tokenizer.add_prefix_space": True},
        "unchanged": True,
    },
    "a type of model that is not known": {
        "said": {"do_lower_case": True},
        "config": {"model_type": "funnel"},
        "refused": "FunnelTokenizer",
        "recorded": False,
    },
    # Other classes
    "mpnet": {
        "of": "mpnet",
        "said": {"tokenizer_class": "MPNetTokenizer", "do_lower_case": True},
        "config": {"model_type": "mpnet"},
        "unchanged": True,
    },
    "mpnet, cased": {
        "of": "mpnet",
        "said": {"tokenizer_class": "MPNetTokenizer", "do_lower_case": False},
        "config": {"model_type": "mpnet"},
    },
    **{
        f"mpnet, {key} {value}": {
            "of": "mpnet",
            "said": {"tokenizer_class": "MPNetTokenizer", key: value},
            "config": {"model_type": "mpnet"},
            **({"unchanged": True} if key in ("padding_side", "model_max_length") else {}),
        }
        for key, value in (
            *(("strip_accents", False), ("tokenize_chinese_chars", False)),
            *(("truncation_side", "left"), ("padding_side", "left"), ("model_max_length", 5)),
        )
    },
    **{
        f"{kind}, {key} {value}": {
            "said": {"tokenizer_class": name, key: value},
            "config": {"model_type": kind},
            **({"unchanged": True} if key == "padding_side" else {}),
        }
        for kind, name in (("distilbert", "DistilBertTokenizer"), ("nomic_bert", "BertTokenizer"))
        for key, value in (
            *(("do_lower_case", False), ("strip_accents", False)),
            *(("tokenize_chinese_chars", False), ("truncation_side", "left")),
            ("padding_side", "left"),
        )
    },
    **{
        f"{kind}, {key} {value}": {
            "of": of,
            "said": {"tokenizer_class": name, key: value},
            "config": {"model_type": kind},
            **({} if key == "truncation_side" else {"unchanged": True}),
        }
        for kind, of, name in (
            ("roberta", "bytes", "RobertaTokenizer"),
            ("xlm-roberta", "unigram", "XLMRobertaTokenizer"),
            ("camembert", "unigram", "CamembertTokenizer"),
            ("modernbert", "wordpiece", "PreTrainedTokenizerFast"),
        )
        for key, value in (
            *(("do_lower_case", True), ("strip_accents", True), ("tokenize_chinese_chars", False)),
            *(("truncation_side", "left"), ("padding_side", "left"), ("model_max_length", 5)),
        )
    },
    "mpnet, no added tokens": {
        "of": "mpnet",
        "said": {"tokenizer_class": "MPNetTokenizer"},
        "file": {"added_tokens": []},
        "config": {"model_type": "mpnet"},
    },
    "roberta": {
        "of": "bytes",
        "said": {"tokenizer_class": "RobertaTokenizer"},
        "config": {"model_type": "roberta"},
        "unchanged": True,
    },
    "roberta, no config of the tokenizer": {
        "of": "bytes", "said": None, "config": {"model_type": "roberta"}, "unchanged": True
    },
    "roberta, a space before the text": {
        "of": "bytes",
        "said": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True},
        "config": {"model_type": "roberta"},
    },
    "roberta, the file puts a space before the text": {
        "of": "bytes",
        "said": {"tokenizer_class": "RobertaTokenizer"},
        "file": {"pre_tokenizer.add_prefix_space": True},
        "config": {"model_type": "roberta"},
    },
    "roberta, another normalizer": {
        "of": "bytes",
        "said": {"tokenizer_class": "RobertaTokenizer"},
        "file": {"normalizer": {"type": "Lowercase"}},
        "config": {"model_type": "roberta"},
        "refused": "normalizer",
    },
    "longformer": {
        "of": "bytes",
        "said": {"tokenizer_class": "LongformerTokenizer", "truncation_side": "left"},
        "config": {"model_type": "longformer"},
    },
    "gpt2": {
        "of": "bytes",
        "said": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": True,
            "unk_token": "<unk>",
        },
        "config": {"model_type": "gpt2"},
    },
    "xlm-roberta": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizer"},
        "config": {"model_type": "xlm-roberta"},
        "unchanged": True,
    },
    "xlm-roberta in a bert": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizerFast"},
        "unchanged": True,
    },
    "xlm-roberta, as transformers 4 saves it": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizer"},
        "file": {
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": "@RULES@"},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
            ]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True,
                              "prepend_scheme": "always"},
        },
        "config": {"model_type": "xlm-roberta"},
        "unchanged": True,
    },
    "xlm-roberta, no space before the text": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizer", "add_prefix_space": False},
        "config": {"model_type": "xlm-roberta"},
        "refused": "add_prefix_space",
    },
    "xlm-roberta, lower case": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizer"},
        "file": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}},
        "config": {"model_type": "xlm-roberta"},
        "refused": "normalizer",
    },
    "xlm-roberta, the mask takes the space before it": {
        "of": "unigram",
        "said": {
            "tokenizer_class": "XLMRobertaTokenizer",
            "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True,
                           "normalized": True, "rstrip": False, "single_word": False},
        },
        "file": {"added_tokens": []},
        "config": {"model_type": "xlm-roberta"},
    },
    "camembert": {
        "of": "unigram",
        "said": {"tokenizer_class": "CamembertTokenizer"},
        "config": {"model_type": "camembert"},
        "unchanged": True,
    },
    "t5": {
        "of": "t5",
        "said": {"tokenizer_class": "T5Tokenizer", "additional_special_tokens": ["<extra_id_0>"],
                 "extra_ids": 1},
        "config": {"model_type": "t5"},
        "unchanged": True,
    },
    "t5, no more tokens": {
        "of": "t5",
        "said": {"tokenizer_class": "T5Tokenizer", "extra_ids": 0},
        "config": {"model_type": "t5"},
        "unchanged": True,
    },
    "albert": {
        "of": "albert",
        "said": {"tokenizer_class": "AlbertTokenizer"},
        "config": {"model_type": "albert"},
        "unchanged": True,
    },
    "albert, cased": {
        "of": "albert",
        "said": {"tokenizer_class": "AlbertTokenizer", "do_lower_case": False},
        "config": {"model_type": "albert"},
        "refused": "do_lower_case",
    },
}  # fmt: skip


POSITIONS = 40
_OF_BERT = {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}
_CUT = {"max_length": 9, "strategy": "LongestFirst", "stride": 0}

# name: of which tokenizer.json, what is changed in it, and the files beside it.
SETTINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a limit of the tokenizer": {"said": {"model_max_length": 12}},
    "a limit of old": {"said": {"max_len": 12}},
    "more than there are positions": {"said": {"model_max_length": 60}},
    "no limit": {"said": {"model_max_length": 10**30}},
    "of the tokenizer and the folder": {
        "said": {"model_max_length": 12},
        "files": {"sentence_bert_config.json": {"max_seq_length": 9}},
    },
    "more in the folder than in the tokenizer": {
        "said": {"model_max_length": 9},
        "files": {"sentence_bert_config.json": {"max_seq_length": 12}},
    },
    "null in the folder": {
        "said": {"model_max_length": 9},
        "files": {"sentence_bert_config.json": {"max_seq_length": None}},
    },
    **{
        f"a file for {kind}": {"files": {f"sentence_{kind}_config.json": {"max_seq_length": 9}}}
        for kind in (
            *("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"),
            *("mpnet", "modernbert", "nomic_bert"),
        )
    },
    "an empty file before another": {
        "files": {
            "sentence_bert_config.json": {},
            "sentence_xlnet_config.json": {"max_seq_length": 9},
        }
    },
    "two files": {
        "files": {
            "sentence_roberta_config.json": {"max_seq_length": 9},
            "sentence_distilbert_config.json": {"max_seq_length": 12},
        }
    },
    "a limit for loading": {
        "said": {"model_max_length": 9},
        "files": {
            "sentence_bert_config.json": {
                "max_seq_length": 9, "processor_kwargs": {"model_max_length": 12}
            }
        },
    },
    "a limit for a call": {
        "files": {
            "sentence_bert_config.json": {
                "max_seq_length": 12, "processing_kwargs": {"text": {"max_length": 9}}
            }
        }
    },
    "truncation of the file": {"file": {"truncation": {"direction": "Right", **_CUT}}},
    "truncation of the file, to the left": {
        "said": {"model_max_length": 7},
        "file": {"truncation": {"direction": "Left", **_CUT}},
    },
    "truncation to the left": {"said": {"model_max_length": 7, "truncation_side": "left"}},
    "padding to the left": {"said": {"padding_side": "left"}},
    "padding of the file": {
        "file": {
            "padding": {
                "strategy": {"Fixed": 20}, "direction": "Left", "pad_to_multiple_of": None,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
            }
        }
    },
    "lower case in the folder and the tokenizer": {
        "files": {"sentence_bert_config.json": {"do_lower_case": True}}
    },
    "cased in the folder, not in the tokenizer": {
        "files": {"sentence_bert_config.json": {"do_lower_case": False}}
    },
    "cased in the tokenizer": {"said": {"do_lower_case": False}},
    "distilbert": {
        "said": {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": False},
        "config": {"model_type": "distilbert"},
        "files": {"sentence_distilbert_config.json": {"max_seq_length": 9}},
    },
    "mpnet": {
        "of": "mpnet",
        "said": {"tokenizer_class": "MPNetTokenizer", "pad_token": "<pad>"},
        "config": {"model_type": "mpnet"},
        "files": {"sentence_mpnet_config.json": {"max_seq_length": 9}},
    },
    "roberta": {
        "of": "bytes",
        "said": {"tokenizer_class": "RobertaTokenizer", "pad_token": "<pad>"},
        "config": {"model_type": "roberta"},
        "files": {"sentence_roberta_config.json": {"max_seq_length": 9}},
    },
    "xlm-roberta": {
        "of": "unigram",
        "said": {"tokenizer_class": "XLMRobertaTokenizer", "pad_token": "<pad>"},
        "config": {"model_type": "xlm-roberta"},
        "files": {"sentence_xlm-roberta_config.json": {"max_seq_length": 9}},
    },
    "camembert": {
        "of": "unigram",
        "said": {
            "tokenizer_class": "CamembertTokenizer", "pad_token": "<pad>", "model_max_length": 11
        },
        "config": {"model_type": "camembert"},
    },
    "modernbert": {
        "said": {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
        "config": {"model_type": "modernbert"},
    },
    "nomic_bert": {
        "said": {"do_lower_case": False, "truncation_side": "left", "model_max_length": 8},
        "config": {"model_type": "nomic_bert", "hidden_act": "silu"},
    },
}  # fmt: skip


def setting(name: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Return a case of `SETTINGS` with all that `lay_out` writes."""
    case = {"of": "wordpiece", "config": {"model_type": "bert"}, **SETTINGS[name]}
    kind = case["config"]["model_type"]
    small = {
        **{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1},
        **{"intermediate_size": 8, "max_position_embeddings": POSITIONS, "type_vocab_size": 2},
        "pad_token_id": int(case["of"] in ("mpnet", "bytes", "unigram")),
    }
    if kind == "distilbert":
        small = {
            **{"dim": 8, "n_layers": 1, "n_heads": 1, "hidden_dim": 8},
            "max_position_embeddings": POSITIONS,
        }
    return {
        **case,
        "config": {"vocab_size": sizes[case["of"]], **small, **case["config"]},
        "said": {**_OF_BERT, **case.get("said", {})},
        "files": {
            "modules.json": [
                {
                    **{"idx": place, "name": str(place), "path": path},
                    "type": f"sentence_transformers.models.{module}",
                }
                for place, (module, path) in enumerate(
                    [("Transformer", ""), ("Pooling", "1_Pooling")]
                )
            ],
            "1_Pooling/config.json": {
                "word_embedding_dimension": 8, "pooling_mode_mean_tokens": True
            },
            **case.get("files", {}),
        },
    }  # fmt: skip


def _read_by_sentence_transformers(case: dict[str, Any], file: dict[str, Any]) -> dict[str, Any]:
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )
    from transformers import AutoConfig, AutoModel  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        config = dict(case["config"])
        made = AutoConfig.for_model(config.pop("model_type"), **config)
        AutoModel.from_config(made).save_pretrained(folder)
        lay_out(Path(folder), case, file)
        model = SentenceTransformer(folder, device="cpu")
        texts = [*TEXTS, "fox " * 100]
        *ids, long = (model.tokenize([text])["input_ids"][0].tolist() for text in texts)
    return {"limit": len(long), "ids": ids}


def main() -> None:
    """Train the tokenizers, and write what transformers makes of each folder."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    files = _files()
    cases = []
    for name, given in CASES.items():
        case = {"name": name, "of": "wordpiece", "config": {"model_type": "bert"}, **given}
        file = files[case["of"]]
        size = str(len(file["model"]["vocab"]))
        case = json.loads(json.dumps(case).replace("@RULES@", _rules()).replace("@N@", size))
        case["config"].setdefault("vocab_size", int(size))
        if case.get("added"):
            case["added"] = {key: int(place) for key, place in case["added"].items()}
        if case.get("recorded", True):
            with tempfile.TemporaryDirectory() as folder:
                lay_out(Path(folder), case, file)
                case["ids"] = _ids(folder)
        cases.append(case)
    fixture = {
        "made_with": {
            name: version(name) for name in ("sentence-transformers", "tokenizers", "transformers")
        },
        "most_tokens": MOST_TOKENS,
        "texts": TEXTS,
        "files": files,
        "cases": cases,
        "settings": {
            name: _read_by_sentence_transformers(setting(name, sizes_of(files)), files[of])
            for name, of in ((one, SETTINGS[one].get("of", "wordpiece")) for one in SETTINGS)
        },
    }
    lines = json.dumps(fixture, ensure_ascii=False, separators=(",", ":"))
    lines = lines.replace('{"name":', '\n{"name":').replace('"files":', '\n"files":')
    FIXTURE.write_text(lines + "\n", encoding="utf-8")
    print(f"{FIXTURE.name}: {len(cases)} cases, {FIXTURE.stat().st_size / 1024:.0f} kB")


def sizes_of(files: dict[str, Any]) -> dict[str, int]:
    """Return how many tokens each tokenizer.json has."""
    return {name: len(file["model"]["vocab"]) for name, file in files.items()}


def lay_out(folder: Path, case: dict[str, Any], file: dict[str, Any]) -> None:
    """Write the files of a case: tokenizer.json with its changes, and what lies beside it."""
    file = json.loads(json.dumps(file))
    for path, value in case.get("file", {}).items():
        *outer, last = path.split(".")
        part = file
        for name in outer:
            part = part[name]
        part[last] = value
    written = {
        "tokenizer.json": file,
        "config.json": case["config"],
        "tokenizer_config.json": case["said"],
        "special_tokens_map.json": case.get("map"),
        "added_tokens.json": case.get("added"),
        **case.get("files", {}),
    }
    for name, content in written.items():
        if content is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _ids(folder: str) -> list[list[int]] | str:
    from transformers import AutoTokenizer  # pyright: ignore[reportMissingImports]

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [
            tokenizer(text, truncation="longest_first", max_length=MOST_TOKENS)["input_ids"]
            for text in TEXTS
        ]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _rules() -> str:
    return base64.b64encode(zlib.decompress(base64.b64decode(_RULES))).decode()


def _files() -> dict[str, Any]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=False)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    more = [
        "café",
        "naïve",
        "façade",
        "zürich",
        "cafe",
        "naive",
        "facade",
        "敏捷的棕色狐狸",
        "newtoken",
    ]
    words.train_from_iterator(
        [*CORPUS, *more] * 2,
        trainers.WordPieceTrainer(vocab_size=400, special_tokens=BERT, show_progress=False),
    )
    content = json.loads(words.to_str())
    for word in more:
        content["model"]["vocab"].setdefault(word, len(content["model"]["vocab"]))
    content["normalizer"]["lowercase"] = True
    words = Tokenizer.from_str(json.dumps(content))
    words.post_processor = _around("[CLS]", "[SEP]", words)
    wordpiece = json.loads(words.to_str())

    renamed = {"[PAD]": "<pad>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
    mpnet = json.loads(json.dumps(wordpiece))
    mpnet["model"]["vocab"] = {
        renamed.get(word, word): place for word, place in mpnet["model"]["vocab"].items()
    }
    for one in mpnet["added_tokens"]:
        one["content"] = renamed.get(one["content"], one["content"])
    mpnet["post_processor"] = {
        **{"type": "RobertaProcessing", "sep": ["</s>", 3], "cls": ["<s>", 2]},
        **{"trim_offsets": True, "add_prefix_space": False},
    }

    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=ROBERTA,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    letters.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))

    pieces = {
        "unigram": _pieces(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], 3, []),
        "t5": _pieces(["<pad>", "</s>", "<unk>", "<extra_id_0>"], 2, []),
        "albert": _pieces(
            ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
            1,
            [
                {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
                {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
                *({"type": one} for one in ("NFKD", "StripAccents", "Lowercase")),
            ],
        ),
    }
    return {
        "wordpiece": wordpiece,
        "mpnet": mpnet,
        "bytes": json.loads(letters.to_str()),
        **pieces,
    }


def _pieces(special: list[str], unknown: int, before: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a Unigram of whole words and letters, with SentencePiece's normalizer."""
    from tokenizers import Tokenizer

    words = sorted({word for line in CORPUS for word in line.split()})
    words += sorted({word.lower() for word in words} - {*words})
    letters = sorted({letter for word in words for letter in word} | {"▁"})
    scores = [(f"▁{word}", -5.0 - place / 100) for place, word in enumerate(words)]
    scores += [(letter, -12.0 - place / 100) for place, letter in enumerate(letters)]
    rules = {"type": "Precompiled", "precompiled_charsmap": _rules()}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": place, **_special(0, one)["0"]} for place, one in enumerate(special)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [*before, rules]} if before else rules,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {
                    "type": "Metaspace",
                    "replacement": "▁",
                    "prepend_scheme": "always",
                    "split": True,
                },
            ],
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "Unigram",
            "unk_id": unknown,
            "vocab": [*((one, 0.0) for one in special), *scores],
            "byte_fallback": False,
        },
    }
    tokenizer = Tokenizer.from_str(json.dumps(content))
    first, last = {
        "<s>": ("<s>", "</s>"),
        "<pad>": ("[CLS]", "[SEP]") if "[CLS]" in special else ("", "</s>"),
    }[special[0]]
    tokenizer.post_processor = _around(first, last, tokenizer)
    return json.loads(tokenizer.to_str())


def _around(first: str, last: str, tokenizer: Any) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer
    from tokenizers import processors

    return processors.TemplateProcessing(
        single=f"{first} $A {last}".strip(),
        special_tokens=[(one, tokenizer.token_to_id(one)) for one in (first, last) if one],
    )


if __name__ == "__main__":
    main()
