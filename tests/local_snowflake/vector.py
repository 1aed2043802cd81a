"""VECTOR: its type, casts and functions, and how the connector gets it.

https://docs.snowflake.com/en/sql-reference/data-types-vector
https://docs.snowflake.com/en/sql-reference/functions-vector

A VECTOR(FLOAT, n) is DuckDB's FLOAT[n]. A VECTOR(INT, n) is DOUBLE[n], which holds every whole
number of 32 bits and which DuckDB's functions for arrays take. Nothing else has these types: a
FLOAT of Snowflake is a DOUBLE, an ARRAY is JSON. Elements have 32 bits, what is computed from them
has 64.

What the pages leave open is as others measured it on an account: the tests of
github.com/mlorek/frostlake, in functions/vector, record it.

DuckDB casts to and from these types wherever it can, Snowflake only where it is told to. So an
expression that Snowflake would not take for a VECTOR goes through a macro that looks at its type.

Stricter than Snowflake: VECTOR_NORMALIZE, VECTOR_TRUNCATE and VECTOR_AVG take vectors of FLOAT
only, and a vector does not go into a VARIANT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from string import Template
from typing import TYPE_CHECKING, Any

import fakesnow.arrow
import fakesnow.rowtype
import fakesnow.server
import pyarrow as pa
from fakesnow import info_schema
from fakesnow.transforms import transforms
from sqlglot import Expr, exp

from local_snowflake.errors import compilation_error

if TYPE_CHECKING:
    from local_snowflake.session import Session

MOST_DIMENSIONS = 4096
ELEMENTS = {exp.DType.FLOAT: "FLOAT", exp.DType.DOUBLE: "FLOAT", exp.DType.INT: "INT"}
STORED = {"FLOAT": "FLOAT", "INT": "DOUBLE"}
TYPE = re.compile(r"(FLOAT|DOUBLE)\[(\d+)\]")

BAD_CAST = (
    "Vector value being cast to a vector is not an array or vector, or has incorrect dimension or "
    "element type"
)
BAD_ELEMENTS = {
    "FLOAT": "Array-like value being cast to a float vector has elements that are not real numbers",
    "INT": "Array-like value being cast to an integer vector has elements that are not integers",
}
# The text is ours.
TOO_LARGE = "Array-like value being cast to a float vector has elements that are out of range"
# What is not below it rounds to infinity in 32 bits.
FLOAT_LIMIT = 2.0**128 - 2.0**103

DISTANCES = {
    exp.DotProduct: "VECTOR_INNER_PRODUCT",
    exp.CosineDistance: "VECTOR_COSINE_SIMILARITY",
    exp.EuclideanDistance: "VECTOR_L2_DISTANCE",
    exp.ManhattanDistance: "VECTOR_L1_DISTANCE",
}
# DuckDB's functions that check types and dimensions at compile time. They are not what is run: they
# compute in the bits of their arguments.
ARRAY_FUNCTIONS = {
    "VECTOR_INNER_PRODUCT": "array_inner_product",
    "VECTOR_COSINE_SIMILARITY": "array_cosine_similarity",
    "VECTOR_L2_DISTANCE": "array_distance",
    "VECTOR_L1_DISTANCE": "array_negative_inner_product",
}
LIST_FUNCTIONS = {
    "VECTOR_INNER_PRODUCT": "list_inner_product({0}, {1})",
    "VECTOR_COSINE_SIMILARITY": "list_cosine_similarity({0}, {1})",
    "VECTOR_L2_DISTANCE": "list_distance({0}, {1})",
    "VECTOR_L1_DISTANCE": """list_sum(list_transform(
        list_zip({0}, {1}), lambda p: abs(p[1] - p[2])))""",
}
OTHER_FUNCTIONS = {"VECTOR_NORMALIZE", "VECTOR_SUM", "VECTOR_AVG", "VECTOR_MIN", "VECTOR_MAX"}


def raising(message: str, errno: int, sqlstate: str) -> str:
    """Return the SQL of DuckDB that raises an error; `queries.translated` reads its number.

    `message` is an SQL expression.
    """
    return f"error('[[{errno} {sqlstate}]] ' || {message})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _refusing(condition: str, function: str, arguments: Sequence[str], otherwise: str) -> str:
    """Return SQL that refuses a function's argument types if a condition holds."""
    types = " || ', ' || ".join(f"_ls_type(typeof({argument}))" for argument in arguments)
    message = (
        _quoted(f"SQL compilation error:\nInvalid argument types for function '{function}': (")
        + f" || {types} || ')'"
    )
    return f"case when {condition} then {raising(message, 1044, '42P13')} else {otherwise} end"


def _distance(function: str) -> str:
    computed = LIST_FUNCTIONS[function].format("cast(x as double[])", "cast(y as double[])")
    value = f"""
        case
            when false then cast({ARRAY_FUNCTIONS[function]}(x, y) as double)
            when x is not null and y is not null then {computed}
        end"""
    return _refusing("typeof(x) <> typeof(y)", function, ["x", "y"], value)


def _aggregate(function: str, merged: str, finished: str = "p.merged") -> str:
    """Return the SQL of an aggregate: how to merge two vectors, and how to finish."""
    value = f"""
        cast_to_type(list_transform(
            [{{'merged': list_reduce(
                list(cast(x as double[])) filter (x is not null),
                lambda a, b: list_transform(list_zip(a, b), lambda c: {merged})
            ), 'n': count(x)}}], lambda p: {finished}
        )[1], any_value(x))"""
    condition = "not _ls_is_vector(typeof(any_value(x)))"
    if function == "VECTOR_AVG":
        condition += " or typeof(any_value(x)) like 'DOUBLE%'"
    return _refusing(condition, function, ["any_value(x)"], value)


# Created per session, so that other sessions' names, databases and schemas cannot interfere.
MACROS = {
    "is_vector(t)": r"regexp_full_match(t, '(FLOAT|DOUBLE)\[\d+\]')",
    "type(t)": r"""
        case
            when t like 'FLOAT[%' then regexp_replace(t, 'FLOAT\[(\d+)\]', 'VECTOR(FLOAT, \1)')
            when t like 'DOUBLE[%' then regexp_replace(t, 'DOUBLE\[(\d+)\]', 'VECTOR(INT, \1)')
            when t = 'JSON' then 'VARIANT'
            when t = 'DOUBLE' then 'FLOAT'
            when t in ('BIGINT', 'INTEGER', 'HUGEINT') or t like 'DECIMAL%' then 'NUMBER(38,0)'
            else replace(t, '"', '')
        end""",
    # A vector in an expression that does not take vectors.
    "no_vector(x, f)": f"""
        case when _ls_is_vector(typeof(x)) then {
        raising(
            "'SQL compilation error:' || chr(10) || 'Invalid argument types for function ''' || f"
            " || ''': (' || _ls_type(typeof(x)) || ')'",
            1044,
            "42P13",
        )
    } else x end""",
    "json(x)": """
        case
            when typeof(x) like 'DOUBLE[%' then cast(
                replace(cast(to_json(x) as varchar), '.0', '') as json)
            else to_json(x)
        end""",
    "bad_cast(t)": """
        'SQL compilation error:' || chr(10) || case
            when t like 'VECTOR%' then 'Invalid argument types for function ''CAST'': (' || t || ')'
            else 'Unsupported data type ''' || case
                when t = 'VARCHAR' then 'TEXT'
                when t = 'FLOAT' then 'REAL'
                when t like 'NUMBER%' then 'FIXED'
                else t
            end || '''.'
        end""",
    # An element of an ARRAY that becomes a VECTOR(FLOAT, n): one beyond 32 bits is an error.
    # https://docs.snowflake.com/en/release-notes/bcr-bundles/un-bundled/bcr-2361
    "real(e)": f"""
        case
            when json_type(e) not in ('DOUBLE', 'UBIGINT', 'BIGINT')
                or try_cast(e as double) is null
                then {raising(_quoted(BAD_ELEMENTS["FLOAT"]), 220000, "22000")}
            when isfinite(cast(e as double)) and abs(cast(e as double)) >= {FLOAT_LIMIT!r}
                then {raising(_quoted(TOO_LARGE), 220000, "22000")}
            else cast(e as double)
        end""",
    # One of a VECTOR(INT, n): of a larger number, the lowest 32 bits stay.
    "integer(e)": f"""
        case
            when json_type(e) not in ('DOUBLE', 'UBIGINT', 'BIGINT')
                or try_cast(e as double) is distinct from floor(try_cast(e as double))
                or _ls_whole(e) is null
                then {raising(_quoted(BAD_ELEMENTS["INT"]), 220000, "22000")}
            else cast((_ls_whole(e) % 4294967296 + 6442450944) % 4294967296 - 2147483648 as double)
        end""",
    "whole(e)": """
        case
            when json_type(e) = 'DOUBLE' then try_cast(cast(e as double) as hugeint)
            else try_cast(e as hugeint)
        end""",
    # ARRAY and VARIANT, and a vector of the same type.
    "elements(x, type, n, kinds)": f"""
        case
            when typeof(x) not in ('JSON', '"NULL"', type)
                then {raising("_ls_bad_cast(_ls_type(typeof(x)))", 2040, "22000")}
            else list_transform([_ls_json(x)], lambda j: case
                when j is null or json_type(j) = 'NULL' then null
                when json_type(j) <> 'ARRAY' or json_array_length(j) <> n
                    then {raising(_quoted(BAD_CAST), 220000, "22000")}
                else list_transform(
                    json_extract(j, '$[*]'),
                    lambda e: case when kinds = 'FLOAT' then _ls_real(e) else _ls_integer(e) end)
            end)[1]
        end""",
    **{f"{function.lower()}(x, y)": _distance(function) for function in DISTANCES.values()},
    # A vector of zeros stays unchanged.
    "vector_normalize(x)": _refusing(
        "not typeof(x) like 'FLOAT[%'",
        "VECTOR_NORMALIZE",
        ["x"],
        """
        cast_to_type(list_transform(
            [{'v': cast(x as double[]), 'norm': sqrt(list_sum(list_transform(
                cast(x as double[]), lambda e: e * e)))}],
            lambda p: list_transform(p.v, lambda e: case when p.norm = 0 then 0 else e / p.norm end)
        )[1], x)""",
    ),
    "vector_truncate(x, n)": _refusing(
        "not typeof(x) like 'FLOAT[%'",
        "VECTOR_TRUNCATE",
        ["x"],
        f"""
        case
            when len(cast(x as double[])) < n then {
            raising(
                "'Requested truncation dimension ' || n || ' for VECTOR_TRUNCATE should be less"
                " than or equal to the dimension of the provided vector ('"
                " || len(cast(x as double[])) || ').'",
                1044,
                "42P13",
            )
        }
            else x[1:n]
        end""",
    ),
    # NULL of any type is NULL; other types than those that a VARIANT holds are refused.
    "is_a_vector(x)": _refusing(
        """
        typeof(x) not in ('JSON', '"NULL"', 'BOOLEAN', 'DOUBLE')
            and not _ls_is_vector(typeof(x))
            and not regexp_matches(typeof(x), 'INT|DECIMAL')""",
        "IS_VECTOR",
        ["x"],
        "case when x is not null then _ls_is_vector(typeof(x)) end",
    ),
    "vector_sum(x)": _aggregate("VECTOR_SUM", "c[1] + c[2]"),
    "vector_min(x)": _aggregate("VECTOR_MIN", "least(c[1], c[2])"),
    "vector_max(x)": _aggregate("VECTOR_MAX", "greatest(c[1], c[2])"),
    "vector_avg(x)": _aggregate(
        "VECTOR_AVG", "c[1] + c[2]", "list_transform(p.merged, lambda e: e / p.n)"
    ),
}


def call(macro: str, *arguments: Expr | str) -> exp.Anonymous:
    """Return a call of one of the macros; a str is a literal."""
    expressions = [
        exp.Literal.string(argument) if isinstance(argument, str) else argument
        for argument in arguments
    ]
    return exp.Anonymous(this=f"_ls_{macro}", expressions=expressions)


def is_vector_type(node: Expr | None) -> bool:
    """Whether a node is the type VECTOR."""
    return isinstance(node, exp.DataType) and node.this == exp.DType.VECTOR


def element_and_dimensions(node: exp.DataType) -> tuple[str, int]:
    """Return a vector's element type and dimensions; refuse invalid ones."""
    parts = node.expressions
    element = ELEMENTS.get(parts[0].this) if parts and isinstance(parts[0], exp.DataType) else None
    if len(parts) != 2 or element is None:
        raise compilation_error(
            f"Unsupported data type '{node.sql(dialect='snowflake')}': a VECTOR has elements of "
            "type FLOAT or INT."
        )
    dimensions = parts[1].sql(dialect="snowflake")
    if not re.fullmatch(r"\d+", dimensions) or not 1 <= int(dimensions) <= MOST_DIMENSIONS:
        raise compilation_error(
            f"Invalid dimension {dimensions} for a VECTOR: it must be from 1 to {MOST_DIMENSIONS}."
        )
    return element, int(dimensions)


def stored_type(element: str, dimensions: int) -> exp.DataType:
    """Return DuckDB's type, in a form that fakesnow's transforms ignore."""
    return exp.DataType(
        this=exp.DType.USERDEFINED, kind=f"{STORED[element]}[{dimensions}]", nested=False
    )


def vectors(session: Session, tree: Expr) -> Expr:
    """Rewrite vectors' types, casts and functions to DuckDB's."""
    del session
    return rewritten(tree, _vector)


def rewritten(tree: Expr, rewrite: Callable[[Expr], Expr]) -> Expr:
    """Return the tree with each node rewritten, arguments before their function."""
    for node in reversed(list(tree.walk(bfs=True))):
        new = rewrite(node)
        if new is node:
            continue
        if node is tree:
            tree = new
        else:
            node.replace(new)
    return tree


def _vector(node: Expr) -> Expr:
    if isinstance(node, exp.Cast) and is_vector_type(node.to):
        return _cast(node)
    if is_vector_type(node) and not isinstance(node.parent, exp.Cast):
        assert isinstance(node, exp.DataType)
        return stored_type(*element_and_dimensions(node))
    if type(node) in DISTANCES:
        name = DISTANCES[type(node)].lower()
        if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column):
            name += "_of"  # columns may be named twice, and a join compares millions of them
        return call(name, node.this, node.expression)
    if not isinstance(node, exp.Anonymous):
        return node
    name = node.name.upper()
    if name in ("VECTOR_TRUNCATE", "VECTOR_TRUNC"):
        return _truncate(node)
    if name in OTHER_FUNCTIONS:
        return call(name.lower(), *node.expressions)
    if name == "IS_VECTOR":
        return call("is_a_vector", *node.expressions)
    return node


def _cast(node: exp.Cast) -> exp.Cast:
    """Return a checked cast of an ARRAY, a VARIANT or a vector of the same type.

    https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion
    """
    element, dimensions = element_and_dimensions(node.to)
    if isinstance(node, exp.TryCast):
        # VECTOR is not among its targets: https://docs.snowflake.com/en/sql-reference/functions/try_cast
        raise compilation_error(
            "Function TRY_CAST cannot be used with arguments of types "
            f"{_written_type(node.this)} and VECTOR({element}, {dimensions})",
            1065,
            "22023",
        )
    to = stored_type(element, dimensions)
    number = exp.Literal.number(dimensions)
    elements = call("elements", node.this, to.args["kind"], number, element)
    return exp.Cast(this=elements, to=to)


def _written_type(node: Expr) -> str:
    """Return the type of a constant, or of a cast."""
    if isinstance(node, exp.Cast):
        return node.to.sql(dialect="snowflake")
    if isinstance(node, exp.Literal):
        return "VARCHAR" if node.is_string else "NUMBER"
    return "NULL" if isinstance(node, exp.Null) else "VARIANT"


def _truncate(node: exp.Anonymous) -> exp.Cast:
    """https://docs.snowflake.com/en/sql-reference/functions/vector_truncate."""
    vector, dimensions = (*node.expressions, None, None)[:2]
    if not isinstance(dimensions, exp.Literal) or not re.fullmatch(r"[1-9]\d*", dimensions.name):
        raise compilation_error("argument 2 to function VECTOR_TRUNCATE needs to be constant")
    truncated = call("vector_truncate", vector or exp.Null(), dimensions)
    return exp.Cast(this=truncated, to=stored_type("FLOAT", int(dimensions.name)))


def snowflake_type(duckdb_type: str) -> str | None:
    """Return VECTOR(…) for DuckDB's type of a vector; None for other types."""
    match = TYPE.fullmatch(duckdb_type)
    if match is None:
        return None
    element = "FLOAT" if match[1] == "FLOAT" else "INT"
    return f"VECTOR({element}, {match[2]})"


def describe_as_rowtype(described: Sequence[Any]) -> list[dict[str, Any]]:
    """Describe the columns of a result to the connector, as fakesnow does, with vectors.

    The connector reads `vectorDimension` and the one entry of `fields`: `vector_pa_type` in its
    constants.py and `ResultMetadataV2` in its cursor.py.
    """
    return [_column_info(column) for column in described]


def _column_info(column: Sequence[Any]) -> dict[str, Any]:
    match = TYPE.fullmatch(column[1])
    if match is None:
        try:
            return dict(_describe_as_rowtype([column])[0])
        except NotImplementedError as error:
            raise compilation_error(f"Unsupported data type '{column[1]}'.", 2040) from error
    info = dict(_describe_as_rowtype([(column[0], "DOUBLE", *column[2:])])[0])
    kind = "real" if match[1] == "FLOAT" else "fixed"
    element = {"type": kind, "nullable": True, "length": None, "precision": None, "scale": None}
    return {**info, "type": "vector", "vectorDimension": int(match[2]), "fields": [element]}


def to_sf(table: pa.Table, rowtype: list[Any]) -> pa.Table:
    """Shape a result for the connector, as fakesnow does, with vectors and with indented JSON.

    https://docs.snowflake.com/en/sql-reference/data-types-semistructured: an ARRAY, an OBJECT and a
    VARIANT come as their JSON text, each element on a line of its own.
    """
    for place, column in enumerate(rowtype):
        values = table.column(place)
        if column["type"] == "variant":
            texts = [_indented(text) for text in values.cast(pa.string()).to_pylist()]
            values = pa.array(texts, pa.string())
        elif column["type"] == "vector" and column["fields"][0]["type"] == "fixed":
            values = values.cast(pa.list_(pa.int32(), column["vectorDimension"]))
        else:
            continue
        table = table.set_column(place, table.field(place).name, values)
    return _to_sf(table, rowtype)


def _indented(text: str | None) -> str | None:
    return None if text is None else json.dumps(json.loads(text), indent=2, ensure_ascii=False)


_describe_as_rowtype = fakesnow.rowtype.describe_as_rowtype
_to_sf = fakesnow.arrow.to_sf


def install() -> None:
    """Teach fakesnow's server the type, in results, INFORMATION_SCHEMA, DESCRIBE and SHOW."""
    fakesnow.server.describe_as_rowtype = describe_as_rowtype  # pyright: ignore
    fakesnow.server.to_sf = to_sf  # pyright: ignore
    describe = transforms.SQL_DESCRIBE_TABLE.template
    commented = describe.replace('NULL::VARCHAR AS "comment"', 'COMMENT AS "comment"')
    transforms.SQL_DESCRIBE_TABLE = Template(commented)
    name = "SQL_CREATE_GLOBAL_INFORMATION_SCHEMA_COLUMNS_VIEW"
    view: str = getattr(info_schema, name)
    known = "else columns.data_type end as DATA_TYPE"
    assert view.count(known) == 1 or "VECTOR" in view
    vector = "".join(
        f" when starts_with(columns.data_type, '{stored}[') then regexp_replace("
        rf"columns.data_type, '{stored}\[(\d+)\]', 'VECTOR({element}, \1)')"
        for element, stored in STORED.items()
    )
    view = view.replace(known, f"{vector} {known}")
    # DuckDB's count and sum have types of their own.
    view = view.replace(
        "columns.data_type='BIGINT'", "columns.data_type in ('BIGINT', 'HUGEINT', 'UBIGINT')"
    )
    setattr(info_schema, name, view)
