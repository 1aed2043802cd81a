"""The tokenizer that a model's own library would use: tokenizer.json, and what overrides it.

transformers makes a tokenizer of its class and of the keys of tokenizer_config.json, and takes of
tokenizer.json what these do not say. Here tokenizer.json is rewritten to what comes out of that, so
that the runtime reads one file. What transformers 4 and 5 do not agree on is refused: no one could
say which of them the model was trained with.
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/tokenization_utils_tokenizers.py
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import require_no_pointer
from tf_embeddings_staging.inspection.sentence_files import (
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_SETTINGS,
    lowers,
    read_object,
    read_optional,
)

_NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_SIDES = {"left": "Left", "right": "Right"}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

# Classes that take tokenizer.json as it is.
_AS_IT_IS = ("PreTrainedTokenizer", "PythonBackend", "TokenizersBackend", "BloomTokenizer")

# The class of a model whose files name none.
_OF_MODEL_TYPE = {
    **dict.fromkeys(("bert", "distilbert", "electra", "convbert", "nomic_bert"), "BertTokenizer"),
    **dict.fromkeys(("mobilebert", "squeezebert", "megatron-bert", "ernie"), "BertTokenizer"),
    **dict.fromkeys(("layoutlm", "bros", "visual_bert", "align", "blip"), "BertTokenizer"),
    **dict.fromkeys(("chinese_clip", "flava"), "BertTokenizer"),
    **dict.fromkeys(("roberta", "longformer", "bart", "led"), "RobertaTokenizer"),
    **dict.fromkeys(("ibert", "data2vec-text", "roberta-prelayernorm"), "RobertaTokenizer"),
    **dict.fromkeys(("mra", "bridgetower", "clap"), "RobertaTokenizer"),
    **dict.fromkeys(("xlm-roberta", "xmod", "gte"), "XLMRobertaTokenizer"),
    **dict.fromkeys(("jina_embeddings_v3", "trocr"), "XLMRobertaTokenizer"),
    **dict.fromkeys(("t5", "mt5", "switch_transformers"), "T5Tokenizer"),
    **{"mpnet": "MPNetTokenizer", "albert": "AlbertTokenizer", "camembert": "CamembertTokenizer"},
    **{"deberta": "DebertaTokenizer", "gpt2": "GPT2Tokenizer", "lxmert": "LxmertTokenizer"},
    # Not in `_CLASSES`: these are refused.
    **{"big_bird": "BigBirdTokenizer", "clip": "CLIPTokenizer", "funnel": "FunnelTokenizer"},
    **{"deberta-v2": "DebertaV2Tokenizer", "gemma": "GemmaTokenizer", "llama": "LlamaTokenizer"},
    **{"qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer", "rembert": "RemBertTokenizer"},
    **{"roformer": "RoFormerTokenizer", "xlnet": "XLNetTokenizer"},
}
# Models whose files often name a wrong class, and transformers 5 takes tokenizer.json as it is.
_OF_NO_CLASS = ("modernbert", "modernbert-decoder", "nystromformer", "umt5", "xlm-roberta-xl")

_SAVE_ANEW = (
    "Save the tokenizer as you use it, with AutoTokenizer.from_pretrained(folder)"
    ".save_pretrained(folder), and stage that."
)

Json = dict[str, Any]


@dataclass(frozen=True)
class _Class:
    """What a class of transformers says itself, whatever tokenizer.json says.

    Attributes:
        kind: of vocabulary: wordpiece, bytes or unigram.
        tokens: its named tokens, as far as nothing else is said.
        frame: which of them stand before and after a text; None: tokenizer.json says so.
        unknown: the place of the unknown token in a vocabulary of Unigram; None: it is looked up.
        mask_takes_space: whether the mask's token takes the space before it.
        extra: more tokens that are found whole in a text.
        casing: whether its keys are do_lower_case and keep_accents.
    """

    kind: str
    tokens: Mapping[str, str]
    frame: tuple[Sequence[str], Sequence[str]] | None
    unknown: int | None = None
    mask_takes_space: bool = False
    extra: Sequence[str] = ()
    casing: bool = False


_OF_BERT = {
    **{"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"},
}
_OF_ROBERTA = {
    **{"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>"},
    **{"pad": "<pad>", "mask": "<mask>"},
}
_CLS_SEP = (("cls",), ("sep",))
_BOS_EOS = (("bos",), ("eos",))
_BERT = _Class("wordpiece", _OF_BERT, _CLS_SEP)
_ROBERTA = _Class("bytes", _OF_ROBERTA, _CLS_SEP)
_CLASSES: Mapping[str, _Class] = {
    **dict.fromkeys(
        (
            *("BertTokenizer", "ConvBertTokenizer", "DPRContextEncoderTokenizer"),
            *("DPRQuestionEncoderTokenizer", "DistilBertTokenizer", "ElectraTokenizer"),
            *("LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer"),
            "SqueezeBertTokenizer",
        ),
        _BERT,
    ),
    "MPNetTokenizer": _Class(
        "wordpiece",
        {**_OF_ROBERTA, "unk": "[UNK]"},
        _CLS_SEP,
        mask_takes_space=True,
    ),
    **dict.fromkeys(
        ("BartTokenizer", "LEDTokenizer", "LongformerTokenizer", "RobertaTokenizer"), _ROBERTA
    ),
    "DebertaTokenizer": _Class("bytes", {**_OF_BERT, "bos": "[CLS]", "eos": "[SEP]"}, _CLS_SEP),
    "GPT2Tokenizer": _Class("bytes", dict.fromkeys(("bos", "eos", "unk"), "<|endoftext|>"), None),
    "XLMRobertaTokenizer": _Class("unigram", _OF_ROBERTA, _BOS_EOS, unknown=3),
    "CamembertTokenizer": _Class(
        "unigram",
        _OF_ROBERTA,
        _BOS_EOS,
        mask_takes_space=True,
        extra=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
    ),
    "T5Tokenizer": _Class(
        "unigram",
        {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"},
        ((), ("eos",)),
        unknown=2,
        extra=tuple(f"<extra_id_{number}>" for number in range(100)),
    ),
    "AlbertTokenizer": _Class(
        "unigram",
        {**_OF_BERT, "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"},
        _CLS_SEP,
        unknown=1,
        casing=True,
    ),
}


def rewritten(tokenizer: Path, settings: Path) -> bytes | None:
    """Return what tokenizer.json must hold to give what transformers gives; None if it does.

    Args:
        tokenizer: the tokenizer.json.
        settings: the folder of config.json, and of tokenizer_config.json unless that lies beside
            the tokenizer.

    Raises:
        StagingError: a file cannot be read, or says what cannot be done here; the key is named.
    """
    given, loaded = _read(tokenizer)
    try:
        return _rewritten(given, loaded, tokenizer, settings)
    except StagingError:
        raise
    except Exception as error:  # a value of a type that transformers does not write
        raise StagingError(
            f"'{TOKENIZER}' and the files beside it hold what transformers does not write "
            f"({type(error).__name__}: {error}). {_SAVE_ANEW}"
        ) from None


def _rewritten(
    given: Json,
    loaded: Any,  # noqa: ANN401 - tokenizers.Tokenizer
    tokenizer: Path,
    settings: Path,
) -> bytes | None:
    beside = tokenizer.parent if (tokenizer.parent / TOKENIZER_SETTINGS).is_file() else settings
    said = dict(read_optional(beside / TOKENIZER_SETTINGS))
    _require_known(said)
    config = read_optional(settings / "config.json")
    made = dict(given)  # whose parts are replaced, never changed
    name = _class_name(said, config)
    if name is not None and name not in _CLASSES:
        raise StagingError(
            f"'{TOKENIZER_SETTINGS}' or the model's type asks for tokenizer_class '{name}': how "
            f"transformers makes that one of '{TOKENIZER}' is not known here. If '{TOKENIZER}' is "
            f"all there is to it, set tokenizer_class to 'PreTrainedTokenizerFast'."
        )
    if "added_tokens_decoder" not in said:
        of_map = read_optional(beside / SPECIAL_TOKENS)
        _require_one_list(name, said, of_map)
        said |= of_map
    _require_no_names(name, said)
    if name is None:
        _require_space(said, given)
    else:
        _Made(name, _CLASSES[name], said, given, loaded, made).settle()
    rows = config.get("vocab_size")
    made["added_tokens"] = _added_tokens(
        name, said, read_optional(beside / ADDED_TOKENS), given, rows if type(rows) is int else 0
    )
    _settle_side(said, made)
    if made == given:
        return None
    return json.dumps(made, ensure_ascii=False).encode()


def _require_one_list(name: str | None, said: Mapping[str, Any], of_map: Mapping[str, Any]) -> None:
    """Refuse more special tokens in special_tokens_map.json than what else lists them."""
    key, came = _more_tokens(of_map)
    _, listed = _more_tokens(said)
    if listed is None:
        listed = _own_extra(name, said) or None
    if came is not None and listed is not None and came != listed:
        raise StagingError(
            f"'{SPECIAL_TOKENS}' says {key} {_shown(came)}, and '{TOKENIZER_SETTINGS}' or the "
            f"tokenizer's class {_shown(listed)}: transformers 4 and 5 do not take the same. "
            f"{_SAVE_ANEW}"
        )


def _require_no_names(name: str | None, said: Mapping[str, Any]) -> None:
    """Refuse names for more tokens, for a class that has such tokens itself."""
    if _own_extra(name, said) and isinstance(said.get("extra_special_tokens"), dict):
        raise _says("extra_special_tokens", f"'{name}' has more special tokens of its own")


def _more_tokens(said: Mapping[str, Any]) -> tuple[str, list[str] | None]:
    """Return which key lists more special tokens, and these; None where none does."""
    for key in ("extra_special_tokens", "additional_special_tokens"):
        if (listed := said.get(key)) is not None:
            tokens = listed.values() if isinstance(listed, dict) else listed
            return key, sorted(map(_content, tokens))
    return "", None


def _own_extra(name: str | None, said: Mapping[str, Any]) -> list[str]:
    """Return the more special tokens that a class has where nothing lists others."""
    return sorted(_CLASSES[name].extra[: said.get("extra_ids", 100)]) if name else []


def normalizer_of(tokenizer: Path, content: bytes | None) -> object:
    """Return the normalizer of a tokenizer.json, or of what it must hold: see `rewritten`."""
    return json.loads(content or tokenizer.read_bytes()).get("normalizer")


def load(content: bytes) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer
    """Return the tokenizer that a tokenizer.json describes."""
    from tokenizers import Tokenizer

    return Tokenizer.from_buffer(content)


def require_fits(loaded: Any, rows: int) -> None:  # noqa: ANN401 - tokenizers.Tokenizer
    """Refuse a tokenizer whose ids the encoder's table of token vectors does not have.

    Args:
        loaded: the tokenizer.
        rows: of that table.

    Raises:
        StagingError: it has an id beyond them.
    """
    highest = max(loaded.get_vocab().values(), default=-1)
    if highest >= rows:
        raise StagingError(
            f"'{TOKENIZER}' has ids up to {highest}, and config.json says vocab_size {rows}. Is it "
            f"this model's own tokenizer?"
        )


def require_one_type(loaded: Any) -> None:  # noqa: ANN401 - tokenizers.Tokenizer
    """Refuse a tokenizer that marks the tokens of a text as a second one's.

    Args:
        loaded: the tokenizer.

    Raises:
        StagingError: it does.
    """
    if any(loaded.encode("a").type_ids):
        raise StagingError(
            f"the post_processor in '{TOKENIZER}' gives the tokens of a text a type other than 0; "
            f"the converter knows texts of type 0 only. {_SAVE_ANEW}"
        )


def require_types(loaded: Any, types: int) -> None:  # noqa: ANN401 - tokenizers.Tokenizer
    """Refuse a tokenizer that gives the tokens of a pair a type that the encoder does not have.

    Args:
        loaded: the tokenizer.
        types: how many it has.

    Raises:
        StagingError: it does.
    """
    highest = max(loaded.encode("a", "b").type_ids, default=0)
    if highest >= types:
        raise StagingError(
            f"the post_processor in '{TOKENIZER}' gives tokens of a pair the type {highest}, and "
            f"config.json says type_vocab_size {types}. Is it this model's own tokenizer?"
        )


def require_query_first(content: bytes) -> None:
    """Refuse a tokenizer that puts the second text of a pair before the first.

    Args:
        content: the tokenizer.json.

    Raises:
        StagingError: it does: the runtime cuts pairs with the query first.
    """
    outer = json.loads(content).get("post_processor") or {}
    for part in outer.get("processors", [outer]):
        places = [piece["Sequence"]["id"] for piece in part.get("pair", ()) if "Sequence" in piece]
        if places not in ([], ["A", "B"]):
            raise StagingError(
                f"the post_processor in '{TOKENIZER}' makes a pair of {' + '.join(places)}; the "
                f"converter knows A + B, the query and then the text. {_SAVE_ANEW}"
            )


def pads_left(tokenizer: Path, settings: Path) -> bool:
    """Tell whether transformers would put padding before a text."""
    return _settings_beside(tokenizer, settings).get("padding_side") == "left"


def _settings_beside(tokenizer: Path, settings: Path) -> Mapping[str, Any]:
    beside = tokenizer.parent if (tokenizer.parent / TOKENIZER_SETTINGS).is_file() else settings
    return read_optional(beside / TOKENIZER_SETTINGS)


def _read(path: Path) -> tuple[Json, Any]:
    """Return what a tokenizer.json holds, and the tokenizer; Python and the library read it."""
    require_no_pointer(path)
    if path.read_bytes().startswith(b"\xef\xbb\xbf"):
        raise StagingError(
            f"'{path.name}' starts with a byte-order mark, which tokenizers does not read. Save "
            f"the file as UTF-8 without one."
        )
    given = read_object(path)
    version = importlib.metadata.version("tokenizers")
    try:
        loaded = _tokenizer(given)
    except Exception as error:
        raise StagingError(
            f"'{path.name}' cannot be read by tokenizers {version} ({error}). If a newer one wrote "
            f"it, install that here and in the warehouse; if not, save the tokenizer again."
        ) from None
    return {"added_tokens": [], **given}, loaded


def _tokenizer(content: Mapping[str, Any]) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer
    return load(json.dumps(content, ensure_ascii=False).encode())


def _require_known(said: Mapping[str, Any]) -> None:
    """Refuse the keys that lead to a tokenizer other than tokenizer.json's."""
    if said.get("auto_map"):
        raise _says("auto_map", "the tokenizer is code of the model's own, which never runs here")
    if any(name != TOKENIZER for name in said.get("fast_tokenizer_files") or ()):
        raise _says("fast_tokenizer_files", f"only '{TOKENIZER}' is read here")
    if said.get("split_special_tokens"):
        raise _says("split_special_tokens", "the runtime keeps special tokens whole")


def _require_space(said: Mapping[str, Any], given: Json) -> None:
    """Refuse a class that takes the file as it is, and a key that only transformers 4 follows."""
    before = given.get("pre_tokenizer") or {}
    has = before.get("add_prefix_space") if before.get("type") == "ByteLevel" else None
    if has is not None and said.get("add_prefix_space", has) != has:
        raise _says("add_prefix_space", f"'{TOKENIZER}' has the contrary, {_shown(has)}")


def _says(key: str, why: str) -> StagingError:
    return StagingError(f"'{TOKENIZER_SETTINGS}' says {key}: {why}. {_SAVE_ANEW}")


def _class_name(said: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return the class that transformers makes; None for one that takes the file as it is."""
    model_type = config.get("model_type")
    named = said.get("tokenizer_class") or config.get("tokenizer_class")
    if model_type in _OF_NO_CLASS:
        return None
    by_type = _OF_MODEL_TYPE.get(str(model_type), _AS_IT_IS[0])
    name = str(named or by_type).removesuffix("Fast")
    return None if name in _AS_IT_IS else name


@dataclass(frozen=True)
class _Made:
    """A class, what is said of it, tokenizer.json as it is, loaded, and as it must be."""

    name: str
    like: _Class
    said: Mapping[str, Any]
    given: Json
    loaded: Any
    made: Json

    def settle(self) -> None:
        """Set what the class says, where both versions of transformers do."""
        settle = {"wordpiece": self._words, "bytes": self._bytes, "unigram": self._pieces}
        settle[self.like.kind]()
        self._require_frame()

    def _words(self) -> None:
        self._require_model("WordPiece", unk_token=self._token("unk"))
        normalizer = self.given.get("normalizer") or {}
        lower = self._flag("do_lower_case", True)
        if normalizer.get("type") != "BertNormalizer":
            if lower and "do_lower_case" in self.said and not lowers(normalizer):
                raise StagingError(
                    f"'{TOKENIZER_SETTINGS}' says do_lower_case true, and the normalizer in "
                    f"'{TOKENIZER}' does not lower-case. Make them agree."
                )
            raise self._differs("normalizer", _types(normalizer), "BertNormalizer")
        if normalizer.get("clean_text") is not True:
            raise self._differs("clean_text", normalizer.get("clean_text"), True)
        self._require("pre_tokenizer", _types(self.given.get("pre_tokenizer")), "BertPreTokenizer")
        self.made["normalizer"] = {
            **normalizer,
            "lowercase": lower,
            "strip_accents": self._flag("strip_accents", None),
            "handle_chinese_chars": self._flag("tokenize_chinese_chars", True),
        }

    def _bytes(self) -> None:
        from tokenizers.pre_tokenizers import ByteLevel

        self._require_model("BPE", byte_fallback=False, dropout=None, ignore_merges=False)
        if any(letter not in self.given["model"]["vocab"] for letter in ByteLevel.alphabet()):
            self._require_model("BPE", unk_token=None)
        self._require("normalizer", _types(self.given.get("normalizer")), "none")
        before = self.given.get("pre_tokenizer") or {}
        self._require("pre_tokenizer", _types(before), "ByteLevel")
        self._require("use_regex", before.get("use_regex", True), True)
        self.made["pre_tokenizer"] = {
            **before,
            "add_prefix_space": self._flag("add_prefix_space", False),
        }

    def _pieces(self) -> None:
        pieces = [piece for piece, _ in self.given["model"].get("vocab") or ()]
        unknown = self.like.unknown
        if unknown is None:
            token = self._token("unk")
            unknown = pieces.index(token) if token in pieces else 0
        self._require_model("Unigram", unk_id=unknown, byte_fallback=False)
        wanted = ["Precompiled"]
        if self.like.casing:
            lower = self._flag("do_lower_case", True)
            accents = self._flag("keep_accents", False)
            plain = [] if accents else ["NFKD", "StripAccents"]
            wanted = ["Replace", "Replace", *plain, *(["Lowercase"] if lower else []), *wanted]
            key = next((one for one in ("do_lower_case", "keep_accents") if one in self.said), None)
        else:
            key = None
        came = [
            one["type"]
            for one in _parts(self.given.get("normalizer"))
            if one["type"] != "Strip" and "Regex" not in (one.get("pattern") or {})
        ]
        if "Precompiled" not in came:
            wanted.remove("Precompiled")
        if came != wanted:
            raise self._differs(key or "normalizer", " + ".join(came), " + ".join(wanted))
        canonical = json.loads(self.loaded.to_str())["pre_tokenizer"]
        before = [one for one in _parts(canonical) if one["type"] != "WhitespaceSplit"]
        if _types(canonical) == "Metaspace" and "Precompiled" not in came:
            raise self._differs("pre_tokenizer", "Metaspace", "WhitespaceSplit + Metaspace")
        self._require(
            "pre_tokenizer", _types({"type": "Sequence", "pretokenizers": before}), "Metaspace"
        )
        has_space = self.name == "T5Tokenizer" or self._flag("add_prefix_space", True)
        self._require(
            "add_prefix_space", before[0]["prepend_scheme"], "always" if has_space else "never"
        )
        self._require("split", before[0].get("split", True), True)

    def _require_model(self, kind: str, **wanted: object) -> None:
        model = self.given["model"]
        self._require("model", model.get("type", kind), kind)
        if kind == "WordPiece":
            wanted |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        for name, value in wanted.items():
            if model.get(name) != value and (model.get(name) or value):
                raise self._differs(name, model.get(name), value)

    def _require_frame(self) -> None:
        """Require that the file puts those tokens around a text that the class puts there."""
        if self.like.frame is None:
            return
        tokenizer = self.loaded
        tokenizer.no_padding()
        tokenizer.no_truncation()
        texts = (
            tokenizer.encode(text, add_special_tokens=False) for text in ("a", "the", "1", ".")
        )
        one = next((encoding for encoding in texts if encoding.ids), None)
        if one is None:
            return
        own = list(one.ids)
        before, after = (
            [tokenizer.token_to_id(self._token(name)) for name in names]
            for names in self.like.frame
        )
        whole = tokenizer.post_process(one)
        if whole.ids != [*before, *own, *after] or any(whole.type_ids):
            names = ["…" if token in one.tokens else token for token in whole.tokens]
            tokens = [[self._token(name) for name in names] for names in self.like.frame]
            raise self._differs(
                "post_processor", " ".join(names), " ".join([*tokens[0], "…", *tokens[1]])
            )

    def _token(self, name: str) -> str:
        value = self.said.get(f"{name}_token") or self.like.tokens[name]
        return str(value["content"] if isinstance(value, dict) else value)

    def _flag(self, key: str, default: bool | None) -> bool | None:
        value = self.said.get(key, default)
        if value is default or isinstance(value, bool):
            return value
        raise StagingError(
            f"'{TOKENIZER_SETTINGS}' says {key} {value!r}; it must be true or false."
        )

    def _require(self, part: str, came: object, wanted: object) -> None:
        if came != wanted:
            raise self._differs(part, came, wanted)

    def _differs(self, part: str, came: object, wanted: object) -> StagingError:
        return StagingError(
            f"'{TOKENIZER}' has {part} {_shown(came)}, and tokenizer_class '{self.name}' with "
            f"'{TOKENIZER_SETTINGS}' {_shown(wanted)}: transformers 4 and 5 do not take the same. "
            f"{_SAVE_ANEW}"
        )


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _parts(component: object) -> Iterator[Json]:
    """Yield the parts of a normalizer or pre-tokenizer, those of a sequence one by one."""
    if not isinstance(component, dict):
        return
    if component.get("type") != "Sequence":
        yield component
    for part in component.get("normalizers") or component.get("pretokenizers") or ():
        yield from _parts(part)


def _types(component: object) -> str:
    return " + ".join(str(part.get("type")) for part in _parts(component)) or "none"


def _added_tokens(
    name: str | None,
    said: Mapping[str, Any],
    of_old: Mapping[str, Any],
    given: Json,
    rows: int,
) -> list[Json]:
    """Return the tokens that are found in a text before it is split, as transformers adds them.

    Args:
        name: the class, if it makes its tokenizer itself: then it only takes the listed tokens.
        said: tokenizer_config.json, and special_tokens_map.json where it counts.
        of_old: added_tokens.json.
        given: tokenizer.json.
        rows: of the model's table, 0 if not known: it cannot embed a token beyond them.
    """
    like = _CLASSES[name] if name else None
    own = list(given["added_tokens"])
    tokenizer = _tokenizer({**given, "added_tokens": [] if like else own})
    named = {f"{one}_token": token for one, token in (like.tokens if like else {}).items()}
    stated = {
        key: value
        for key, value in {**named, **said}.items()
        if key.endswith("_token") and isinstance(value, str | dict)
    }
    extra = said.get("extra_special_tokens") or said.get("additional_special_tokens")
    if isinstance(extra, dict):
        stated |= extra
        extra = []
    if extra is None:
        extra = like.extra[: said.get("extra_ids", 100)] if like else ()
    listed: dict[int, Json] = {}
    if "added_tokens_decoder" in said:
        listed = {int(place): one for place, one in said["added_tokens_decoder"].items()}
    else:
        special = {_content(one) for one in (*stated.values(), *extra)}
        for content, place in of_old.items():
            is_special = content in special
            listed[place] = {
                **{"content": content, "special": is_special, "normalized": not is_special},
                **{"lstrip": False, "rstrip": False},
            }
        listed |= {one["id"]: one for one in own}
    tokens = [_token(one) for _, one in sorted(listed.items())]
    known = {one["content"] for one in listed.values()} | (
        set() if like else {one["content"] for one in own}
    )
    contents = {_content(one) for one in stated.values()}
    order = [f"{one}_token" for one in _NAMED]
    for key in sorted(stated, key=lambda one: order.index(one) if one in order else len(order)):
        value = stated[key]
        if _content(value) not in known:
            known.add(_content(value))
            tokens.append(_named_token(key, value, like))
    for value in extra:
        if _content(value) not in known:
            known.add(_content(value))
            tokens.append(
                _token(value if isinstance(value, dict) else {"content": value, "special": True})
            )
    tokenizer.add_tokens([_as_special(one) if one.content in contents else one for one in tokens])
    made = json.loads(tokenizer.to_str())["added_tokens"]
    places = {one["id"] for one in own}
    # What stands beyond the table's rows the model could not embed, with transformers neither.
    implied = {*(like.tokens.values() if like else ()), *(like.extra if like else ())}
    made = [
        one
        for one in made
        if one["id"] in places
        or (one["id"] < rows if rows else one["content"] not in implied or _is_in(given, one))
    ]
    if lost := sorted({one["content"] for one in own} - {one["content"] for one in made}):
        raise StagingError(
            f"'{TOKENIZER}' has the added token {lost[0]!r}, and added_tokens_decoder in "
            f"'{TOKENIZER_SETTINGS}' does not: transformers 4 and 5 do not take the same. "
            f"{_SAVE_ANEW}"
        )
    return made if _by_place(made) != _by_place(own) else own


def _is_in(given: Json, one: Json) -> bool:
    vocabulary = given["model"].get("vocab") or ()
    if isinstance(vocabulary, dict):
        return one["content"] in vocabulary
    return any(piece == one["content"] for piece, _ in vocabulary)


def _by_place(tokens: Sequence[Json]) -> dict[int, Json]:
    return {one["id"]: one for one in tokens}


def _content(value: object) -> str:
    return str(value["content"] if isinstance(value, dict) else value)


def _token(fields: Mapping[str, Any]) -> Any:  # noqa: ANN401 - tokenizers.AddedToken
    from tokenizers import AddedToken

    return AddedToken(
        str(fields["content"]), **{flag: fields[flag] for flag in _FLAGS if flag in fields}
    )


def _named_token(key: str, value: object, like: _Class | None) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return _token({**value, "special": True})
    fields: Json = {"content": value, "special": True}
    if like and like.mask_takes_space and key == "mask_token":
        fields["lstrip"] = True
    return _token(fields)


def _as_special(token: Any) -> Any:  # noqa: ANN401 - tokenizers.AddedToken
    return _token(
        {
            **{flag: getattr(token, flag) for flag in _FLAGS},
            "content": token.content,
            "special": True,
        }
    )


def _settle_side(said: Mapping[str, Any], made: Json) -> None:
    """Set the side on which texts are cut."""
    truncation = made.get("truncation")
    own = (truncation or {}).get("direction", "Right")
    side = said.get("truncation_side", own.lower())
    if side not in _SIDES:
        raise StagingError(
            f"'{TOKENIZER_SETTINGS}' says truncation_side {side!r}; it must be left or right."
        )
    if _SIDES[side] != own:
        usual = {"max_length": 512, "strategy": "LongestFirst", "stride": 0}
        made["truncation"] = {**(truncation or usual), "direction": _SIDES[side]}
