"""A small real model of each format that stage_model.py takes, and a direct call of each.

`save_<format>(folder)` saves one as its users have it, with TensorFlow, Keras, SentencePiece or
TensorFlow Text, and returns it with `direct`: what the saved model gives for texts, one text at a
time, without any code of this package. Every vector depends on its text's words, on their order
and on their number, so that a mistake in padding, truncating, pooling or batching shows.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import makers
import numpy as np
from makers import CORPUS, Tensor

DIMENSIONS = 8
BUCKETS = 512

# What transformers calls the most positions of a BERT; the model fails on more.
POSITIONS = 24
# What TensorFlow Text's preprocessors pad and truncate to.
SEQUENCE = 16

USE_LITE_TOKENIZER = "assets/universal_encoder_8k_spm.model"

# TensorFlow Hub's `tfhub_module.pb`: the message ModuleDef with format FORMAT_V3.
# https://github.com/tensorflow/hub/blob/master/tensorflow_hub/module_def.proto
_TF1_HUB_FORMAT = b"\x08\x03"

Direct = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Made:
    """A saved model.

    Attributes:
        path: what a user gives as SOURCE: a SavedModel's folder, or a file.
        kind: the kind of encoder that it needs.
        direct: texts that are not blank -> float32 [n, dimensions], not normalized.
        options: the flags that the CLI needs beside SOURCE, where inspection cannot choose.
        tokens: text -> the ids that the model sees of it, special ones included, before they are
            truncated; none where the text has no tokens of its own. None where the tokenizer is
            inside the model.
        direct_of_ids: such ids -> float32 [1, dimensions].
        max_tokens: the model's limit; None: it has none.
        dimensions: of a vector.
        libraries: modules that TensorFlow needs to load the model.
    """

    path: Path
    kind: str
    direct: Direct
    options: tuple[str, ...] = ()
    tokens: Callable[[str], list[int]] | None = None
    direct_of_ids: Callable[[Sequence[int]], np.ndarray] | None = None
    max_tokens: int | None = None
    dimensions: int = DIMENSIONS
    libraries: tuple[str, ...] = ()


def save_callable_text(folder: Path) -> Made:
    """Save a TF2 model of TF-Hub's kind: the object itself is called, there are no signatures."""
    import tensorflow as tf

    _save(_words_model(seed=11), folder, signatures={})
    loaded = cache(lambda: tf.saved_model.load(str(folder)))
    return Made(folder, "text", _one_by_one(lambda text: loaded()(tf.constant([text]))))


def save_signature_default_text(folder: Path) -> Made:
    """Save a model whose signature is called `default`, as TF-Hub's TF1 modules call theirs."""
    return _save_with_signature(folder, "default", seed=12)


def save_serving_default_text(folder: Path) -> Made:
    """Save what `tf.saved_model.save` makes of a function of strings."""
    return _save_with_signature(folder, "serving_default", seed=13)


def save_rank2_text(folder: Path) -> Made:
    """Save a model that takes a column of strings, [n, 1]."""
    import tensorflow as tf

    model = _words_model(seed=14, rank=2)
    _save(model, folder, signatures={"serving_default": model.__call__})
    call = _signature(folder, "serving_default")
    return Made(
        folder,
        "text",
        _one_by_one(lambda text: call()(sentences=tf.constant([[text]]))["output_0"]),
    )


def save_dict_output_text(folder: Path) -> Made:
    """Save a model that gives a dict: the states of each word, their number, and the vector."""
    import tensorflow as tf

    model = _words_model(seed=15, gives="dict")
    _save(model, folder, signatures={"serving_default": model.__call__})
    call = _signature(folder, "serving_default")
    return Made(
        folder, "text", _one_by_one(lambda text: call()(sentences=tf.constant([text]))["vector"])
    )


def save_callable_dict(folder: Path) -> Made:
    """Save a model without signatures whose call gives a dict."""
    import tensorflow as tf

    _save(_words_model(seed=16, gives="dict"), folder, signatures={})
    loaded = cache(lambda: tf.saved_model.load(str(folder)))
    return Made(folder, "text", _one_by_one(lambda text: loaded()(tf.constant([text]))["vector"]))


def save_list_output(folder: Path) -> Made:
    """Save a model without signatures whose call gives a list; the vector is its second item."""
    import tensorflow as tf

    _save(_words_model(seed=17, gives="list"), folder, signatures={})
    loaded = cache(lambda: tf.saved_model.load(str(folder)))
    return Made(folder, "text", _one_by_one(lambda text: loaded()(tf.constant([text]))[1]))


def save_two_vectors_text(folder: Path, output: str = "right") -> Made:
    """Save a model that gives two vectors of one text, `left` and `right`: a user must choose."""
    import tensorflow as tf

    class Both(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = _words_model(seed=18), _words_model(seed=19)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="sentences")])
        def __call__(self, sentences: Tensor) -> dict[str, Tensor]:
            return {"left": self.left(sentences), "right": self.right(sentences)}

    model = Both()
    _save(model, folder, signatures={"serving_default": model.__call__})
    call = _signature(folder, "serving_default")
    return Made(
        folder,
        "text",
        _one_by_one(lambda text: call()(sentences=tf.constant([text]))[output]),
        options=("--output", output),
    )


def save_tf1_text_module(folder: Path) -> Made:
    """Save a TF1 hub module that takes strings, as nnlm's: no tags, its vocabulary an asset.

    Its table has no initializer but the one in the graph's collection, as in a module of TF-Hub.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    words = sorted({word for sentence in CORPUS for word in sentence.split()})
    own = _makers_own_folder(folder)
    (own / "tokens.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    with v1.Graph().as_default(), v1.Session() as session:
        texts = v1.placeholder(tf.string, [None], name="text")
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(own / "tokens.txt"),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=16,
        )
        weights = v1.get_variable(
            "embeddings", initializer=_table(len(words) + 16, seed=21), use_resource=False
        )
        pieces = tf.strings.split(texts)
        places = tf.cast(tf.ragged.range(pieces.row_lengths()), tf.float32)
        rows = tf.sin(
            tf.gather(weights, table.lookup(pieces.values)) + 0.1 * places.values[:, None]
        )
        vectors = tf.math.unsorted_segment_mean(
            rows, pieces.value_rowids(), pieces.nrows(out_type=tf.int64)
        )
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        _save_tf1_module(folder, session, default=({"default": texts}, {"default": vectors}))
    shutil.rmtree(own)

    def call() -> Any:  # noqa: ANN401 - TensorFlow ships no types
        return tf.saved_model.load(str(folder), tags=[]).signatures["default"]

    call = cache(call)
    return Made(
        folder, "text", _one_by_one(lambda text: call()(default=tf.constant([text]))["default"])
    )


def save_use_lite_module(folder: Path) -> Made:
    """Save a TF1 hub module of the format of Universal Sentence Encoder lite.

    No tags; signature `default` takes the ids of all texts as one sparse matrix; signature
    `spm_path` names a file of its maker's machine, which is gone; the SentencePiece model is
    trained, and in assets. `direct` is arithmetic on the weights, in NumPy.
    """
    import tensorflow as tf
    from sentencepiece import SentencePieceProcessor

    v1 = tf.compat.v1
    own = _makers_own_folder(folder)
    tokenizer = own / Path(USE_LITE_TOKENIZER).name
    tokenizer.write_bytes(train_sentencepiece(vocabulary=220))
    weights = _table(220, seed=22)
    with v1.Graph().as_default(), v1.Session() as session:
        asset = tf.constant(str(tokenizer), name="spm_path")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        values = v1.placeholder(tf.int64, [None], name="values")
        indices = v1.placeholder(tf.int64, [None, 2], name="indices")
        shape = v1.placeholder(tf.int64, [2], name="dense_shape")
        table = v1.get_variable("embeddings", initializer=weights, use_resource=False)
        places = tf.cast(indices[:, 1], tf.float32)[:, None]
        rows = tf.sin(tf.gather(table, values) + 0.1 * places)
        vectors = tf.math.unsorted_segment_mean(rows, indices[:, 0], shape[0])
        session.run(v1.global_variables_initializer())
        inputs = {"values": values, "indices": indices, "dense_shape": shape}
        _save_tf1_module(
            folder,
            session,
            default=(inputs, {"default": vectors}),
            spm_path=({}, {"default": tf.identity(asset)}),
        )
    shutil.rmtree(own)

    pieces = SentencePieceProcessor(model_file=str(folder / USE_LITE_TOKENIZER))

    def vector(ids: Sequence[int]) -> np.ndarray:
        rows = weights[np.array(ids)].astype(np.float64)
        return np.sin(rows + 0.1 * np.arange(len(rows))[:, None]).mean(0, keepdims=True)

    return Made(
        folder,
        "sentencepiece",
        _one_by_one(lambda text: vector(pieces.encode(text))),
        tokens=pieces.encode,
        direct_of_ids=vector,
    )


def save_keras_export(folder: Path) -> Made:
    """Save what Keras 3's `model.export` writes."""
    import tensorflow as tf

    _keras_model(seed=31).export(str(folder), verbose=False)
    call = _signature(folder, "serving_default")
    return Made(
        folder,
        "text",
        _one_by_one(lambda text: call()(texts=tf.constant([[text]]))["output_0"]),
    )


def save_keras_file(folder: Path) -> Made:
    """Save what Keras 3's `model.save` writes: a file `model.keras` in the folder."""
    import keras
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.keras"
    _keras_model(seed=32).save(file)

    @cache
    def loaded() -> Any:  # noqa: ANN401 - Keras types its models as Any or None
        return keras.saving.load_model(file, compile=False, safe_mode=True)

    return Made(file, "text", _one_by_one(lambda text: loaded()(tf.constant([[text]]))))


def save_transformers_saved_model(
    folder: Path,
    output: str = "last_hidden_state",
    pooling: str | None = "mean",
    *,
    new_axes: bool = False,
) -> Made:
    """Save a folder as `TFBertModel.save_pretrained(folder, saved_model=True)` lays it out.

    `direct` is the output that is named, pooled over the text's own tokens. The states of padding
    are not zero, and the model fails on more than POSITIONS tokens, as BERT does. `new_axes`: see
    `_bert_like_model`.
    """
    import tensorflow as tf

    saved_model = folder / "saved_model" / "1"
    model = _bert_like_model(seed=41, new_axes=new_axes)
    _save(model, saved_model, signatures={"serving_default": model.serving})
    makers.save_tokenizer(folder / "tokenizer.json")
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": DIMENSIONS,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "vocab_size": 300,
    }
    (folder / "config.json").write_text(json.dumps(config))
    limits = {"tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS}
    (folder / "tokenizer_config.json").write_text(json.dumps(limits))

    call = _signature(saved_model, "serving_default")
    pool = {
        None: lambda states: states,
        "mean": lambda states: states.mean(1),
        "max": lambda states: states.max(1),
        "cls": lambda states: states[:, 0],
    }[pooling]

    def vector(ids: Sequence[int]) -> np.ndarray:
        outputs = call()(
            input_ids=tf.constant([ids], tf.int32),
            attention_mask=tf.ones([1, len(ids)], tf.int32),
            token_type_ids=tf.zeros([1, len(ids)], tf.int32),
        )
        return pool(outputs[output].numpy())

    tokens = bert_tokens(folder)

    return Made(
        folder,
        "tokens",
        _one_by_one(lambda text: vector(truncated(tokens(text), POSITIONS))),
        options=("--output", output, *(("--pooling", pooling) if pooling else ())),
        tokens=tokens,
        direct_of_ids=vector,
        max_tokens=POSITIONS,
    )


def save_preprocessor_pair(folder: Path) -> Made:
    """Save an encoder and a preprocessor of TF-Hub's kind: TensorFlow Text's ops, then BERT.

    The encoder is in `folder/encoder`, its preprocessor in `folder/preprocessor`.
    """
    import tensorflow as tf

    encoder, preprocessor = folder / "encoder", folder / "preprocessor"
    _save_preprocessor(preprocessor)
    model = _bert_like_model(seed=42)
    _save(model, encoder, signatures={"serving_default": model.from_preprocessor})

    def vector(text: str) -> Tensor:
        return call()(**prepare()(sentences=tf.constant([text])))["pooled_output"]

    prepare = _signature(preprocessor, "serving_default")
    call = _signature(encoder, "serving_default")
    return Made(
        encoder,
        "text",
        _one_by_one(vector),
        options=("--preprocessor", str(preprocessor), "--output", "pooled_output"),
        libraries=("tensorflow_text",),
    )


def save_text_ops_model(folder: Path) -> Made:
    """Save a model whose graph tokenizes with TensorFlow Text's SentencePiece op.

    So do the multilingual Universal Sentence Encoders.
    """
    import tensorflow as tf
    import tensorflow_text

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tensorflow_text.SentencepieceTokenizer(
                train_sentencepiece(220), add_bos=True, add_eos=True
            )
            self.table = tf.Variable(_table(220, seed=51))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
            ids = self.tokenizer.tokenize(inputs)
            vectors, _, _ = _mean_of_rows(self.table, ids)
            return {"outputs": vectors}

    model = Model()
    _save(model, folder, signatures={"serving_default": model.__call__})
    call = _signature(folder, "serving_default")
    return Made(
        folder,
        "text",
        _one_by_one(lambda text: call()(inputs=tf.constant([text]))["outputs"]),
        libraries=("tensorflow_text",),
    )


def bert_tokens(folder: Path) -> Callable[[str], list[int]]:
    """Return what makes ids of texts with a folder's tokenizer.json, between [CLS] and [SEP]."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def tokens(text: str) -> list[int]:
        ids = tokenizer.encode(text).ids
        return ids if len(ids) > 2 else []

    return tokens


def truncated(ids: Sequence[int], limit: int) -> list[int]:
    """Cut as BERT's tokenizer does: the separator at the end is kept."""
    return list(ids) if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def train_sentencepiece(vocabulary: int) -> bytes:
    """Train a SentencePiece model on the tests' corpus, and return its file."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(CORPUS * 4),
        model_writer=model,
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    return model.getvalue()


def _save(model: Any, folder: Path, *, signatures: dict[str, Any]) -> None:  # noqa: ANN401
    import tensorflow as tf

    tf.saved_model.save(model, str(folder), signatures=signatures)


def _save_with_signature(folder: Path, name: str, *, seed: int) -> Made:
    import tensorflow as tf

    model = _words_model(seed=seed)
    _save(model, folder, signatures={name: model.__call__})
    call = _signature(folder, name)
    return Made(
        folder, "text", _one_by_one(lambda text: call()(sentences=tf.constant([text]))["output_0"])
    )


def _signature(folder: Path, name: str) -> Callable[[], Any]:
    """Return what loads a SavedModel when it is first called, and returns one signature of it.

    The functions of a SavedModel do not keep its variables alive: the cache keeps both.
    """

    @cache
    def loaded() -> Any:  # noqa: ANN401 - TensorFlow ships no types
        import tensorflow as tf
        import tensorflow_text  # noqa: F401 - registers its ops

        return tf.saved_model.load(str(folder))

    return lambda: loaded().signatures[name]


def _one_by_one(call: Callable[[str], Any]) -> Direct:
    """Call for each text on its own: [1, d], a tensor or an array; nothing is padded."""

    def direct(texts: Sequence[str]) -> np.ndarray:
        return np.concatenate([np.asarray(call(text), np.float32) for text in texts])

    return direct


def _table(rows: int, *, seed: int) -> Tensor:
    return np.random.default_rng(seed).normal(size=(rows, DIMENSIONS)).astype(np.float32)


def _mean_of_rows(table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors [n, d], states [n, t, d] and lengths [n] of ragged ids [n, (t)].

    A state is sin(row of the id + 0.1 * place); a vector is the mean of its text's states.
    """
    import tensorflow as tf

    mask = tf.cast(tf.sequence_mask(ids.row_lengths()), tf.float32)[:, :, None]
    dense = ids.to_tensor(0)
    places = tf.cast(tf.range(tf.shape(dense)[1]), tf.float32)[None, :, None]
    states = tf.sin(tf.gather(table, dense) + 0.1 * places) * mask
    lengths = tf.reduce_sum(mask, 1)
    return tf.reduce_sum(states, 1) / tf.maximum(lengths, 1.0), states, ids.row_lengths()


def _words_model(*, seed: int, rank: int = 1, gives: str = "tensor") -> Any:  # noqa: ANN401
    """Return a module that takes strings [n] or [n, 1]: words in hash buckets, and their mean."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.Variable(_table(BUCKETS, seed=seed))

        @tf.function(input_signature=[tf.TensorSpec([None] * rank, tf.string, name="sentences")])
        def __call__(self, sentences: Tensor) -> Any:  # noqa: ANN401
            words = tf.strings.split(tf.reshape(sentences, [-1]))
            ids = words.with_flat_values(tf.strings.to_hash_bucket_fast(words.flat_values, BUCKETS))
            vectors, states, lengths = _mean_of_rows(self.table, ids)
            if gives == "dict":
                return {"vector": vectors, "states": states, "words": lengths}
            return [lengths, vectors] if gives == "list" else vectors

    return Model()


def _bert_like_model(*, seed: int, new_axes: bool = False) -> Any:  # noqa: ANN401
    """Return a module of BERT's inputs and outputs.

    A row is sin(row of the id + row of its place + row of its type), for padding too; a state is
    tanh(the row + the mean of the text's rows). Places end at POSITIONS. With `new_axes` it has
    `x[:, None]` for `tf.expand_dims`, which is the same to TensorFlow, and nothing to LiteRT.
    """
    import tensorflow as tf

    def expanded(tensor: Tensor, axis: int) -> Tensor:
        if new_axes:
            return tensor[(*[slice(None)] * axis, None)]
        return tf.expand_dims(tensor, axis)

    def ids(name: str, width: int | None = None) -> Tensor:
        return tf.TensorSpec([None, width], tf.int32, name=name)

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = tf.Variable(_table(300, seed=seed))
            self.places = tf.Variable(_table(POSITIONS, seed=seed + 100))
            self.types = tf.Variable(_table(2, seed=seed + 200))
            self.pooler = tf.Variable(_table(DIMENSIONS, seed=seed + 300))

        def states(self, ids: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
            places = tf.range(tf.shape(ids)[1])
            rows = tf.gather(self.words, ids) + expanded(tf.gather(self.places, places), 0)
            rows = tf.sin(rows + tf.gather(self.types, types))
            weights = expanded(tf.cast(mask, tf.float32), 2)
            mean = tf.reduce_sum(rows * weights, 1) / tf.reduce_sum(weights, 1)
            states = tf.tanh(rows + expanded(mean, 1))
            return states, tf.tanh(states[:, 0] @ self.pooler)

        @tf.function(
            input_signature=[ids("input_ids"), ids("attention_mask"), ids("token_type_ids")]
        )
        def serving(
            self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
        ) -> dict[str, Tensor]:
            states, pooled = self.states(input_ids, attention_mask, token_type_ids)
            return {"last_hidden_state": states, "pooler_output": pooled}

        @tf.function(
            input_signature=[
                ids("input_word_ids", SEQUENCE),
                ids("input_mask", SEQUENCE),
                ids("input_type_ids", SEQUENCE),
            ]
        )
        def from_preprocessor(
            self, input_word_ids: Tensor, input_mask: Tensor, input_type_ids: Tensor
        ) -> dict[str, Tensor]:
            states, pooled = self.states(input_word_ids, input_mask, input_type_ids)
            return {"sequence_output": states, "pooled_output": pooled, "default": pooled}

    return Model()


def _save_preprocessor(folder: Path) -> None:
    import tensorflow as tf
    import tensorflow_text

    own = _makers_own_folder(folder)
    makers.save_tokenizer(own / "tokenizer.json")
    vocabulary = json.loads((own / "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    (own / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")

    class Preprocessor(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vocabulary = tf.saved_model.Asset(str(own / "vocab.txt"))
            self.table = tf.lookup.StaticVocabularyTable(
                tf.lookup.TextFileInitializer(
                    self.vocabulary,
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                num_oov_buckets=1,
            )
            self.tokenizer = tensorflow_text.BertTokenizer(self.table, lower_case=True)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="sentences")])
        def __call__(self, sentences: Tensor) -> dict[str, Tensor]:
            ids = self.tokenizer.tokenize(sentences).merge_dims(1, 2)
            segments, types = tensorflow_text.combine_segments(
                [ids[:, : SEQUENCE - 2]], start_of_sequence_id=2, end_of_segment_id=3
            )
            word_ids, mask = tensorflow_text.pad_model_inputs(segments, SEQUENCE)
            type_ids, _ = tensorflow_text.pad_model_inputs(types, SEQUENCE)
            tensors = {
                "input_word_ids": word_ids,
                "input_mask": mask,
                "input_type_ids": type_ids,
            }
            return {name: tf.cast(tensor, tf.int32) for name, tensor in tensors.items()}

    model = Preprocessor()
    _save(model, folder, signatures={"serving_default": model.__call__})
    shutil.rmtree(own)


def _keras_model(*, seed: int) -> Any:  # noqa: ANN401
    """Return a Keras model whose layers see the order of the words; 32 words at most."""
    import keras

    keras.utils.set_random_seed(seed)
    vectorize = keras.layers.TextVectorization(output_sequence_length=32)
    vectorize.adapt(CORPUS)
    texts = keras.Input(shape=(1,), dtype="string", name="texts")
    states = keras.layers.Embedding(
        vectorize.vocabulary_size(), DIMENSIONS, embeddings_initializer="normal"
    )(vectorize(texts))
    states = keras.layers.Conv1D(DIMENSIONS, 2, activation="tanh")(states)
    return keras.Model(texts, keras.layers.GlobalAveragePooling1D(name="vector")(states))


def _makers_own_folder(folder: Path) -> Path:
    """Make a folder for the files that the model's maker has, which its users do not."""
    own = folder.with_name(f"{folder.name}-of-its-maker")
    own.mkdir(parents=True)
    return own


def _save_tf1_module(
    folder: Path, session: Tensor, **signatures: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> None:
    """Save a session's graph as TF-Hub's TF1 format does: one graph with an empty set of tags."""
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.builder.SavedModelBuilder(str(folder))
    builder.add_meta_graph_and_variables(
        session,
        tags=[],
        signature_def_map={
            name: v1.saved_model.build_signature_def(_tensor_infos(inputs), _tensor_infos(outputs))
            for name, (inputs, outputs) in signatures.items()
        },
        assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        strip_default_attrs=True,
    )
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(_TF1_HUB_FORMAT)


def _tensor_infos(tensors: dict[str, Tensor]) -> dict[str, Any]:
    from tensorflow.core.protobuf import meta_graph_pb2

    return {
        key: meta_graph_pb2.TensorInfo(  # pyright: ignore[reportAttributeAccessIssue]
            name=tensor.name,
            dtype=tensor.dtype.as_datatype_enum,
            tensor_shape=tensor.shape.as_proto(),
        )
        for key, tensor in tensors.items()
    }
