"""Which ops of a graph reach out of it: files, the network, Python.

Nothing of the model runs here. A graph is refused for each op that is stateful and not known to be
harmless, or known to reach out; see `op_lists`. Three kinds of ops are judged by where they are:
those of checkpoints belong to the saver, a table may be filled from an asset of the model, and
something may be printed where logs go. https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
"""

from __future__ import annotations

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.inspection import op_lists
from tf_embeddings_staging.inspection.files import ASSETS
from tf_embeddings_staging.inspection.graph import Graph

Message = Any  # made by protobuf, without types

_MAIN = ""  # the graph itself, among the functions' names
_ASSETS_KEY = "saved_model_assets"
_INIT_SIGNATURE = "__saved_model_init_op"
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op", "table_initializer")
_MOST_NAMED = 5

# What passes its arguments on to the function it calls, and the place of the first of them.
_CALLS = {"PartitionedCall": 0, "StatefulPartitionedCall": 0}


@dataclass(frozen=True)
class Place:
    """A node, and the function in which it is."""

    function: str
    node: str

    def __str__(self) -> str:
        return f"in the function '{self.function}'" if self.function else f"at '{self.node}'"


@dataclass(frozen=True)
class Danger:
    """An op that reaches out of the graph."""

    op: str
    place: Place
    why: str

    def __str__(self) -> str:
        return f"{self.op} ({self.why}{self.place})"


@dataclass(frozen=True)
class Ops:
    """The ops of a graph and of its functions.

    Attributes:
        counts: how many nodes there are of each.
        refused: those that reach out, and are not allowed.
        allowed: those that would be refused, had the user not allowed them.
        unknown: those that neither TensorFlow nor TensorFlow Text has.
        libraries: the Python modules that bring ops of this graph.
    """

    counts: Mapping[str, int]
    refused: tuple[Danger, ...]
    allowed: tuple[Danger, ...]
    unknown: tuple[Danger, ...]
    libraries: tuple[str, ...]


def examine_ops(model: Graph, allow_ops: Collection[str] = ()) -> Ops:
    """Look at each node of a model's graph and of its functions, and of the file's other graphs."""
    scans = [_Scan(one) for one in (model, *model.others)]
    counts = sum((scan.counts for scan in scans), Counter[str]())
    dangers = [danger for scan in scans for danger in scan.dangers()]
    needs_text = any(map(_is_text_op, counts))
    return Ops(
        counts=dict(sorted(counts.items())),
        refused=tuple(danger for danger in dangers if danger.op not in allow_ops),
        allowed=tuple(danger for danger in dangers if danger.op in allow_ops),
        unknown=tuple(danger for scan in scans for danger in scan.unknown()),
        libraries=(op_lists.TEXT_LIBRARY,) if needs_text else (),
    )


def require_safe(ops: Ops) -> None:
    """Refuse a graph that reaches out, or that nothing here could load.

    Raises:
        StagingError: naming the ops, and where they are.
    """
    if ops.unknown:
        raise StagingError(
            f"the graph has ops that TensorFlow {_tensorflow_version()} does not know: "
            f"{_listed(ops.unknown)}. They come from a library of custom ops, and a warehouse "
            f"would not have it."
        )
    if ops.refused:
        names = sorted({danger.op for danger in ops.refused})
        flags = " ".join(f"--allow-op {name}" for name in names[:_MOST_NAMED])
        raise StagingError(
            f"the graph has ops that can read or write files, run code or reach the network: "
            f"{_listed(ops.refused)}. Only if you trust whoever made it, let them in with "
            f"{flags}{' …' if len(names) > _MOST_NAMED else ''}."
        )
    if op_lists.TEXT_LIBRARY in ops.libraries and not is_installed(op_lists.TEXT_LIBRARY):
        named = ", ".join(sorted(filter(_is_text_op, ops.counts))[:_MOST_NAMED])
        raise StagingError(
            f"the graph has ops of TensorFlow Text ({named}): "
            f"{missing_package(op_lists.TEXT_LIBRARY)}"
        )


def is_installed(module: str) -> bool:
    """Tell whether a Python module could be imported."""
    return importlib.util.find_spec(module) is not None


def require_assets(model: Graph) -> None:
    """Refuse assets that are not files of the model: the loader joins what the graph says.

    Raises:
        StagingError: naming the asset.
    """
    metas = [one.meta for one in (model, *model.others)]
    for asset in (asset for meta in metas for asset in _assets(meta)):
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in asset.filename:
            raise StagingError(
                f"the graph names the asset '{asset.filename}', which is outside of the model's "
                f"folder '{ASSETS}'."
            )
        if not (model.folder / ASSETS / path).is_file():
            raise StagingError(
                f"the model lacks the asset '{ASSETS}/{asset.filename}', which its graph names."
            )


def _tensorflow_version() -> str:
    import tensorflow as tf

    return tf.__version__


def _is_text_op(op: str) -> bool:
    return op in op_lists.TEXT_OPS or op.startswith(op_lists.TEXT_PREFIX)


def _listed(dangers: Sequence[Danger]) -> str:
    """List the ops, each once, with the first place where it is."""
    first = {danger.op: danger for danger in reversed(dangers)}
    listed = [str(first[op]) for op in sorted(first)]
    more = len(listed) - _MOST_NAMED
    return "; ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _assets(meta: Message) -> Iterator[Message]:
    """Yield the AssetFileDef messages, as the loader finds them."""
    from tensorflow.core.protobuf import meta_graph_pb2

    yield from meta.asset_file_def
    if meta.asset_file_def or _ASSETS_KEY not in meta.collection_def:
        return
    for packed in meta.collection_def[_ASSETS_KEY].any_list.value:
        asset = meta_graph_pb2.AssetFileDef()  # pyright: ignore[reportAttributeAccessIssue]
        if packed.Unpack(asset):
            yield asset


class _Scan:
    """The nodes of a graph: by name, by what they use, and by what calls what."""

    def __init__(self, model: Graph) -> None:
        from tensorflow.python.framework import op_def_registry

        self._registered: Callable[[str], Message | None] = op_def_registry.get
        self._model = model
        self._meta = model.meta
        library = model.meta.graph_def.library
        self._functions = {function.signature.name: function for function in library.function}
        self._gradients = defaultdict(list)
        for gradient in library.gradient:
            self._gradients[gradient.function_name].append(gradient.gradient_func)
        self.counts = Counter(node.op for _, node in self._nodes())

    def dangers(self) -> Iterator[Danger]:
        """Yield what reaches out, wherever it is."""
        judged = {op: self._judge(op) for op in self.counts}
        if not any(judged.values()):
            return
        for function, node in self._nodes():
            judge = judged[node.op]
            if judge is None:
                continue
            why = judge(function, node)
            # TensorFlow may exchange functions of one interface: their callers say nothing.
            if why is None and self._is_exchangeable(function):
                why = "in a function that may take another's place, "
            if why is not None:
                yield Danger(node.op, Place(function, node.name), why)

    def unknown(self) -> Iterator[Danger]:
        """Yield what neither TensorFlow nor TensorFlow Text has."""
        unknown = {op for op in self.counts if self._is_unknown(op)}
        if unknown:
            for function, node in self._nodes():
                if node.op in unknown:
                    yield Danger(node.op, Place(function, node.name), "")

    def _nodes(self) -> Iterator[tuple[str, Message]]:
        """Yield each node and the name of its function."""
        for node in self._meta.graph_def.node:
            yield _MAIN, node
        for name, function in self._functions.items():
            for node in function.node_def:
                yield name, node

    def _is_exchangeable(self, function: str) -> bool:
        return bool(function) and "api_implements" in self._functions[function].attr

    def _is_unknown(self, op: str) -> bool:
        return not (_is_text_op(op) or op in self._functions or self._registered(op))

    def _judge(self, op: str) -> Callable[[str, Message], str | None] | None:
        """Return what decides about a node of this op: why it is refused, or None."""
        if op in op_lists.SAVERS:
            return self._judge_saver
        if op in op_lists.RESTORERS:
            return self._judge_restorer
        if op in op_lists.TABLES_FROM_FILES:
            return self._judge_table
        if op == op_lists.PRINT:
            return _judge_print
        if op in op_lists.STATELESS_AND_REFUSED:
            return _refuse
        definition = self._registered(op)
        is_refused = definition and definition.is_stateful and op not in op_lists.HARMLESS
        return _refuse if is_refused else None

    def _judge_saver(self, function: str, node: Message) -> str | None:
        place = (function, node.name)
        is_fine = place in self._saving and place not in self._running_or_restoring
        return None if is_fine else "outside of the saver, "

    def _judge_restorer(self, function: str, node: Message) -> str | None:
        place = (function, node.name)
        if place not in self._restoring or place in self._running:
            return "outside of the saver, "
        file = self._meta.saver_def.filename_tensor_name
        comes = self._comes_from(function, node.input[0] if node.input else "", {_output(file)})
        return None if comes else "not from the model's own variables, "

    def _judge_table(self, function: str, node: Message) -> str | None:
        """Let a table be filled from an asset, at load, and from nothing else."""
        assets = {_output(asset.tensor_info.name) for asset in _assets(self._meta)}
        source = node.input[1] if len(node.input) > 1 else ""
        if not self._comes_from(function, source, assets):
            return "from a file that is not an asset of the model, "
        # The loader puts the assets' paths into a TF1 graph while it initializes it, and not else.
        is_elsewhere = (function, node.name) in self._running | self._restoring
        if self._model.is_object or not is_elsewhere:
            return None
        return "outside of the initialization, "

    @cached_property
    def _saving(self) -> set[tuple[str, str]]:
        """Return what saving a checkpoint runs."""
        return self._reached([_node(self._meta.saver_def.save_tensor_name)], ())

    @cached_property
    def _restoring(self) -> set[tuple[str, str]]:
        """Return what restoring a checkpoint runs."""
        return self._reached([_node(self._meta.saver_def.restore_op_name)], ())

    @cached_property
    def _running(self) -> set[tuple[str, str]]:
        """Return what calling the model may run; without what only initializes a TF1 graph."""
        definitions = self._meta.signature_def
        roots = [
            _node(info.name)
            for name, definition in definitions.items()
            if name != _INIT_SIGNATURE
            for info in definition.outputs.values()
        ]
        roots += [
            _node(component.name)
            for definition in definitions.values()
            for info in definition.outputs.values()
            for component in _components(info)
        ]
        functions = self._meta.object_graph_def.concrete_functions
        return self._reached([*roots, *self._variables()], functions)

    @cached_property
    def _running_or_restoring(self) -> set[tuple[str, str]]:
        return self._running | self._restoring | self._initializing

    @cached_property
    def _initializing(self) -> set[tuple[str, str]]:
        roots: list[str] = []
        if _INIT_SIGNATURE in self._meta.signature_def:
            outputs = self._meta.signature_def[_INIT_SIGNATURE].outputs
            roots += [_node(info.name) for info in outputs.values()]
        for key in _INIT_COLLECTIONS:
            if key in self._meta.collection_def:
                roots += map(_node, self._meta.collection_def[key].node_list.value)
        return self._reached(roots, ())

    def _variables(self) -> Iterator[str]:
        """Yield the nodes that give a TF1 graph's variables their first values: they run, too."""
        from tensorflow.core.framework import variable_pb2

        for key, collection in self._meta.collection_def.items():
            if "variables" not in key and key != "global_step":
                continue
            for packed in collection.bytes_list.value:
                variable = variable_pb2.VariableDef.FromString(packed)  # pyright: ignore[reportAttributeAccessIssue]
                yield from map(
                    _node,
                    (
                        variable.variable_name,
                        variable.initializer_name,
                        variable.initial_value_name,
                        variable.snapshot_name,
                    ),
                )

    @cached_property
    def _by_name(self) -> dict[str, Message]:
        return {node.name: node for node in self._meta.graph_def.node}

    def _reached(self, nodes: Iterable[str], functions: Iterable[str]) -> set[tuple[str, str]]:
        """Return the nodes that these need, and all those of the functions that they call."""
        reached: set[tuple[str, str]] = set()
        waiting = [name for name in nodes if name in self._by_name]
        calls = list(functions)
        while waiting:
            name = waiting.pop()
            if (_MAIN, name) in reached:
                continue
            reached.add((_MAIN, name))
            node = self._by_name[name]
            waiting += [one for one in map(_node, node.input) if one in self._by_name]
            calls += self._called_by(node)
        seen: set[str] = set()
        while calls:
            name = calls.pop()
            if name in seen or name not in self._functions:
                continue
            seen.add(name)
            calls += self._gradients[name]
            for node in self._functions[name].node_def:
                reached.add((name, node.name))
                calls += self._called_by(node)
        return reached

    def _called_by(self, node: Message) -> Iterator[str]:
        """Yield the functions that a node may call."""
        if node.op in self._functions:
            yield node.op
        yield from _functions_in(node.attr)

    @cached_property
    def _callers(self) -> Mapping[str, list[tuple[str, Message]]]:
        """Return the nodes that call each function, with the function that they are in."""
        callers: dict[str, list[tuple[str, Message]]] = defaultdict(list)
        for function, node in self._nodes():
            for called in self._called_by(node):
                callers[called].append((function, node))
        return callers

    def _comes_from(
        self, function: str, tensor: str, sources: set[tuple[str, int]], depth: int = 0
    ) -> bool:
        """Tell whether a tensor is one of the graph's `sources`, or an asset, whoever calls.

        Args:
            function: the function that it is in.
            tensor: an input of a node, as the node names it.
            sources: outputs of nodes of the graph itself.
            depth: how many nodes and calls lie between.
        """
        if not tensor or tensor.startswith("^") or depth > 100:
            return False
        if function == _MAIN:
            if _output(tensor) in sources:
                return True
            node = self._by_name.get(_node(tensor))
        else:
            arguments = [one.name for one in self._functions[function].signature.input_arg]
            if tensor in arguments:
                return self._argument_comes_from(
                    function, arguments.index(tensor), len(arguments), sources, depth
                )
            nodes = {one.name: one for one in self._functions[function].node_def}
            node = nodes.get(_node(tensor))
        if node is None or node.op != "Identity" or not node.input:
            return False
        return self._comes_from(function, node.input[0], sources, depth + 1)

    def _argument_comes_from(
        self, function: str, place: int, count: int, sources: set[tuple[str, int]], depth: int
    ) -> bool:
        proofs: list[bool] = []
        concrete = self._meta.object_graph_def.concrete_functions
        if function in concrete:
            bound = concrete[function].bound_inputs
            captured = place - (count - len(bound))
            proofs.append(captured >= 0 and self._is_asset(bound[captured]))
        for caller, node in self._callers.get(function, ()):
            # The graph beside the objects is not what is loaded, except by the saver's name.
            if caller == _MAIN and self._model.is_object and function in concrete:
                continue
            first = _CALLS.get(node.op, 0 if node.op == function else None)
            inputs = [one for one in node.input if not one.startswith("^")]
            proofs.append(
                first is not None
                and len(inputs) > place + first
                and self._comes_from(caller, inputs[place + first], sources, depth + 1)
            )
        return bool(proofs) and all(proofs)

    def _is_asset(self, place: int) -> bool:
        nodes = self._meta.object_graph_def.nodes
        return 0 <= place < len(nodes) and nodes[place].HasField("asset")


def _functions_in(attributes: Mapping[str, Message]) -> Iterator[str]:
    """Yield the functions that attributes name, and those that they are called with."""
    for value in attributes.values():
        called = [value.func] if value.HasField("func") else list(value.list.func)
        for function in called:
            yield function.name
            yield from _functions_in(function.attr)


def _components(info: Message) -> Iterator[Message]:
    """Yield the tensors that an output is made of, where it is sparse or ragged."""
    yield from info.composite_tensor.components
    sparse = info.coo_sparse
    for name in (
        sparse.values_tensor_name,
        sparse.indices_tensor_name,
        sparse.dense_shape_tensor_name,
    ):
        yield type(info)(name=name)


def _node(tensor: str) -> str:
    """Return the name of the node that a tensor, or a control input, comes from."""
    return tensor.removeprefix("^").partition(":")[0]


def _output(tensor: str) -> tuple[str, int]:
    """Return a tensor of the graph as its node and the place among the node's outputs."""
    name, _, place = tensor.partition(":")
    return name, int(place) if place.isdigit() else 0


def _refuse(function: str, node: Message) -> str | None:
    del function, node
    return ""


def _judge_print(function: str, node: Message) -> str | None:
    """Let something be printed where logs go; any other stream is a file."""
    del function
    if "output_stream" not in node.attr:
        return None
    attribute = node.attr["output_stream"]
    if attribute.WhichOneof("value") != "s":  # whoever calls the function says which
        return "to an open stream, "
    stream = attribute.s.decode("utf-8", "replace")
    return None if stream in op_lists.PRINT_STREAMS else f"to '{stream}', "
