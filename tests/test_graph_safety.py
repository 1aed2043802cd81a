"""A graph that could reach out of itself is refused; each model here is real, and none is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import encoder_makers
import makers
import pytest
from graph_makers import (
    Tensor,
    add_constant,
    edited,
    function_with,
    lengths,
    save_text,
    save_with_table,
)
from inspecting import examine, find, survey
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import op_lists, safety
from tf_embeddings_staging.inspection.graph import Graph
from tf_embeddings_staging.options import Options

# What reaches out by its name, one of each sort.
NAMED = """
    ReadFile WriteFile MatchingFiles PyFunc PyFuncStateless EagerPyFunc ImmutableConst
    TextLineDataset TFRecordDataset TFRecordReaderV2 WholeFileReaderV2 FixedLengthRecordDataset
    SqlDataset LMDBReader SaveDataset LoadDataset SnapshotDataset SnapshotDatasetV2 CacheDataset
    CacheDatasetV2 DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV4 RegisterDataset
    CreateSummaryFileWriter CreateSummaryDbWriter SummaryWriter WriteSummary ImportEvent RpcCall
    RpcServer RpcClient RemoteCall Send Recv CollectiveReduceV2 DebugIdentity DebugIdentityV2
    DebugIdentityV3 DebugNanCount DebugNumericSummary DumpTensor CalibrationStatisticsSaver
    DecodeProtoV2 EncodeProto FixedUnigramCandidateSampler Skipgram RecordInput
    GenerateVocabRemapping LoadAndRemapMatrix FileSystemSetConfiguration DatasetFromGraph
    XlaCallModule XlaCustomCall SaveV2 RestoreV2 MergeV2Checkpoints Save Restore
    InitializeTableFromTextFile InitializeTableFromTextFileV2 GeneratorDataset Abort
""".split()  # noqa: SIM905

# Arguments of these names are, where nothing is refused, no files.
NO_FILES = {("CTCBeamSearchDecoder", "top_paths"), ("TensorSliceDataset", "is_files")}


@cache
def registry() -> dict[str, Any]:
    """Return the definitions of TensorFlow's own ops."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    ops = op_def_pb2.OpList()  # pyright: ignore[reportAttributeAccessIssue]
    ops.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name: op for op in ops.op}


@cache
def refused_everywhere() -> frozenset[str]:
    """Return the ops that are refused of a graph that has each of them once, outside a saver."""
    from tensorflow.core.protobuf import meta_graph_pb2

    meta = meta_graph_pb2.MetaGraphDef()  # pyright: ignore[reportAttributeAccessIssue]
    for op in registry():
        meta.graph_def.node.add(name=op, op=op)
    model = Graph(Path(), None, meta, (), ((),), False, {}, ())
    return frozenset(danger.op for danger in safety.examine_ops(model).refused)


def test_every_stateful_op_is_refused_or_known_to_be_harmless() -> None:
    stateful = {name for name, op in registry().items() if op.is_stateful}
    assert len(stateful) >= 555
    left = stateful - op_lists.HARMLESS - {op_lists.PRINT}
    assert left <= refused_everywhere()
    assert not op_lists.HARMLESS & refused_everywhere()


def test_the_lists_name_ops_that_there_are() -> None:
    import tensorflow_text

    assert tensorflow_text.__version__
    names = {name for name, op in all_ops().items() if op.is_stateful}
    assert names >= op_lists.HARMLESS
    assert all_ops().keys() - names >= op_lists.STATELESS_AND_REFUSED
    assert all_ops().keys() >= op_lists.TEXT_OPS


def all_ops() -> dict[str, Any]:
    """Return the definitions of TensorFlow's ops, and of what was imported since."""
    registry.cache_clear()
    return registry()


@pytest.mark.parametrize("op", NAMED)
def test_what_reaches_out_is_refused(op: str) -> None:
    assert op in registry()
    assert op in refused_everywhere()


def test_nothing_that_takes_a_file_or_an_address_is_let_in() -> None:
    pattern = re.compile(
        r"file|path|url|address|director|descriptor|memory_region|protocol|host_?port", re.I
    )
    takes = {
        (name, argument.name)
        for name, op in registry().items()
        if name not in refused_everywhere()
        for argument in [*op.input_arg, *op.attr]
        if pattern.search(argument.name)
    }
    assert takes == NO_FILES


def test_what_is_named_after_files_and_servers_is_not_harmless() -> None:
    pattern = re.compile(r"File|Reader|Summary|Rpc|Py|Debug|Send|Recv|Save|Restore|TPU|Server|Sql")
    assert not list(filter(pattern.search, op_lists.HARMLESS))


# --- models that were made to do harm


def read_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    return lengths(texts) + tf.cast(tf.strings.length(tf.io.read_file("secret")), tf.float32)


def read_a_file_in_a_loop(texts: Tensor) -> Tensor:
    import tensorflow as tf

    def body(count: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return count + 1, total + tf.strings.length(tf.io.read_file("secret"))

    _, total = tf.while_loop(lambda count, _: count < 3, body, (0, 0))
    return lengths(texts) + tf.cast(total, tf.float32)


def write_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    with tf.control_dependencies([tf.io.write_file("stolen", tf.strings.reduce_join(texts))]):
        return lengths(texts) + 0


def run_python(texts: Tensor) -> Tensor:
    import tensorflow as tf

    vectors = tf.py_function(lambda one: lengths(one), [texts], tf.float32)
    vectors.set_shape([None, 2])
    return vectors


def run_python_in_numpy(texts: Tensor) -> Tensor:
    import tensorflow as tf

    vectors = tf.numpy_function(lambda one: one, [lengths(texts)], tf.float32, stateful=False)
    vectors.set_shape([None, 2])
    return vectors


def print_into_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    tf.print(texts, output_stream="file://stolen")
    return lengths(texts)


def read_lines(texts: Tensor) -> Tensor:
    import tensorflow as tf

    count = tf.data.TextLineDataset("secret").reduce(0.0, lambda total, _: total + 1)
    return lengths(texts) + count


def read_a_checkpoint(texts: Tensor) -> Tensor:
    import tensorflow as tf

    (numbers,) = tf.raw_ops.RestoreV2(
        prefix="secret", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    return lengths(texts) + tf.reshape(numbers, [])


def write_a_checkpoint(texts: Tensor) -> Tensor:
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix="stolen", tensor_names=["a"], shape_and_slices=[""], tensors=[lengths(texts)]
    )
    return lengths(texts)


def merge_checkpoints(texts: Tensor) -> Tensor:
    import tensorflow as tf

    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=["secret"], destination_prefix="stolen")
    return lengths(texts)


def map_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    numbers = tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[2], memory_region_name="secret")
    return lengths(texts) + numbers


def write_a_summary(texts: Tensor) -> Tensor:
    import tensorflow as tf

    writer = tf.raw_ops.SummaryWriter()
    tf.raw_ops.CreateSummaryFileWriter(
        writer=writer, logdir="stolen", max_queue=1, flush_millis=1, filename_suffix=""
    )
    return lengths(texts)


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (read_a_file, {"ReadFile"}),
        (read_a_file_in_a_loop, {"ReadFile"}),
        (write_a_file, {"WriteFile"}),
        (run_python, {"EagerPyFunc"}),
        (run_python_in_numpy, {"PyFuncStateless"}),
        (print_into_a_file, {"PrintV2"}),
        (read_lines, {"TextLineDataset"}),
        (read_a_checkpoint, {"RestoreV2"}),
        (write_a_checkpoint, {"SaveV2"}),
        (merge_checkpoints, {"MergeV2Checkpoints"}),
        (map_a_file, {"ImmutableConst"}),
        (write_a_summary, {"SummaryWriter", "CreateSummaryFileWriter"}),
    ],
)
def test_a_hostile_model_is_refused_by_what_it_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[[Tensor], Tensor],
    ops: set[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_text(tmp_path / "m", function)
    with pytest.raises(StagingError, match="the graph has ops that can read or write files"):
        find(folder, Options())
    report = survey(folder, Options())
    assert {one["op"] for one in report["refused_ops"]} == ops
    assert not (tmp_path / "stolen").exists()


def test_the_refusal_says_which_op_is_where_and_how_to_let_it_in(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", read_a_file)
    (place,) = {one["where"] for one in survey(folder, Options())["refused_ops"]}
    assert re.fullmatch(r"in the function '__inference_\S+_\d+'", place)
    assert refusal(folder) == (
        "the graph has ops that can read or write files, run code or reach the network: ReadFile "
        f"({place}). Only if you trust whoever made it, let them in with --allow-op ReadFile."
    )


def test_an_op_that_the_user_trusts_is_let_in_and_shown(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", read_a_file)
    report = survey(folder, Options(allow_ops=("ReadFile",)))
    assert (report["kind"], report["problem"]) == ("text", None)
    assert [one["op"] for one in report["allowed_ops"]] == ["ReadFile"]
    assert not report["refused_ops"]


def test_another_op_is_not_let_in_with_it(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", read_a_file)
    assert "ReadFile" in refusal(folder, Options(allow_ops=("WriteFile",)))


def test_what_goes_to_the_log_may_be_printed(tmp_path: Path) -> None:
    import tensorflow as tf

    def chatty(texts: Tensor) -> Tensor:
        tf.print(texts, output_stream=sys.stderr)
        tf.print(texts, output_stream=tf.compat.v1.logging.info)
        return lengths(texts)

    report = survey(save_text(tmp_path / "m", chatty), Options())
    assert (report["ops"]["PrintV2"], report["problem"]) == (2, None)


def test_a_stream_that_whoever_calls_may_choose_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def chatty(texts: Tensor) -> Tensor:
        tf.print(texts)
        return lengths(texts)

    folder = save_text(tmp_path / "m", chatty)
    with edited(folder) as model:
        _, node = function_with(model.meta_graphs[0], "PrintV2")
        node.attr["output_stream"].placeholder = "stream"
    assert "PrintV2 (to an open stream, in the function" in refusal(folder)


def test_a_function_that_nothing_calls_is_looked_at_too(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lengths)
    with edited(folder) as model:
        function = model.meta_graphs[0].graph_def.library.function.add()
        function.signature.name = "idle"
        function.node_def.add(name="read", op="ReadFile")
    assert "ReadFile (in the function 'idle')" in refusal(folder)


def test_an_op_of_a_library_that_nobody_has_is_refused_by_name(tmp_path: Path) -> None:
    import tensorflow as tf

    folder = save_text(tmp_path / "m", lengths)
    with edited(folder) as model:
        function, node = function_with(model.meta_graphs[0], "StringLength")
        node.op = "VendorLength"
    assert refusal(folder, Options(allow_ops=("VendorLength",))) == (
        f"the graph has ops that TensorFlow {tf.__version__} does not know: VendorLength (in the "
        f"function '{function.signature.name}'). They come from a library of custom ops, and a "
        f"warehouse would not have it."
    )


# --- the saver


def test_the_savers_own_ops_are_no_danger(tmp_path: Path) -> None:
    makers.save_tokens_model(tmp_path / "m")
    report = survey(tmp_path / "m", Options(max_tokens=16))
    assert report["problem"] is None
    assert {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"} <= report["ops"].keys()
    assert not report["refused_ops"]


@pytest.mark.parametrize(
    ("op", "why"), [("SaveV2", "outside of the saver"), ("RestoreV2", "outside of the saver")]
)
def test_the_savers_functions_must_not_be_called_by_the_model(
    tmp_path: Path, op: str, why: str
) -> None:
    """Else the model could write and read anywhere, by functions that look like the saver's."""
    makers.save_keras_model(tmp_path / "m")
    with edited(tmp_path / "m") as model:
        graph = model.meta_graphs[0]
        saver, _ = function_with(graph, op)
        own = graph.object_graph_def.concrete_functions
        function = next(
            one for one in graph.graph_def.library.function if one.signature.name in own
        )
        call = function.node_def.add(name="call", op="StatefulPartitionedCall")
        call.attr["f"].func.name = saver.signature.name
    (danger,) = [one for one in survey(tmp_path / "m", Options())["refused_ops"] if one["op"] == op]
    assert danger["why"] == why
    assert danger["where"] == f"in the function '{saver.signature.name}'"


def test_the_saver_may_restore_from_the_models_variables_alone(tmp_path: Path) -> None:
    makers.save_keras_model(tmp_path / "m")
    with edited(tmp_path / "m") as model:
        function, node = function_with(model.meta_graphs[0], "RestoreV2")
        add_constant(function.node_def, "elsewhere", "secret")
        node.input[0] = "elsewhere:output:0"
    assert "RestoreV2 (not from the model's own variables, in the function" in refusal(
        tmp_path / "m"
    )


# --- tables that are filled from files


def test_a_table_may_be_filled_from_an_asset(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    (tmp_path / "words.txt").unlink()
    assert survey(folder, Options())["ops"]["InitializeTableFromTextFileV2"] == 1
    assert find(folder, Options()).model_dimensions == 2


def test_a_table_must_not_be_filled_from_a_file_that_the_graph_names(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    with edited(folder) as model:
        function, node = function_with(model.meta_graphs[0], "InitializeTableFromTextFileV2")
        add_constant(function.node_def, "path", "secret")
        node.input[1] = "path:output:0"
    assert no_asset(function.signature.name) in refusal(folder)


def test_nor_from_one_that_a_function_around_it_names(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    with edited(folder) as model:
        graph = model.meta_graphs[0]
        filler, _ = function_with(graph, "InitializeTableFromTextFileV2")
        caller, node = function_with(graph, "LookupTableFindV2")
        add_constant(caller.node_def, "path", "secret")
        call = caller.node_def.add(name="call", op="StatefulPartitionedCall")
        call.attr["f"].func.name = filler.signature.name
        call.input.extend(["path:output:0", node.input[0]])
    assert no_asset(filler.signature.name) in refusal(folder)


def test_nor_from_one_that_is_captured_as_a_constant(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    with edited(folder) as model:
        graph = model.meta_graphs[0]
        filler, _ = function_with(graph, "InitializeTableFromTextFileV2")
        objects = graph.object_graph_def
        for node in objects.nodes:
            if node.HasField("asset"):
                node.constant.operation = "path"
        add_constant(graph.graph_def.node, "path", "secret")
    assert no_asset(filler.signature.name) in refusal(folder)


def test_nor_where_tensorflow_may_exchange_the_function(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    with edited(folder) as model:
        filler, _ = function_with(model.meta_graphs[0], "InitializeTableFromTextFileV2")
        filler.attr["api_implements"].s = b"fill"
    assert "in a function that may take another's place" in refusal(folder)


def no_asset(function: str) -> str:
    return (
        "InitializeTableFromTextFileV2 (from a file that is not an asset of the model, in the "
        f"function '{function}')"
    )


OUTSIDE = pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "a/../../secret"])


@OUTSIDE
def test_an_asset_must_be_inside_of_the_model(tmp_path: Path, path: str) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    with edited(folder) as model:
        model.meta_graphs[0].asset_file_def[0].filename = path
    assert refusal(folder) == outside(path)


@OUTSIDE
def test_so_must_an_asset_of_a_tf1_module(tmp_path: Path, path: str) -> None:
    from tensorflow.core.protobuf import meta_graph_pb2

    encoder_makers.save_tf1_text_module(tmp_path / "m")
    asset = meta_graph_pb2.AssetFileDef()  # pyright: ignore[reportAttributeAccessIssue]
    with edited(tmp_path / "m") as model:
        collections = model.meta_graphs[0].collection_def
        (packed,) = collections["saved_model_assets"].any_list.value
        assert packed.Unpack(asset)
        asset.filename = path
        packed.Pack(asset)
    assert refusal(tmp_path / "m") == outside(path)


def outside(path: str) -> str:
    return f"the graph names the asset '{path}', which is outside of the model's folder 'assets'."


def test_an_asset_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = save_with_table(tmp_path / "m", tmp_path / "words.txt")
    (folder / "assets/words.txt").unlink()
    assert refusal(folder) == (
        "the model lacks the asset 'assets/words.txt', which its graph names."
    )


def test_a_tf1_table_must_not_be_filled_from_a_file_that_the_graph_names(tmp_path: Path) -> None:
    encoder_makers.save_tf1_text_module(tmp_path / "m")
    with edited(tmp_path / "m") as model:
        graph = model.meta_graphs[0]
        add_constant(graph.graph_def.node, "path", "secret")
        tf1_filler(graph).input[1] = "path"
    assert (
        "InitializeTableFromTextFileV2 (from a file that is not an asset of the model"
        in refusal(tmp_path / "m")
    )


def test_nor_be_filled_when_the_assets_are_not_in_place(tmp_path: Path) -> None:
    """A signature that fills it again would read the path that its maker wrote."""
    encoder_makers.save_tf1_text_module(tmp_path / "m")
    with edited(tmp_path / "m") as model:
        graph = model.meta_graphs[0]
        filler = tf1_filler(graph)
        (output,) = graph.signature_def["default"].outputs.values()
        nodes = {node.name: node for node in graph.graph_def.node}
        nodes[output.name.partition(":")[0]].input.append(f"^{filler.name}")
    assert "InitializeTableFromTextFileV2 (outside of the initialization" in refusal(tmp_path / "m")


def tf1_filler(graph: Any) -> Any:  # noqa: ANN401
    (filler,) = [
        node for node in graph.graph_def.node if node.op == "InitializeTableFromTextFileV2"
    ]
    return filler


# --- TensorFlow Text


def test_a_model_with_ops_of_tensorflow_text_says_so(tmp_path: Path) -> None:
    encoder_makers.save_text_ops_model(tmp_path / "m")
    assert examine(tmp_path / "m", Options()).encoder["libraries"] == ["tensorflow_text"]
    report = survey(tmp_path / "m", Options())
    assert report["libraries"] == ["tensorflow_text"]
    assert report["why"].endswith(
        " Its graph has ops of TensorFlow Text, which Snowflake only has from PyPI: set the var "
        "tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository there."
    )
    assert not report["unknown_ops"]


def test_where_tensorflow_text_is_missing_a_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    encoder_makers.save_text_ops_model(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)  # what cannot be imported
    release = ".".join(tf.__version__.split(".")[:2])
    assert refusal(tmp_path / "m") == (
        "the graph has ops of TensorFlow Text (SentencepieceOp, SentencepieceTokenizeOp): the "
        f"Python package 'tensorflow_text' is not installed. Install it with: pip install "
        f"'tensorflow-text=={release}.*'"
    )


def refusal(folder: Path, options: Options | None = None) -> str:
    with pytest.raises(StagingError) as error:
        examine(folder, options or Options())
    return str(error.value)
