"""The local Snowflake's queries: through the real connector, and under the real dbt."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from snowflake.connector.constants import FIELD_ID_TO_NAME
from snowflake.connector.errors import Error, ProgrammingError
from snowflake_projects import make_snowflake_project

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake_projects import LocalSnowflake, SnowflakeProject

pytestmark = pytest.mark.exhaustive

# Texts and values beyond the pages were measured on an account by others:
# github.com/mlorek/frostlake, src/test/java/dev/frostlake/functions/vector.
BAD_CAST = (
    "Vector value being cast to a vector is not an array or vector, or has incorrect dimension or "
    "element type"
)
NOT_REAL = "Array-like value being cast to a float vector has elements that are not real numbers"
NOT_INTEGERS = "Array-like value being cast to an integer vector has elements that are not integers"
A = "[1, 2, 3]::vector(float, 3)"
B = "[4, -5, 6.5]::vector(float, 3)"
# The functions may be off by as much: https://docs.snowflake.com/en/sql-reference/functions-vector
TOLERANCE = 1e-4


@pytest.fixture
def database(local_snowflake: LocalSnowflake) -> str:
    name = local_snowflake.new_database()
    local_snowflake.execute("create schema dev", database=name)
    return name


@pytest.fixture
def session(local_snowflake: LocalSnowflake, database: str) -> Iterator[SnowflakeConnection]:
    with local_snowflake.connect(database=database, schema="dev") as connection:
        yield connection


def rows(session: SnowflakeConnection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.cursor().execute(sql).fetchall()]  # pyright: ignore


def value(session: SnowflakeConnection, expression: str) -> Any:  # noqa: ANN401
    return rows(session, f"select {expression}")[0][0]


def refusal(session: SnowflakeConnection, sql: str) -> str:
    with pytest.raises(ProgrammingError) as refused:
        session.cursor().execute(sql)
    return str(refused.value)


# VECTOR: the type and its casts


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (A, [1.0, 2.0, 3.0]),
        ("cast([1.5, 2e3] as vector(float, 2))", [1.5, 2000.0]),
        ("[1, 2.0]::vector(int, 2)", [1, 2]),
        ("array_construct(1, 2)::vector(float, 2)", [1.0, 2.0]),
        ("parse_json('[1, 2]')::vector(float, 2)", [1.0, 2.0]),
        (f"{A}::vector(float, 3)", [1.0, 2.0, 3.0]),
        (f"{A}::array::vector(float, 3)", [1.0, 2.0, 3.0]),
        ("null::vector(float, 2)", None),
        ("parse_json('null')::vector(float, 2)", None),
        ("['-inf'::float, 'inf'::float]::vector(float, 2)", [float("-inf"), float("inf")]),
        ("[3.4028235e38, 1e-50]::vector(float, 2)", [3.4028234663852886e38, 0.0]),
        (f"coalesce(null, {A})", [1.0, 2.0, 3.0]),
        (f"case when false then {B} end", None),
    ],
)
def test_a_vector_is_cast_from_an_array(
    session: SnowflakeConnection, expression: str, expected: object
) -> None:
    assert value(session, expression) == expected


def test_a_vector_holds_32_bits(session: SnowflakeConnection) -> None:
    [element] = value(session, "[0.1]::vector(float, 1)")
    assert element == float(np.float32(0.1))


def test_an_integer_keeps_its_lowest_32_bits(session: SnowflakeConnection) -> None:
    # https://docs.snowflake.com/en/sql-reference/data-types-vector has 32 bits; that they wrap was
    # measured.
    given = "[2147483647, 2147483648, -2147483649, 9007199254740993, 4e9, -1]"
    assert value(session, f"{given}::vector(int, 6)") == [
        *(2147483647, -2147483648, 2147483647),
        *(1, -294967296, -1),
    ]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("[1, 2]::vector(float, 3)", BAD_CAST),
        ("[]::vector(float, 3)", BAD_CAST),
        ("[null]::vector(float, 2)", BAD_CAST),
        ("['a']::vector(float, 1)", NOT_REAL),
        ("[true]::vector(float, 1)", NOT_REAL),
        ("[1, null]::vector(float, 2)", NOT_REAL),
        ("[1.5]::vector(int, 1)", NOT_INTEGERS),
        ("[null]::vector(int, 1)", NOT_INTEGERS),
        # https://docs.snowflake.com/en/release-notes/bcr-bundles/un-bundled/bcr-2361
        ("[1e39]::vector(float, 1)", "has elements that are out of range"),
        # https://docs.snowflake.com/en/sql-reference/functions/try_cast: VECTOR is not a target.
        (
            "try_cast(null as vector(float, 2))",
            "TRY_CAST cannot be used with arguments of types NULL and VECTOR(FLOAT, 2)",
        ),
        ("parse_json('{\"a\": 1}')::vector(float, 1)", BAD_CAST),
        ("'[1]'::vector(float, 1)", "Unsupported data type 'TEXT'."),
        ("1::vector(float, 1)", "Unsupported data type 'FIXED'."),
        (f"{A}::vector(float, 2)", "Invalid argument types for function 'CAST'"),
        (f"{A}::vector(int, 3)", "Invalid argument types for function 'CAST'"),
        (f"{A}::varchar", "Invalid argument types for function 'TO_VARCHAR'"),
        (f"to_char({A})", "Invalid argument types for function 'TO_VARCHAR'"),
        (f"'x' || {A}", "Invalid argument types for function '||': (VARCHAR, VECTOR(FLOAT, 3))"),
        (f"concat({A}, 'x')", "function '||': (VECTOR(FLOAT, 3), VARCHAR)"),
        (f"{A}::variant", "Invalid argument types for function 'TO_VARIANT'"),
        ("[1]::vector(varchar, 1)", "elements of type FLOAT or INT"),
        ("null::vector(float, 0)", "Invalid dimension 0"),
        ("null::vector(float, 4097)", "Invalid dimension 4097"),
    ],
)
def test_other_casts_are_refused(
    session: SnowflakeConnection, expression: str, message: str
) -> None:
    assert message in refusal(session, f"select {expression}")


def test_4096_dimensions_are_allowed(session: SnowflakeConnection) -> None:
    numbers = ", ".join("1" * 4096)
    assert value(session, f"[{numbers}]::vector(float, 4096)") == [1.0] * 4096


def test_vectors_are_compared_grouped_and_united(session: SnowflakeConnection) -> None:
    session.cursor().execute(f"create view v as select {A} as v union all select {A}")
    assert rows(session, f"select v, count(*), v = {A}, v <> {B} from v group by v") == [
        ([1.0, 2.0, 3.0], 2, True, True)
    ]
    assert rows(session, "select distinct v from v") == [([1.0, 2.0, 3.0],)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select array_size(v) from t", "function 'ARRAY_SIZE': (VECTOR(FLOAT, 3))"),
        ("select array_to_string(v, ',') from t", "function 'ARRAY_TO_STRING': (VECTOR(FLOAT, 3))"),
        ("select v[0] from t", "function 'GET': (VECTOR(FLOAT, 3))"),
        ("select v:a from t", "function 'GET': (VECTOR(FLOAT, 3))"),
        ("select get(v, 0) from t", "function 'GET': (VECTOR(FLOAT, 3))"),
        ("select as_array(v) from t", "function 'AS_ARRAY': (VECTOR(FLOAT, 3))"),
        ("select to_variant(v) from t", "function 'TO_VARIANT': (VECTOR(FLOAT, 3))"),
        ("select [v] from t", "function 'ARRAY_CONSTRUCT': (VECTOR(FLOAT, 3))"),
        ("select object_construct('v', v) from t", "'OBJECT_CONSTRUCT': (VECTOR(FLOAT, 3))"),
        ("select f.value from t, lateral flatten(input => v) f", "'FLATTEN': (VECTOR(FLOAT, 3))"),
        ("select v + v from t", "Unsupported data type"),
        (f"insert into t values (1, {A})", "Invalid data type [VECTOR(FLOAT, 3)] in VALUES clause"),
        ("insert into t select 1, [1, 2, 3]", "expecting VECTOR(FLOAT, 3) but got ARRAY"),
        ("insert into t select 1, '[1, 2, 3]'", "expecting VECTOR(FLOAT, 3) but got VARCHAR"),
        (
            "insert into t (v) select [1, 2]::vector(float, 2)",
            "expecting VECTOR(FLOAT, 3) but got VECTOR(FLOAT, 2)",
        ),
        ("create table x (v vector(float, 3)) cluster by (v)", "clustering key 'V'"),
        ("alter table t cluster by (v)", "clustering key 'V'"),
        ("alter table other cluster by (v)", "does not exist or not authorized"),
    ],
)
def test_a_vector_is_no_array(session: SnowflakeConnection, sql: str, message: str) -> None:
    session.cursor().execute(f"create table t as select 1 as id, {A} as v")
    assert message in refusal(session, sql)


def test_a_vector_is_no_bind_variable(local_snowflake: LocalSnowflake) -> None:
    with (
        local_snowflake.connect(paramstyle="qmark") as session,
        pytest.raises(ProgrammingError, match="Unsupported data type 'TEXT'"),
    ):
        session.cursor().execute("select cast(? as vector(float, 2))", ("[1, 2]",))


def test_a_null_goes_into_a_vector_column(session: SnowflakeConnection) -> None:
    session.cursor().execute("create table t (id int, v vector(float, 3))")
    session.cursor().execute("insert into t values (1, null)")
    session.cursor().execute(f"insert into t select 2, null union all select 3, {A}")
    assert rows(session, "select v from t order by id") == [(None,), (None,), ([1.0, 2.0, 3.0],)]


# VECTOR: its functions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"vector_inner_product({A}, {B})", 13.5),
        (
            f"vector_cosine_similarity({A}, {B})",
            13.5 / np.linalg.norm([1, 2, 3]) / np.linalg.norm([4, -5, 6.5]),
        ),
        (f"vector_l2_distance({A}, {B})", np.linalg.norm([3, -7, 3.5])),
        (f"vector_l1_distance({A}, {B})", 13.5),
        ("vector_inner_product([1, 2]::vector(int, 2), [3, 4]::vector(int, 2))", 11),
        (f"vector_normalize({A})", np.array([1, 2, 3]) / np.linalg.norm([1, 2, 3])),
        ("vector_normalize([0, 0]::vector(float, 2))", [0, 0]),
        (f"vector_truncate({A}, 2)", [1, 2]),
    ],
)
def test_vector_functions(session: SnowflakeConnection, expression: str, expected: object) -> None:
    assert value(session, expression) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            "vector_cosine_similarity([.1, .2, .3]::vector(float, 3),"
            " [.4, .5, .6]::vector(float, 3))",
            0.9746318467275483,
        ),
        (
            "vector_cosine_similarity([1, 2, 3]::vector(int, 3), [4, 5, 6]::vector(int, 3))",
            0.9746318461970762,
        ),
        (f"vector_cosine_similarity({A}, {A})", 1.0),
        (f"vector_cosine_similarity([0, 0, 0]::vector(float, 3), {A})", float("nan")),
        (
            "vector_l1_distance([.1, .2, .3]::vector(float, 3), [.4, .5, .6]::vector(float, 3))",
            0.9000000134110451,
        ),
        (
            "vector_inner_product([1e20]::vector(float, 1), [1e20]::vector(float, 1))",
            float(np.float32(1e20)) ** 2,
        ),
        (
            "vector_inner_product([2147483647]::vector(int, 1), [2]::vector(int, 1))",
            4294967294.0,
        ),
        (
            "vector_normalize([1e-30, 2e-30, 2e-30]::vector(float, 3))",
            [float(np.float32(number)) for number in (1 / 3, 2 / 3, 2 / 3)],
        ),
    ],
)
def test_elements_have_32_bits_and_arithmetic_64(
    session: SnowflakeConnection, expression: str, expected: object
) -> None:
    assert value(session, expression) == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


def test_is_vector(session: SnowflakeConnection) -> None:
    # https://docs.snowflake.com/en/sql-reference/functions/is_vector
    session.cursor().execute(f"create table t as select {A} as v, [1]::vector(int, 1) as i")
    session.cursor().execute("insert into t select null, null")
    assert rows(session, "select is_vector(v), is_vector(i) from t order by v is null") == [
        (True, True),
        (None, None),
    ]
    others = ["[1, 2, 3]", "{'a': 1}", "parse_json('[1]')", "1", "1.5", "1::float", "true", "null"]
    [found] = rows(session, "select " + ", ".join(f"is_vector({one})" for one in others))
    assert found == (False,) * 7 + (None,)
    message = refusal(session, "select is_vector('abc')")
    assert "Invalid argument types for function 'IS_VECTOR': (VARCHAR" in message


def test_a_hash_takes_any_types(session: SnowflakeConnection) -> None:
    # https://docs.snowflake.com/en/sql-reference/functions/hash: any types, 64 bits with a sign.
    session.cursor().execute(
        f"create table t as select {A} as v, seq4() as n from table(generator(rowcount => 100))"
    )
    [(hashes, same, signs)] = rows(
        session,
        "select count(distinct hash(v, n)), count(distinct hash(v)), "
        "count(distinct hash(n, [1], 'a', null) > 0) from t",
    )
    assert (hashes, same, signs) == (100, 1, 2)
    assert isinstance(value(session, f"hash({A})"), int)


def test_vector_functions_give_null_for_null(session: SnowflakeConnection) -> None:
    null = "null::vector(float, 3)"
    functions = [f"vector_{name}({A}, {null})" for name in ("inner_product", "l1_distance")]
    functions += [f"vector_normalize({null})", f"vector_truncate({null}, 1)"]
    assert rows(session, "select " + ", ".join(functions)) == [(None,) * 4]


def test_vector_aggregates_leave_null_out(session: SnowflakeConnection) -> None:
    session.cursor().execute(
        f"create table t as select 1 as k, {A} as v union all select 1, {B} "
        "union all select 1, null union all select 2, null"
    )
    found = rows(
        session,
        "select vector_sum(v), vector_avg(v), vector_min(v), vector_max(v) "
        "from t group by k order by k",
    )
    assert found == [
        ([5.0, -3.0, 9.5], [2.5, -1.5, 4.75], [1.0, -5.0, 3.0], [4.0, 2.0, 6.5]),
        (None, None, None, None),
    ]


@pytest.mark.parametrize(
    "call",
    [
        f"VECTOR_INNER_PRODUCT({A}, [1, 2, 3])",
        f"VECTOR_COSINE_SIMILARITY({A}, null)",
        f"VECTOR_COSINE_SIMILARITY({A}, [1, 2]::vector(float, 2))",
        f"VECTOR_L2_DISTANCE({A}, [1, 2, 3]::vector(int, 3))",
        f"VECTOR_L1_DISTANCE({A}, [1, 2]::vector(float, 2))",
        "VECTOR_L2_DISTANCE('a', 'b')",
        "VECTOR_NORMALIZE([1, 2])",
        "VECTOR_TRUNCATE([1, 2], 1)",
        "VECTOR_SUM([1, 2])",
        "VECTOR_AVG(1)",
    ],
)
def test_vector_functions_refuse_other_types(session: SnowflakeConnection, call: str) -> None:
    function = call.partition("(")[0]
    expected = f"Invalid argument types for function '{function}': ("
    assert expected in refusal(session, f"select {call}")


def test_vectors_of_other_dimensions_are_refused_without_any_row(
    session: SnowflakeConnection,
) -> None:
    session.cursor().execute("create table t (a vector(float, 2), b vector(float, 3))")
    message = refusal(session, "select vector_inner_product(a, b) from t")
    assert "Invalid argument types for function 'VECTOR_INNER_PRODUCT'" in message


def test_a_vector_is_truncated_to_a_constant_within_it(session: SnowflakeConnection) -> None:
    message = "Requested truncation dimension 4 for VECTOR_TRUNCATE should be less than or equal"
    assert message in refusal(session, f"select vector_truncate({A}, 4)")
    assert "needs to be constant" in refusal(session, f"select vector_truncate({A}, 1 + 1)")


# What the connector and the catalogue say


def test_the_connector_is_told_what_a_vector_is(session: SnowflakeConnection) -> None:
    cursor = session.cursor()
    cursor.execute(
        f"select {A} as v, [1]::vector(int, 1) as i, [1] as a, {{'k': null}} as o, 'x' as t "
        "union all select null, null, null, null, null"
    )
    names = [FIELD_ID_TO_NAME[column.type_code] for column in cursor.description]
    assert names[:3] == ["VECTOR", "VECTOR", "VARIANT"]
    assert [tuple(row) for row in cursor.fetchall()] == [
        ([1.0, 2.0, 3.0], [1], "[\n  1\n]", "{}", "x"),
        (None,) * 5,
    ]


def test_pandas_reads_vectors(session: SnowflakeConnection) -> None:
    frame = session.cursor().execute(f"select {A} as v").fetch_pandas_all()  # pyright: ignore
    assert list(frame["V"][0]) == [1.0, 2.0, 3.0]
    assert frame["V"][0].dtype == np.float32


def test_the_catalogue_names_vectors(session: SnowflakeConnection, database: str) -> None:
    session.cursor().execute("create table t (f vector(float, 384), i vector(int, 2), a array)")
    session.cursor().execute("create view w as select f, array_size(a) as n from t")
    types = {name: kind for name, kind, *_ in rows(session, "describe table t")}
    assert types == {"F": "VECTOR(FLOAT, 384)", "I": "VECTOR(INT, 2)", "A": "VARIANT"}
    types = {name: kind for name, kind, *_ in rows(session, "describe view w")}
    assert types == {"F": "VECTOR(FLOAT, 384)", "N": "NUMBER(38,0)"}
    assert rows(
        session,
        f"select data_type from {database}.information_schema.columns "
        "where table_name = 'T' order by ordinal_position",
    ) == [("VECTOR(FLOAT, 384)",), ("VECTOR(INT, 2)",), ("VARIANT",)]
    shown = {row[2]: json.loads(row[3])["type"] for row in rows(session, "show columns in table t")}
    assert shown["F"] == "VECTOR(FLOAT, 384)"


# Semi-structured values and numbers

OBJECT = (
    """parse_json('{"a": [1, 2], "s": "it\\\\"s", "n": null, "f": 1.5, "b": true, "k.d": 3}')"""
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x:s::varchar", 'it"s'),
        ("x['s']::varchar", 'it"s'),
        ("get(x, 's')::varchar", 'it"s'),
        ("as_varchar(get(x, 's'))", 'it"s'),
        ("as_varchar(x:f)", None),
        ("get(x, 's')", '"it\\"s"'),
        ("get(x, 'k.d')", "3"),
        ("get(x, 'missing') is null", True),
        ("get(x, 'S') is null", True),
        ("get(get(x, 'a'), 1)::int", 2),
        ("get(get(x, 'a'), array_size(get(x, 'a')) - 1)::int", 2),
        ("get(get(x, 'a'), 2) is null", True),
        ("get(get(x, 'a'), -1) is null", True),
        ("get(x, 's' || '')::varchar", 'it"s'),
        ("x:f::float", 1.5),
        ("x:b::boolean", True),
        ("x:n is null", False),
        ("x:n::varchar", None),
        ("x:n::float", None),
        ("is_null_value(x:n)", True),
        ("as_array(get(x, 'n'))", None),
        ("as_array(get(x, 's'))", None),
        ("as_array(get(x, 'a'))::vector(float, 2)", [1.0, 2.0]),
        ("array_size(x:a)", 2),
        ("array_size(x)", None),
        ("array_size(as_array(x:n))", None),
        ("array_size(x:s::array)", 1),
        ("x::varchar is null", False),
        ("parse_json('null') is null", False),
        ("parse_json('null')::varchar", None),
        ("parse_json(null)", None),
        ("to_varchar(parse_json('\"q\"'))", "q"),
    ],
)
def test_semistructured_values(
    session: SnowflakeConnection, expression: str, expected: object
) -> None:
    session.cursor().execute(f"create table t as select {OBJECT} as x")
    assert rows(session, f"select {expression} from t") == [(expected,)]


def test_a_text_in_a_variant_is_no_number(session: SnowflakeConnection) -> None:
    assert "Failed to cast" in refusal(session, "select parse_json('\"abc\"')::float")


def test_nan_equals_itself_and_is_greater_than_all_others(session: SnowflakeConnection) -> None:
    # https://docs.snowflake.com/en/sql-reference/data-types-numeric#special-values
    nan = "cast('NaN' as float)"
    assert rows(
        session,
        f"select {nan} = {nan}, {nan} > cast('inf' as float), {nan} <> {nan}, 1 < {nan}, "
        "'-inf'::float < -1e308",
    ) == [(True, True, False, True, True)]


def test_other_functions_that_models_use(session: SnowflakeConnection) -> None:
    assert value(session, "sha2('a')") == value(session, "sha2('a', 256)")
    assert value(session, "null is not distinct from null") is True
    assert rows(
        session,
        "select max_by(a, b), min_by(a, b), max_by(a, b, 1) "
        "from (select 1 as a, 2 as b union all select null, 3 union all select 5, null)",
    ) == [(None, 1, "[\n  1\n]")]
    assert rows(
        session,
        "select column1, row_number() over (order by column1 desc) as place "
        "from (values (1), (2), (3)) qualify place <= 2",
    ) == [(3, 1), (2, 2)]


def test_the_hash_of_a_text(session: SnowflakeConnection) -> None:
    # https://docs.snowflake.com/en/sql-reference/functions/sha2
    text = "Été 😀\u00a0"
    assert value(session, f"sha2('{text}', 256)") == hashlib.sha256(text.encode()).hexdigest()
    assert value(session, "sha2(null, 256)") is None


def test_a_timestamp_that_is_null_comes_back_as_null(session: SnowflakeConnection) -> None:
    moment = "2026-11-23 01:02:03.5"
    expected = datetime.fromisoformat(moment)
    for kind, zone in (("timestamp_ntz", None), ("timestamp_tz", UTC)):
        assert rows(
            session,
            f"select column1::{kind} from (values (1, '{moment}'), (2, null)) as t(id, column1) "
            "order by id",
        ) == [(expected.replace(tzinfo=zone),), (None,)]


def test_an_outer_join_gives_null_for_a_vector_that_is_not_there(
    session: SnowflakeConnection,
) -> None:
    """A regression: DuckDB 2.0.0 read memory that was never written, and refused what it found."""
    session.cursor().execute(
        "create table vectors as select cast(seq4() * 3 as integer) as id, "
        "[1, 2, 3]::vector(float, 3) as v from table(generator(rowcount => 100))"
    )
    session.cursor().execute(
        "create table ids as select cast(seq4() as integer) as id, 'a' as a "
        "from table(generator(rowcount => 200))"
    )
    left = rows(session, "select ids.id, v from ids left join vectors on ids.id = vectors.id")
    assert {id_: v is not None for id_, v in left} == {id_: id_ % 3 == 0 for id_ in range(200)}
    right = rows(session, "select v, ids.id from vectors right join ids on ids.id = vectors.id")
    assert sorted(right, key=lambda row: row[1]) == [(v, id_) for id_, v in sorted(left)]


# Temporary relations


def test_a_temporary_table_is_the_sessions_own(
    local_snowflake: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    session.cursor().execute("create table t as select 'permanent' as x")
    session.cursor().execute(f"create temporary table {database}.dev.t as select {A} as v")
    session.cursor().execute("create temp table only_here (id int)")
    assert rows(session, "select t.v from t") == [([1.0, 2.0, 3.0],)]
    assert rows(session, f"describe table {database}.dev.t")[0][:2] == ("V", "VECTOR(FLOAT, 3)")
    with local_snowflake.connect(database=database, schema="dev") as other:
        assert rows(other, "select * from t") == [("permanent",)]
        assert "does not exist or not authorized" in refusal(other, "select * from only_here")


def test_a_temporary_table_goes_with_its_session(
    local_snowflake: LocalSnowflake, database: str
) -> None:
    with local_snowflake.connect(database=database, schema="dev") as session:
        session.cursor().execute("create temporary table t as select 1 as x")
    with local_snowflake.connect(database=database, schema="dev") as session:
        assert "does not exist or not authorized" in refusal(session, "select * from t")


def test_dropping_a_temporary_table_brings_the_permanent_one_back(
    session: SnowflakeConnection,
) -> None:
    session.cursor().execute("create table t as select 'permanent' as x")
    session.cursor().execute("create or replace temporary table t as select 'temporary' as x")
    assert rows(session, "select x from t") == [("temporary",)]
    session.cursor().execute("drop table if exists t")
    assert rows(session, "select x from t") == [("permanent",)]


def test_a_temporary_table_does_not_hide_a_cte(session: SnowflakeConnection) -> None:
    session.cursor().execute("create temporary table t as select 'temporary' as x")
    assert rows(session, "with t as (select 'cte' as x) select x from t") == [("cte",)]


def test_a_temporary_view_reads_what_it_names(session: SnowflakeConnection) -> None:
    session.cursor().execute("create table source as select 1 as x")
    session.cursor().execute("create or replace temp view t as (select x + 1 as y from source)")
    assert rows(session, "select y from t") == [(2,)]
    session.cursor().execute("drop view if exists t cascade")
    assert "does not exist or not authorized" in refusal(session, "select y from t")


def test_a_session_without_a_schema_names_each_relation(
    local_snowflake: LocalSnowflake, database: str
) -> None:
    """A regression: an assertion of fakesnow's failed, in dbt's second incremental run."""
    place = f"{database}.dev"
    with local_snowflake.connect(schema="never_created") as session:
        session.cursor().execute(f"create table {place}.t (id int, x varchar(20)) comment = 'c'")
        session.cursor().execute(f"insert into {place}.t select 1, 'old'")
        session.cursor().execute(
            f"create or replace temporary table {place}.s as (select 1 as id, 'new' as x)"
        )
        session.cursor().execute(f"create temporary table {place}.s2 (x varchar(20))")
        session.cursor().execute(
            f"merge into {place}.t as a using {place}.s as b on a.id = b.id "
            "when matched then update set x = b.x"
        )
        session.cursor().execute(f"drop table if exists {place}.s")
        assert rows(session, f"select x from {place}.t") == [("new",)]
        assert rows(session, "select current_database(), current_schema()") == [(None, None)]


def test_columns_have_comments(session: SnowflakeConnection, database: str) -> None:
    session.cursor().execute("create table t (id int comment 'made', x int)")
    session.cursor().execute("create temporary table s (id int)")
    session.cursor().execute(
        "create view v (\"ID\" comment $$it's$$, x comment '') as select * from t"
    )
    comments = {"t": "made", "v": "it's", "s": None}
    for change, expected in (
        ("select 1", comments),
        (
            'alter table t alter "ID" COMMENT $$one; \'two\'$$, "X" COMMENT $$$$',
            {"t": "one; 'two'"},
        ),
        ("alter table if exists t modify (column id comment 'three')", {"t": "three"}),
        ("comment on column dev.t.id is 'four'", {"t": "four"}),
        ("alter view v alter column id comment 'five'", {"v": "five"}),
        ("alter table s alter id comment 'six'", {"s": "six"}),
    ):
        session.cursor().execute(change)
        comments |= expected
        for name, comment in comments.items():
            kind = "view" if name == "v" else "table"
            assert rows(session, f"describe {kind} {name}")[0][9] == comment
    stored = rows(
        session,
        f"select table_name, comment from {database}.information_schema.columns "
        "where column_name = 'ID' and table_schema = 'DEV' order by 1",
    )
    assert stored == [("T", "four"), ("V", "five")]
    for wrong in ("t alter nothing", "nothing alter id"):
        refusal(session, f"alter table {wrong} comment 'x'")


# MERGE and transactions


def merged(session: SnowflakeConnection, source: str) -> None:
    session.cursor().execute("create table t as select 1 id, 'old' x union all select 2, 'old'")
    session.cursor().execute(f"create temporary table s as {source}")


MERGE = """
merge into t as target using s as source on (source.id = target.id)
when matched then update set "X" = source."X"
when not matched then insert ("ID", "X") values ("ID", "X")
"""


def test_merge_takes_aliases_and_counts(session: SnowflakeConnection) -> None:
    merged(session, "select 2 as id, 'new' as x union all select 3, 'new' union all select 4, 'n'")
    cursor = session.cursor()
    cursor.execute(MERGE)
    assert cursor.rowcount == 3
    assert [tuple(row) for row in cursor.fetchall()] == [(2, 1)]
    assert rows(session, "select * from t order by id") == [
        (1, "old"),
        (2, "new"),
        (3, "new"),
        (4, "n"),
    ]


def test_merge_stores_no_array_as_a_vector(session: SnowflakeConnection) -> None:
    session.cursor().execute(f"create table t as select 1 as id, {A} as v")
    session.cursor().execute("create table s as select 2 as id, [1, 2, 3] as v")
    insert = "merge into t using s on t.id = s.id when not matched then insert (id, v) values "
    assert "got ARRAY for column V" in refusal(session, insert + "(s.id, s.v)")
    session.cursor().execute(insert + "(s.id, s.v::vector(float, 3))")
    update = "merge into t using s on t.id = s.id when matched then update set v = s.v"
    assert "got ARRAY for column V" in refusal(session, update)


def test_merge_refuses_two_sources_for_one_row(session: SnowflakeConnection) -> None:
    merged(session, "select 2 as id, 'new' as x union all select 2, 'newer'")
    assert "Duplicate row detected during DML action" in refusal(session, MERGE)


def test_a_failed_statement_ends_its_transaction_alone(
    local_snowflake: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    session.cursor().execute("create table t as select 1 as x")
    session.cursor().execute("begin")
    session.cursor().execute("update t set x = 2")
    refusal(session, "insert into t select parse_json('\"abc\"')::int")
    assert rows(session, "select x from t") == [(1,)]
    session.cursor().execute("commit")
    local_snowflake.execute("update t set x = 3", database=database, schema="dev")
    assert rows(session, "select x from t") == [(3,)]


def test_ddl_commits_the_open_transaction(
    local_snowflake: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    session.cursor().execute("create table t as select 1 as x")
    session.cursor().execute("begin")
    session.cursor().execute("update t set x = 2")
    session.cursor().execute("create table u as select 1 as y")
    session.cursor().execute("rollback")
    assert local_snowflake.execute("select x from t", database=database, schema="dev") == [(2,)]


def test_a_change_waits_for_another_sessions_transaction(
    local_snowflake: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    session.cursor().execute("create table t as select 1 as x")
    session.cursor().execute("begin")
    session.cursor().execute("update t set x = x + 1")
    failures: list[Exception] = []

    def change() -> None:
        try:
            local_snowflake.execute("update t set x = x * 10", database=database, schema="dev")
        except Error as error:
            failures.append(error)

    other = threading.Thread(target=change)
    other.start()
    assert local_snowflake.execute("select x from t", database=database, schema="dev") == [(1,)]
    session.cursor().execute("commit")
    other.join()
    assert failures == []
    assert rows(session, "select x from t") == [(20,)]


# dbt

EMBED = """
{% macro a_vector(text) %}
  {{ return(
    "cast(case when " ~ text ~ " <> '' then [length(" ~ text ~ "), 1, 0] end as vector(float, 3))"
  ) }}
{% endmacro %}
"""
FILES = {
    "macros/a_vector.sql": EMBED,
    "seeds/texts.csv": "id,body,weight\n1,one,0.5\n2,it's,\n3,,2\n",
    "models/properties.yml": """
version: 2
models:
  - name: embedded
    columns:
      - name: id
        data_tests: [unique, not_null]
      - name: embedding
        data_tests:
          - tf_embeddings.embedding_dimension: {arguments: {dimensions: 3}}
          - tf_embeddings.embedding_is_finite
          - tf_embeddings.embedding_is_not_zero
unit_tests:
  - name: a_fixture_has_vectors_and_rows
    model: nearest
    given:
      - input: ref('texts')
        rows: [{id: 1, body: one}]
      - input: ref('embedded')
        format: sql
        rows: select 7 as id, {% raw %}{{ a_vector("'one'") }}{% endraw %} as embedding
    expect:
      rows: [{id: 1, neighbor: 7, similarity: 1}]
  - name: rows_without_a_vector_have_null
    model: nearest
    given:
      - input: ref('texts')
        rows: [{id: 1, body: one}]
      - input: ref('embedded')
        format: sql
        rows: select 7 as id, null::vector(float, 3) as embedding
    expect:
      rows: [{id: 1, neighbor: 7, similarity: null}]
  - name: only_new_texts
    model: embedded
    overrides: {macros: {is_incremental: true}}
    given:
      - input: ref('texts')
        rows: [{id: 1, body: one}, {id: 2, body: two}]
      - input: this
        format: sql
        rows: select 1 as id, 'one' as body
    expect:
      rows: [{id: 2, body: two}]
""",
    "models/embedded.sql": """
{{ config(materialized='incremental', unique_key='id', on_schema_change='fail') }}
select id, body, {{ a_vector('body') }} as embedding from {{ ref('texts') }} as texts
{% if is_incremental() %}
where not exists (
  select 1 from {{ this }} as embedded where embedded.id = texts.id and embedded.body = texts.body
)
{% endif %}
""",
    "models/nearest.sql": """
select
  texts.id,
  embedded.id as neighbor,
  round(
    vector_cosine_similarity({{ a_vector('texts.body') }}, embedded.embedding), 6
  ) as similarity
from {{ ref('texts') }} as texts
cross join {{ ref('embedded') }} as embedded
""",
}


@pytest.fixture(scope="module")
def project(
    local_snowflake: LocalSnowflake, tmp_path_factory: pytest.TempPathFactory
) -> SnowflakeProject:
    """A project that has been built once."""
    folder = tmp_path_factory.mktemp("queries") / "project"
    project = make_snowflake_project(folder, local_snowflake, files=FILES)
    run = project.dbt("build")
    assert run.success, run.errors
    return project


def test_dbt_builds_seeds_models_data_tests_and_unit_tests(project: SnowflakeProject) -> None:
    assert project.rows("select id, body, embedding from dev.embedded order by id") == [
        (1, "one", [3.0, 1.0, 0.0]),
        (2, "it's", [4.0, 1.0, 0.0]),
        (3, None, None),
    ]
    assert project.rows("select weight from dev.texts order by id") == [(0.5,), (None,), (2.0,)]


@pytest.mark.parametrize("strategy", ["merge", "delete+insert", "append"])
def test_dbt_runs_an_incremental_model_again(project: SnowflakeProject, strategy: str) -> None:
    name = strategy.replace("+", "_")
    model = FILES["models/embedded.sql"].replace(
        "unique_key='id'", f"unique_key='id', incremental_strategy='{strategy}'"
    )
    project.write(f"models/{name}.sql", model)
    assert project.dbt("run", "--select", name).success
    project.execute(f"update dev.{name} set body = 'other' where id = 1")
    run = project.dbt("run", "--select", name)
    assert run.success, run.errors
    # A NULL equals nothing, so row 3 is new each time.
    again = 2 if strategy == "append" else 1
    assert project.rows(f"select id, count(*) from dev.{name} group by id order by id") == [
        (1, again),
        (2, 1),
        (3, again),
    ]


def test_dbt_keeps_docs_and_tags_where_the_logins_schema_is_missing(
    project: SnowflakeProject,
) -> None:
    """A regression: each of the three failed. The model has a schema of its own."""
    model = """
    {{{{ config(
      materialized='{kind}', schema='other', unique_key='id', query_tag='nightly',
      persist_docs={{'relation': true, 'columns': true}}
    ) }}}}
    select 1 as id, 'x' as body
    """
    kinds = ("table", "view", "incremental")
    for kind in kinds:
        project.write(f"models/documented_{kind}.sql", model.format(kind=kind))
    columns = [{"name": "id", "description": "it's; $one"}, {"name": "body"}]
    described = [
        {"name": f"documented_{kind}", "description": "all of it", "columns": columns}
        for kind in kinds
    ]
    project.write_yaml("models/documented.yml", {"version": 2, "models": described})
    for _ in range(2):
        run = project.dbt("run", "--select", "documented_*", "--target-path", "target/documented")
        assert run.success, run.errors
    assert project.rows(
        f"select count(*) from {project.name}.information_schema.columns "
        "where column_name = 'ID' and comment = 'it''s; [$]one'"
    ) == [(3,)]


def test_dbt_refuses_another_dimension_until_it_refreshes(project: SnowflakeProject) -> None:
    model = "{{ config(materialized='incremental', unique_key='id') }} select 1 as id, "
    project.write("models/changing.sql", model + "[1, 2]::vector(float, 2) as v")
    assert project.dbt("run", "--select", "changing").success
    project.write("models/changing.sql", model + "[1, 2, 3]::vector(float, 3) as v")
    assert not project.dbt("run", "--select", "changing").success
    assert project.rows("select v from dev.changing") == [([1.0, 2.0],)]
    assert project.dbt("run", "--select", "changing", "--full-refresh").success
    assert project.rows("select v from dev.changing") == [([1.0, 2.0, 3.0],)]


def test_dbt_adds_a_vector_column(project: SnowflakeProject) -> None:
    config = "materialized='incremental', on_schema_change='append_new_columns'"
    model = "{{ config(" + config + ") }} select 1 as id"
    project.write("models/growing.sql", model)
    assert project.dbt("run", "--select", "growing").success
    project.write("models/growing.sql", model + f", {A} as v")
    run = project.dbt("run", "--select", "growing")
    assert run.success, run.errors
    found = project.rows("select v from dev.growing order by v nulls first")
    assert found == [(None,), ([1.0, 2.0, 3.0],)]


def test_dbt_documents_vectors(project: SnowflakeProject) -> None:
    run = project.dbt("docs", "generate")
    assert run.success, run.errors
    catalog = json.loads(
        (Path(project.folder) / "target" / "catalog.json").read_text(encoding="utf-8")
    )
    columns = catalog["nodes"]["model.a_project.embedded"]["columns"]
    assert columns["EMBEDDING"]["type"] == "VECTOR(FLOAT, 3)"


def test_dbt_shows_vectors(project: SnowflakeProject) -> None:
    run = project.dbt("show", "--inline", "select {{ a_vector(\"'one'\") }} as v")
    assert run.success, run.errors


def test_a_failing_data_test_fails(project: SnowflakeProject) -> None:
    project.write("tests/fails.sql", f"select {A} as v")
    project.configure(**{"test-paths": ["tests"]})
    run = project.dbt("test", "--select", "fails")
    assert run.status("fails") == "fail"


def test_a_failing_model_leaves_the_next_one_alone(project: SnowflakeProject) -> None:
    project.write(
        "models/breaking.sql",
        "{{ config(materialized='incremental', unique_key='id') }} select 1 as id, "
        "{% if is_incremental() %}parse_json('\"abc\"')::int{% else %}1{% endif %} as x",
    )
    project.write("models/following.sql", "-- depends_on: {{ ref('texts') }}\nselect 1 as x")
    assert project.dbt("run", "--select", "breaking").success
    run = project.dbt("run", "--select", "breaking following", "--threads", "1")
    assert run.status("breaking") == "error"
    assert run.status("following") == "success", run.errors
