"""What queries and dbt's statements need in addition to fakesnow.

Semi-structured values, temporary relations, comments, MERGE, checks, and DuckDB's errors as the
connector's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import sqlglot
from fakesnow.transforms import transforms
from fakesnow.transforms.merge import operations
from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp

from local_snowflake import vector
from local_snowflake.errors import compilation_error
from local_snowflake.rows import Rows, status
from local_snowflake.statements import Reader, duck, first_words, literal
from local_snowflake.vector import call, rewritten

if TYPE_CHECKING:
    from local_snowflake.session import Cursor, Session

TEXT_TYPES = {exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.NVARCHAR, exp.DType.CHAR}
MAYBE_VARIANT = (exp.Column, exp.Anonymous, exp.ParseJSON, exp.Cast, exp.Coalesce, exp.Case)
ARRAY_FUNCTIONS = (exp.ArrayContains, exp.ArrayConcat, exp.ArraySlice, exp.ArrayToString)
SEMISTRUCTURED_TYPES = {exp.DType.VARIANT, exp.DType.OBJECT}
# https://docs.snowflake.com/en/sql-reference/functions/as: NULL if the value has a different type.
AS_FUNCTIONS = {
    "AS_ARRAY": ("('ARRAY')", "j"),
    "AS_OBJECT": ("('OBJECT')", "j"),
    "AS_VARCHAR": ("('VARCHAR')", "j ->> '$'"),
    "AS_CHAR": ("('VARCHAR')", "j ->> '$'"),
    "AS_BOOLEAN": ("('BOOLEAN')", "cast(j as boolean)"),
    "AS_INTEGER": ("('UBIGINT', 'BIGINT')", "cast(j as bigint)"),
    "AS_DOUBLE": ("('UBIGINT', 'BIGINT', 'DOUBLE')", "cast(j as double)"),
    "AS_REAL": ("('UBIGINT', 'BIGINT', 'DOUBLE')", "cast(j as double)"),
}
MACROS = {
    **{
        f"{name.lower()}(x)": f"""
            list_transform([to_json(_ls_no_vector(x, '{name}'))],
                lambda j: case when json_type(j) in {kinds} then {value} end)[1]"""
        for name, (kinds, value) in AS_FUNCTIONS.items()
    },
    # NULL if the VARIANT is not an ARRAY.
    # https://docs.snowflake.com/en/sql-reference/functions/array_size
    "array_size(x)": """
        list_transform([to_json(_ls_no_vector(x, 'ARRAY_SIZE'))], lambda j:
            case when json_type(j) = 'ARRAY' then cast(json_array_length(j) as bigint) end)[1]""",
    # Other values become an ARRAY of one element; JSON's null becomes SQL's.
    # https://docs.snowflake.com/en/sql-reference/functions/to_array
    "to_array(x)": """
        list_transform([_ls_json(x)], lambda j: case
            when j is null or json_type(j) = 'NULL' then null
            when json_type(j) = 'ARRAY' then j
            else json_array(j)
        end)[1]""",
    # https://docs.snowflake.com/en/sql-reference/functions/to_char: text without quotes, and NULL
    # for JSON's null.
    "to_varchar(x)": """
        case
            when typeof(x) = 'JSON' then to_json(x) ->> '$'
            else cast(_ls_no_vector(x, 'TO_VARCHAR') as varchar)
        end""",
    # By key, or by index from 0.
    # https://docs.snowflake.com/en/sql-reference/functions/get
    "get(x, k)": """
        json_extract(to_json(_ls_no_vector(x, 'GET')), case
            when typeof(k) = 'VARCHAR'
                then '/' || replace(replace(cast(k as varchar), '~', '~0'), '/', '~1')
            when try_cast(k as bigint) >= 0 then '$[' || cast(k as varchar) || ']'
        end)""",
}

# Macros that use an argument more than once; those of aggregates cannot be values.
ALL_AT_ONCE = {
    *("no_vector", "json", "elements", "real", "integer", "whole", "to_varchar"),
    *("is_a_vector", "vector_normalize"),
} | {function.lower() for function in vector.DISTANCES.values()}

# Metadata of a tree.
PLACE = "place_of_temporary"
COLUMN_COMMENTS = "comments_on_columns"
ACTIONS = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}


def create_macros(session: Session) -> None:
    """Create the session's macros that the transforms call."""
    for signature, body in {**vector.MACROS, **MACROS}.items():
        name, parameters = signature.removesuffix(")").split("(")
        if name in ALL_AT_ONCE:
            session._duck_conn.execute(f"create temp macro _ls_{name}_of({parameters}) as {body}")
            body = _at_once(name, parameters.split(", "))
        session._duck_conn.execute(f"create temp macro _ls_{signature} as {body}")


def _at_once(name: str, parameters: list[str]) -> str:
    """Return a macro's body that evaluates each argument once and passes it on as a value.

    DuckDB writes an argument wherever a macro names it: three macros in one another that look at
    the type of theirs would have a query of a thousand copies.
    """
    fields = ", ".join(f"'{parameter}': {parameter}" for parameter in parameters)
    values = ", ".join(f"p.{parameter}" for parameter in parameters)
    return f"list_transform([{{{fields}}}], lambda p: _ls_{name}_of({values}))[1]"


@contextmanager
def checked(session: Session, statement: Expr) -> Iterator[None]:
    """Run a DuckDB statement, and raise its errors as the connector does."""
    try:
        if isinstance(statement, (exp.Insert, exp.Merge)):
            _check_stored_vectors(session, statement)
        yield
    except duckdb.Error as error:
        raise translated(error) from error
    except ProgrammingError as error:
        if isinstance(error.__cause__, duckdb.Error):
            raise translated(error.__cause__, error) from error.__cause__
        raise
    _note_temporary(session, statement)
    for column, text in statement.args.get(COLUMN_COMMENTS, ()):
        session.run(_comment_on(statement.find(exp.Table), column, text))


def translated(error: duckdb.Error, known: ProgrammingError | None = None) -> ProgrammingError:
    """Return DuckDB's error as Snowflake's, or as fakesnow's."""
    text = str(error)
    if match := re.search(r"\[\[(\d+) (\w+)\]\] (.*)", text, re.S):
        return ProgrammingError(msg=match[3], errno=int(match[1]), sqlstate=match[2])
    if "TransactionContext Error: Conflict on" in text:
        return ProgrammingError(
            msg="Another session has changed these rows since the first change of this transaction:"
            " Snowflake goes on, the DuckDB under this local Snowflake does not.",
            errno=625,
            sqlstate="57014",
        )
    if "MERGE INTO command cannot affect the same target row" in text:
        # https://docs.snowflake.com/en/sql-reference/sql/merge#duplicate-join-behavior
        return ProgrammingError(
            msg="Duplicate row detected during DML action", errno=100090, sqlstate="42P18"
        )
    if match := re.search(r"Table with name (.+?) does not exist", text):
        return compilation_error(
            f"Object '{match[1]}' does not exist or not authorized.", 2003, "42S02"
        )
    if match := re.search(r"Cannot concatenate types (.+) and (.+?) - ", text):
        types = f"{_snowflake_type(match[1])}, {_snowflake_type(match[2])}"
        return compilation_error(
            f"Invalid argument types for function '||': ({types})", 1044, "42P13"
        )
    for function, array_function in vector.ARRAY_FUNCTIONS.items():
        if re.search(rf"\b{array_function}\b", text) and isinstance(
            error, (duckdb.BinderException, duckdb.InvalidInputException)
        ):
            types = re.search(rf"{array_function}\(([^()]*)\)'", text)
            return compilation_error(
                f"Invalid argument types for function '{function}': ({_types(types)})",
                1044,
                "42P13",
            )
    return known or ProgrammingError(msg=text, errno=100132, sqlstate="P0000")


def _types(match: re.Match[str] | None) -> str:
    """Return the types of arguments, which DuckDB does not name if only the dimensions differ."""
    if match is None:
        return "VECTOR, VECTOR"
    return ", ".join(_snowflake_type(name) for name in match[1].split(", "))


def column_comments(session: Session, tree: Expr) -> Expr:
    """Store comments on columns in DuckDB, because fakesnow drops them.

    https://docs.snowflake.com/en/sql-reference/sql/create-view
    """
    del session
    if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
        comments = [
            (_folded(column), constraint.this.name)
            for column in tree.this.find_all(exp.ColumnDef)
            for constraint in column.find_all(exp.CommentColumnConstraint)
        ]
        tree.args[COLUMN_COMMENTS] = tuple(comments)
    return tree


def comment_on_columns(session: Session, sql: str) -> Rows | None:
    """Handle COMMENT ON COLUMN, and ALTER TABLE … ALTER COLUMN … COMMENT, which dbt sends.

    https://docs.snowflake.com/en/sql-reference/sql/alter-table-column
    """
    words = first_words(sql, 12)
    if words[:1] == ["comment"] and "column" in words[1:5]:
        read = Reader(sql)
        read.expect("comment")
        read.take("if", "exists")
        read.expect("on", "column")
        *name, column = read.name()
        read.expect("is")
        comments = [(column, read.string())]
    elif words[:1] == ["alter"] and words[1:2] in (["table"], ["view"]) and "comment" in words:
        read = Reader(sql)
        read.expect("alter")
        read.take_any("table", "view")
        read.take("if", "exists")
        name = read.name()
        if not read.take_any("alter", "modify"):
            return None  # a comment on the table itself: fakesnow's
        in_brackets = read.take("(")
        comments = [_column_comment(read)]
        while read.take(","):
            comments.append(_column_comment(read))
        if in_brackets:
            read.expect(")")
    else:
        return None
    read.end()
    parts = [exp.to_identifier(part, quoted=True) for part in name]
    table = exp.Table(**dict(zip(("this", "db", "catalog"), reversed(parts), strict=False)))
    whole = _full_name(session, table)
    if whole in session.temporary:
        table = exp.table_(exp.to_identifier(whole, quoted=True))
    try:
        for column, text in comments:
            session.run(_comment_on(table, column, text))
    except duckdb.Error as error:
        raise translated(error) from error
    return status()


def _column_comment(read: Reader) -> tuple[str, str]:
    read.take("column")
    name = read.name()[-1]
    read.expect("comment")
    return name, read.string()


def _comment_on(table: Expr | None, column: str, text: str) -> str:
    assert isinstance(table, exp.Table)
    place = duck(*(part.name for part in table.parts), column)
    return f"comment on column {place} is {literal(text)}"


def _folded(column: exp.ColumnDef) -> str:
    return column.this.name if column.this.quoted else column.this.name.upper()


# The types that DuckDB gives to a NULL: in a SELECT, and in VALUES.
NULLS = {'"NULL"', "INTEGER"}


def _snowflake_type(name: str) -> str:
    return vector.snowflake_type(name) or {"JSON": "ARRAY"}.get(name, name)


def semistructured(session: Session, tree: Expr) -> Expr:
    """Correct fakesnow's ARRAY, OBJECT and VARIANT where they differ from Snowflake's.

    https://docs.snowflake.com/en/sql-reference/data-types-semistructured
    """
    del session
    return rewritten(tree, _semistructured)


def _semistructured(node: Expr) -> Expr:
    if isinstance(node, exp.Array):
        elements = [_no_vector(element, "ARRAY_CONSTRUCT") for element in node.expressions]
        return exp.Anonymous(this="json_array", expressions=elements)
    if isinstance(node, exp.PropertyEQ) and isinstance(node.parent, exp.Struct):
        node.set("expression", _no_vector(node.expression, "OBJECT_CONSTRUCT"))
    elif isinstance(node, exp.GetExtract):
        return call("get", node.this, node.expression)
    elif isinstance(node, (exp.JSONExtract, exp.Bracket)):
        node.set("this", _no_vector(node.this, "GET"))
    elif isinstance(node, exp.ArraySize):
        return call("array_size", node.this)
    elif isinstance(node, ARRAY_FUNCTIONS):
        node.set("this", _no_vector(node.this, node.sql_name()))
    elif isinstance(node, exp.Explode):
        table = node.this
        if isinstance(table, exp.Kwarg):
            table.set("expression", _no_vector(table.expression, "FLATTEN"))
        else:
            node.set("this", _no_vector(table, "FLATTEN"))
    elif isinstance(node, exp.ToVariant):
        node.set("this", _no_vector(node.this, "TO_VARIANT"))
    elif isinstance(node, exp.ToArray):
        return call("to_array", node.this)
    elif isinstance(node, exp.ToChar) and not node.args.get("format"):
        return call("to_varchar", node.this)
    elif isinstance(node, (exp.ArgMax, exp.ArgMin)):
        return _by(node)
    elif isinstance(node, exp.Cast):
        return _cast(node)
    elif isinstance(node, exp.Anonymous) and node.name.upper() in AS_FUNCTIONS:
        return call(node.name.lower(), *node.expressions)
    elif isinstance(node, exp.Anonymous) and node.name.upper() == "HASH":
        return _hash(node)
    return node


def _hash(node: exp.Anonymous) -> Expr:
    """Of any number of values of any type; 64 bits with a sign.

    https://docs.snowflake.com/en/sql-reference/functions/hash
    """
    unsigned = exp.cast(exp.Anonymous(this="hash", expressions=node.expressions), "hugeint")
    return exp.cast(exp.Sub(this=unsigned, expression=exp.Literal.number(2**63)), "bigint")


def _no_vector(node: Expr, function: str) -> Expr:
    is_simple = isinstance(node, (exp.Literal, exp.Null, exp.Boolean, exp.Array, exp.Struct))
    return node if is_simple else call("no_vector", node, function)


def _by(node: exp.ArgMax | exp.ArgMin) -> Expr:
    """Of all rows whose second argument is not NULL; with a third argument, an ARRAY.

    https://docs.snowflake.com/en/sql-reference/functions/max_by
    """
    name = "arg_max" if isinstance(node, exp.ArgMax) else "arg_min"
    if count := node.args.get("count"):
        best = exp.Anonymous(this=name, expressions=[node.this, node.expression, count])
        return exp.Anonymous(this="to_json", expressions=[best])
    return exp.Anonymous(this=f"{name}_null", expressions=[node.this, node.expression])


def _cast(node: exp.Cast) -> Expr:
    if node.to.this == exp.DType.ARRAY and not node.to.expressions:
        return call("to_array", node.this)
    if node.to.this in SEMISTRUCTURED_TYPES:
        node.set("this", _no_vector(node.this, f"TO_{node.to.this.name}"))
    # fakesnow finds the casts of paths itself, and those of FLATTEN's VALUE.
    is_value = isinstance(node.this, exp.Column) and node.this.name.upper() == "VALUE"
    if node.to.this in TEXT_TYPES and isinstance(node.this, MAYBE_VARIANT) and not is_value:
        node.set("this", call("to_varchar", node.this))
    return node


def temporary_relations(session: Session, tree: Expr) -> Expr:
    """Keep temporary tables and views in DuckDB's temporary catalog, which is per session.

    There they have no schema, so the whole name becomes the name. They hide permanent relations
    of the same name.
    https://docs.snowflake.com/en/user-guide/tables-temp-transient
    """
    if isinstance(tree, exp.Create) and tree.find(exp.TemporaryProperty):
        created = _created(tree)
        tree.args[PLACE] = _parts(session, created)[:2]
        _rename(session, created)
    if not session.temporary:
        return tree
    for table in list(tree.find_all(exp.Table)):
        if _full_name(session, table) in session.temporary and not _is_of_a_cte(table):
            _rename(session, table)
            if isinstance(tree, exp.Describe):
                return _describe(table.name)
    return tree


def outer_joins(session: Session, tree: Expr) -> Expr:
    """Hide the condition of an outer join over vectors from DuckDB's hash join.

    DuckDB 2.0.0 reads uninitialized memory if such a join carries an ARRAY and finds no row:
    `Cannot cast list with length 0 to array with length 384`. A nested loop does not.
    """
    joins = [join for join in tree.find_all(exp.Join) if join.side in ("LEFT", "RIGHT")]
    if not joins or not _uses_vectors(session, tree):
        return tree
    for join in joins:
        if condition := join.args.get("on"):
            hidden = exp.Case().when(condition.copy(), exp.true()).else_(exp.false())
            join.set("on", hidden)
    return tree


def _uses_vectors(session: Session, tree: Expr) -> bool:
    if any(vector.is_vector_type(cast.to) for cast in tree.find_all(exp.Cast)):
        return True
    for table in tree.find_all(exp.Table):
        try:
            kinds = _stored_columns(session, table).values()
        except duckdb.Error:  # a CTE, or a missing table
            continue
        if any(vector.snowflake_type(kind) for kind in kinds):
            return True
    return False


def place_of(statement: Expr) -> tuple[str, str] | None:
    """Return the database and the schema of a new temporary relation."""
    return statement.args.get(PLACE)


def _created(tree: exp.Create) -> exp.Table:
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    assert isinstance(table, exp.Table)
    return table


def _full_name(session: Session, table: exp.Table) -> str:
    return ".".join(_parts(session, table))


def _parts(session: Session, table: exp.Table) -> tuple[str, str, str]:
    def name(part: str, default: str | None) -> str:
        identifier = table.args.get(part)
        if not isinstance(identifier, exp.Identifier):
            return default or ""
        return identifier.name if identifier.quoted else identifier.name.upper()

    catalog, schema = name("catalog", session.database), name("db", session.schema)
    return catalog, schema, name("this", None)


def _rename(session: Session, table: exp.Table) -> None:
    name = _full_name(session, table)
    if not table.alias and isinstance(table.parent, (exp.From, exp.Join)):
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    table.set("this", exp.to_identifier(name, quoted=True))
    table.set("db", None)
    table.set("catalog", None)


def _is_of_a_cte(table: exp.Table) -> bool:
    if table.db:
        return False
    names = {
        cte.alias.upper()
        for select in _ancestors(table)
        if isinstance(with_ := select.args.get("with_"), exp.With)
        for cte in with_.expressions
    }
    return table.name.upper() in names


def _ancestors(node: Expr) -> Iterator[Expr]:
    while node.parent is not None:
        node = node.parent
        yield node


def _describe(name: str) -> Expr:
    sql = transforms.SQL_DESCRIBE_TABLE.substitute(catalog="temp", schema="main", table=name)
    everywhere = sql.replace("FROM _fs_info", "FROM _fs_global._fs_info")
    return sqlglot.parse_one(everywhere, read="duckdb")


def _note_temporary(session: Session, statement: Expr) -> None:
    if isinstance(statement, exp.Create) and statement.find(exp.TemporaryProperty):
        session.temporary.add(_created(statement).name)
    elif isinstance(statement, exp.Drop):
        session.temporary -= {table.name for table in statement.find_all(exp.Table)}


def merge(cursor: Cursor, statement: exp.Merge) -> None:
    """Run MERGE as DuckDB's, because fakesnow's takes no aliases.

    https://docs.snowflake.com/en/sql-reference/sql/merge
    """
    for update in statement.find_all(exp.Update):
        for assignment in update.expressions:
            if isinstance(assignment.this, exp.Column):
                assignment.set("this", exp.column(assignment.this.this.copy()))
    returned = exp.Returning(expressions=[exp.column("merge_action", quoted=True)])
    statement.set("returning", returned)
    cursor.run(statement)
    done = [action for (action,) in cursor.fetchall()]
    counts = {
        kind: done.count(action) for kind, action in ACTIONS.items() if operations(statement)[kind]
    }
    columns = ", ".join(
        f'cast({count} as bigint) as "number of rows {kind}"' for kind, count in counts.items()
    )
    answer = sqlglot.parse_one(f"select {columns}", read="duckdb")
    answer.set("merge_counts", True)  # the rows affected are their sum
    cursor.run(answer)


def check_clustering(session: Session, tree: Expr) -> Expr:
    """Refuse a vector in a clustering key.

    https://docs.snowflake.com/en/sql-reference/data-types-vector#limitations
    """
    keys = tree.find(exp.ClusterProperty) if isinstance(tree, (exp.Create, exp.Alter)) else None
    if keys is None:
        return tree
    vectors = {
        column.name.upper() for column in tree.find_all(exp.ColumnDef) if _has_vector(column)
    }
    if isinstance(tree, exp.Alter) and isinstance(tree.this, exp.Table):
        try:
            stored = _stored_columns(session, tree.this)
        except duckdb.Error as error:
            raise translated(error) from error
        vectors = {name for name, kind in stored.items() if vector.snowflake_type(kind)}
    for column in keys.find_all(exp.Column):
        if column.name.upper() in vectors:
            raise compilation_error(
                f"Unsupported type VECTOR for clustering key '{column.name.upper()}'."
            )
    return tree


def _has_vector(column: exp.ColumnDef) -> bool:
    return vector.is_vector_type(column.args.get("kind"))


def _stored_columns(session: Session, table: exp.Table) -> dict[str, str]:
    """Return the columns of a table, name -> DuckDB's type."""
    return _types_of(session, exp.select("*").from_(table.copy()))


def check_values(session: Session, tree: Expr) -> Expr:
    """Refuse a vector in VALUES: it takes INSERT … SELECT.

    https://docs.snowflake.com/en/sql-reference/sql/insert
    """
    del session
    for values in tree.find_all(exp.Values):
        for cast in values.find_all(exp.Cast):
            if vector.is_vector_type(cast.to):
                element, dimensions = vector.element_and_dimensions(cast.to)
                raise compilation_error(
                    f"Invalid data type [VECTOR({element}, {dimensions})] in VALUES clause",
                    2014,
                    "22000",
                )
    return tree


def _check_stored_vectors(session: Session, statement: exp.Insert | exp.Merge) -> None:
    """Refuse to store other values in a vector column; DuckDB would cast them.

    https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion
    """
    target = statement.this
    table = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(table, exp.Table):
        return
    stored = _stored_columns(session, table)
    if not any(kind == "JSON" or vector.snowflake_type(kind) for kind in stored.values()):
        return
    if isinstance(statement, exp.Merge):
        given = _merged_types(session, statement)
    else:
        named = [column.name for column in target.expressions] if target is not table else []
        types = _types_of(session, statement.expression)
        given = list(zip(named or stored, types.values(), strict=False))
    for column, kind in given:
        expected = stored.get(column, kind)
        if kind == expected or kind in NULLS:
            continue
        if vector.snowflake_type(expected) or vector.snowflake_type(kind):
            raise compilation_error(
                "Expression type does not match column data type, expecting "
                f"{_snowflake_type(expected)} but got {_snowflake_type(kind)} for column {column}",
                2023,
                "22000",
            )


def _merged_types(session: Session, statement: exp.Merge) -> list[tuple[str, str]]:
    """Return the types of the source columns that MERGE stores without a cast."""
    source = exp.select("*").from_(statement.args["using"].copy())
    types = _types_of(session, source)
    pairs: list[tuple[Expr, Expr]] = []
    for when in statement.args["whens"].expressions:
        then = when.args["then"]
        if isinstance(then, exp.Update):
            pairs += [(change.this, change.expression) for change in then.expressions]
        elif isinstance(then, exp.Insert) and then.this:
            pairs += zip(then.this.expressions, then.expression.expressions, strict=False)
    return [
        (column.name, types[value.name])
        for column, value in pairs
        if isinstance(value, exp.Column) and value.name in types
    ]


def _types_of(session: Session, query: Expr) -> dict[str, str]:
    """Return the columns of a query, name -> DuckDB's type."""
    # A binding is never a vector.
    sql = query.copy().transform(_without_bindings).sql(dialect="duckdb")
    return {name: kind for name, kind, *_ in session.query(f"describe {sql}")}


def _without_bindings(node: Expr) -> Expr:
    return exp.Null() if isinstance(node, exp.Placeholder) else node
