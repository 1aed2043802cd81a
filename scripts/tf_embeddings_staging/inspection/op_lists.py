"""TensorFlow's ops, as far as they matter to whether a graph may be trusted.

TensorFlow marks each op with an effect beyond its outputs as stateful: files, the network and
Python are reached by stateful ops, but so are variables. So a stateful op is refused unless it is
in `HARMLESS`; the few ops that reach out although TensorFlow calls them stateless are in
`STATELESS_AND_REFUSED`. Both lists were made by going through the registry of TensorFlow 2.21
(1,910 ops, of which 555 are stateful) with the kernels' sources at hand; an op that a later release
adds is refused as long as it is stateful. `tests/test_graph_safety.py` holds them against the
registry.
"""

from __future__ import annotations

_VARIABLES = """
    AddManySparseToTensorsMap AddSparseToTensorsMap AssignAddVariableOp AssignSubVariableOp
    AssignVariableOp ConsumeMutexLock DeepCopy DestroyResourceOp DisableCopyOnRead Empty
    GuaranteeConst IsResourceHandleRefCounting MakeWeakResourceHandle MutexLock MutexV2
    ReadVariableOp ResourceCountUpTo ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterNdAdd
    ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate
    ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign Stack StackCloseV2
    StackPopV2 StackPushV2 StackV2 TakeManySparseFromTensorsMap TemporaryVariable VarHandleOp
    VarIsInitializedOp Variable VariableShape VariableV2
"""

# A model that was saved together with its training.
_OPTIMIZERS = """
    ResourceApplyAdaMax ResourceApplyAdadelta ResourceApplyAdagrad ResourceApplyAdagradDA
    ResourceApplyAdagradV2 ResourceApplyAdam ResourceApplyAdamWithAmsgrad ResourceApplyAddSign
    ResourceApplyCenteredRMSProp ResourceApplyFtrl ResourceApplyFtrlV2 ResourceApplyGradientDescent
    ResourceApplyKerasMomentum ResourceApplyMomentum ResourceApplyPowerSign
    ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent ResourceApplyRMSProp
    ResourceSparseApplyAdadelta ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA
    ResourceSparseApplyAdagradV2 ResourceSparseApplyCenteredRMSProp ResourceSparseApplyFtrl
    ResourceSparseApplyFtrlV2 ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum
    ResourceSparseApplyProximalAdagrad ResourceSparseApplyProximalGradientDescent
    ResourceSparseApplyRMSProp
"""

# Those whose content comes from a tensor; from a file: TABLES_FROM_FILES.
_TABLES = """
    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
    AnonymousMutableHashTableOfTensors HashTable HashTableV2 InitializeTableFromDataset
    InitializeTableV2 LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2
    LookupTableRemoveV2 LookupTableSizeV2 MutableDenseHashTable MutableDenseHashTableV2
    MutableHashTable MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2
"""

# Each calls functions of the graph, which are checked too; data sets only hold tensors.
_CONTROL_FLOW = """
    Assert Case CheckNumerics CheckNumericsV2 DatasetToSingleElement DeviceIndex GraphDefVersion If
    IsTensorFloat32Enabled RangeDataset ReduceDataset StatefulPartitionedCall TensorArray
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGrad TensorArrayGradV2
    TensorArrayGradV3 TensorArrayGradWithShape TensorArrayReadV3 TensorArrayScatterV3
    TensorArraySizeV3 TensorArraySplitV3 TensorArrayV2 TensorArrayV3 TensorArrayWriteV3
    TensorDataset TensorSliceDataset Timestamp While
"""

_RANDOM = """
    AllCandidateSampler LearnedUnigramCandidateSampler LogUniformCandidateSampler Multinomial
    NonDeterministicInts ParameterizedTruncatedNormal RandomCrop RandomGamma RandomPoisson
    RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip
    RngSkip SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 StatefulRandomBinomial
    StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
    StatefulUniformFullInt StatefulUniformInt StatelessRandomGetAlg
    ThreadUnsafeUnigramCandidateSampler TruncatedNormal UniformCandidateSampler
"""

# In every Keras LSTM and GRU, beside what runs without a GPU.
_CUDNN = """
    CudnnRNN CudnnRNNBackprop CudnnRNNBackpropV2 CudnnRNNBackpropV3 CudnnRNNV2 CudnnRNNV3
"""

# Print only writes to the log; PrintV2 has a rule of its own.
_LOG = "Print"

# The stateful ones of TensorFlow Text: their models are in the graph, not in a file.
_TEXT_RESOURCES = """
    SentencepieceDetokenizeOp SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp
    SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp
    WordpieceTokenizeWithOffsets
"""

HARMLESS = frozenset(
    " ".join(
        (
            *(_VARIABLES, _OPTIMIZERS, _TABLES, _CONTROL_FLOW, _RANDOM),
            *(_CUDNN, _LOG, _TEXT_RESOURCES),
        )
    ).split()
)
"""Stateful ops that reach nothing outside of the process's own memory."""

_STATELESS = """
    Abort CacheDataset Copy CopyHost CustomAggregator DatasetFromGraph DebugIdentity DebugNanCount
    DebugNumericSummary DecodeProtoV2 EncodeProto GenerateVocabRemapping ImmutableConst
    MatchingFiles MlirPassthroughOp PyFuncStateless ReadFile RegisterDataset RegisterDatasetV2
    SnapshotChunkDataset SnapshotDataset SnapshotDatasetReader SnapshotDatasetV2
    SnapshotNestedDatasetReader XlaCustomCall XlaCustomCallV2
"""

STATELESS_AND_REFUSED = frozenset(_STATELESS.split())
"""Ops that TensorFlow calls stateless, and that yet read or write files (ImmutableConst maps one,
the two of protobuf read descriptors, CacheDataset writes), run code that no one has looked at
(PyFuncStateless, XlaCustomCall, a graph in a string), speak to a server (the debugger's,
RegisterDataset) or end the process."""

SAVERS = frozenset(
    ("MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2", "ShardedFilename", "ShardedFilespec")
)
"""What only the saver may use, to write a checkpoint."""

RESTORERS = frozenset(("Restore", "RestoreSlice", "RestoreV2"))
"""What only the saver may use, to read one."""

TABLES_FROM_FILES = frozenset(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"))
"""What may fill a table from a file if that file is an asset of the model."""

PRINT = "PrintV2"
PRINT_STREAMS = frozenset(
    ("", "stderr", "stdout", "log(info)", "log(warning)", "log(error)")
)  # anything else is a file

TEXT_LIBRARY = "tensorflow_text"
TEXT_PREFIX = "TFText>"
_TEXT = """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2
    SplitMergeTokenizeWithOffsets TokenizerFromLogits UnicodeScriptTokenizeWithOffsets
    WhitespaceTokenizeWithOffsets
"""

TEXT_OPS = frozenset([*_TEXT.split(), *_TEXT_RESOURCES.split()])
"""The ops of TensorFlow Text whose names do not start with `TFText>`."""
