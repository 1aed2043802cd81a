"""The HTTP server for the connector: fakesnow's, with our login, PUT and faults."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import secrets
import shutil
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import fakesnow.server
import uvicorn
from fakesnow.dialect import parse_one
from fakesnow.transforms import SERVER_VERSION
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH
from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp
from sqlglot.errors import TokenError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_snowflake import roles, stages, transactions
from local_snowflake.errors import internal_error
from local_snowflake.keep import Keep
from local_snowflake.session import Server, Session
from local_snowflake.stages import FULL, Upload
from local_snowflake.statements import unquoted

LOOPBACK = "127.0.0.1"
DATABASE = "DEMO"
MOST_STATEMENTS = 1000
# A client may repeat a request if it got no answer.
MOST_ANSWERS = 100


def seconds_to_answer() -> float:
    """Return after how many seconds a statement is reported as in progress; tests change it.

    https://docs.snowflake.com/en/developer-guide/sql-api/reference
    """
    return float(os.environ.get("LOCAL_SNOWFLAKE_ANSWER_SECONDS", "45"))


@dataclass(eq=False)
class Asked:
    """A client's statement, which runs once even if the client repeats the request."""

    token: str
    request_id: str
    query_id: str
    is_async: bool
    task: asyncio.Task[JSONResponse]


@contextmanager
def serve(port: int = 0, keep: Path | None = None) -> Iterator[int]:
    """Serve an account on the loopback interface; yields the port.

    It holds one database, DEMO. Nothing of it is left when the block ends, unless a folder keeps
    it: then it is as it was left.

    Raises:
        KeepError: the folder cannot be used.
    """
    _quiet()
    account = Server(Keep(keep) if keep else None)
    fakesnow.server.shared_fs = account
    fakesnow.server.parse_one = _parse_one  # pyright: ignore[reportPrivateImportUsage]
    account.connect().cursor().execute(f"create database if not exists {DATABASE}")
    # asyncio sends a small answer at once only if the protocol is named; else it waits for 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()  # from here on, connections are accepted
        config = uvicorn.Config(_app(), log_level="error", access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            account.account.stages.close()
            shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)


def _quiet() -> None:
    """Hide fakesnow's log of statements and logins, but not its errors."""
    fakesnow.server.logger.setLevel(logging.ERROR)
    for name in ("snowflake.connector", "sqlglot"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _parse_one(sql: str) -> Expr:
    """Parse a statement for fakesnow's server, which needs its kind.

    One that sqlglot does not know may be ours. If it is not, the cursor finds the error again.
    """
    try:
        return parse_one(sql)
    except (ProgrammingError, TokenError):
        return exp.Command(this=sql.split(maxsplit=1)[0].upper(), expression=sql)


def _app() -> Starlette:
    ours = [
        Route("/session/v1/login-request", _login, methods=["POST"]),
        Route("/session", _session, methods=["POST"]),
        Route("/queries/v1/query-request", _query, methods=["POST"]),
        Route("/queries/v1/abort-request", _abort, methods=["POST"]),
        Route("/queries/{query_id}/abort-request", _abort, methods=["POST"]),
        Route("/queries/{query_id}/result", _result, methods=["GET"]),
        Route("/monitoring/queries/{query_id}", _monitor, methods=["GET"]),
        Route("/local/upload/{ticket}", _upload, methods=["PUT"]),
        Route("/local/faults", _set_fault, methods=["POST"]),
        Route("/local/faults", _clear_faults, methods=["DELETE"]),
        Route("/local/counters", _counters, methods=["GET"]),
    ]
    return Starlette(routes=[*ours, *fakesnow.server.routes], lifespan=_lifespan)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    # One thread per statement, so that waiting statements do not block the one they wait for.
    anyio.to_thread.current_default_thread_limiter().total_tokens = MOST_STATEMENTS
    yield


def _server() -> Any:  # noqa: ANN401 - pyright takes fakesnow's for the type
    return fakesnow.server.shared_fs


def _account() -> Any:  # noqa: ANN401
    return _server().account


async def _body(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body)


async def _login(request: Request) -> JSONResponse:
    data = (await _body(request))["data"]
    try:
        if not any(data.get(key) for key in ("PASSWORD", "TOKEN")):
            raise ProgrammingError(
                msg="Incorrect username or password was specified.", errno=390100, sqlstate="08001"
            )
        return await run_in_threadpool(_open_session, request.query_params, data)
    except ProgrammingError as error:
        return _failure(error)


def _open_session(wanted: Any, data: dict[str, Any]) -> JSONResponse:  # noqa: ANN401
    session: Any = _server().connect()
    session.parameters.take(data.get("SESSION_PARAMETERS") or {})
    # Without the account's lock, because a login must not wait for a statement.
    session.user = unquoted(data.get("LOGIN_NAME") or "")
    session.role = roles.requested_role(session, wanted.get("roleName"))
    if session.user in session.account.grants.with_secondary_roles:
        session.secondary_roles = "ALL"
    session.warehouse = unquoted(name) if (name := wanted.get("warehouse")) else None
    session.log_in(wanted.get("databaseName"), wanted.get("schemaName"))
    token = secrets.token_urlsafe(32)
    fakesnow.server.sessions[token] = session
    return JSONResponse(
        {
            "data": {
                "token": token,
                "sessionId": session.number,
                "masterToken": secrets.token_urlsafe(32),
                "serverVersion": SERVER_VERSION,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": session.parameters.autocommit},
                    {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                    # 0: bound arrays are sent in the statement, and need no stage.
                    {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                ],
                "sessionInfo": {
                    "databaseName": session.database,
                    "schemaName": session.schema,
                    "warehouseName": session.warehouse,
                    "roleName": session.role,
                },
            },
            "success": True,
        }
    )


async def _session(request: Request) -> JSONResponse:
    """End a session, with its statements and its transaction."""
    session = fakesnow.server.sessions.get(request.headers.get("Authorization", "")[17:-1])
    answer = await fakesnow.server.session(request)
    if session is not None and request.query_params.get("delete"):
        await run_in_threadpool(_server().end, session)
    return answer


async def _query(request: Request) -> JSONResponse:
    """Run a statement once; answer when it ends, or that it is in progress.

    The connector gives up after 60 seconds and repeats the request, under the same requestId.
    """
    body = await _body(request)
    token = request.headers.get("Authorization", "")
    request_id = request.query_params.get("requestId") or str(uuid.uuid4())
    asked = _account().requests.get((token, request_id))
    if asked is None:
        query_id = str(uuid.uuid4())
        task = asyncio.create_task(_run(request, body, (request_id, query_id)))
        asked = Asked(token, request_id, query_id, bool(body.get("asyncExec")), task)
        _remember(asked)
    return await _answer(asked)


def _remember(asked: Asked) -> None:
    requests = _account().requests
    requests[(asked.token, asked.request_id)] = asked
    for key in [key for key, one in requests.items() if one.task.done()][:-MOST_ANSWERS]:
        del requests[key]


async def _answer(asked: Asked) -> JSONResponse:
    if not asked.is_async:
        await asyncio.wait({asked.task}, timeout=seconds_to_answer())
    if not asked.is_async and asked.task.done():
        return asked.task.result()
    data = {
        "getResultUrl": f"/queries/{asked.query_id}/result",
        "queryId": asked.query_id,
        "queryAbortsAfterSecs": 300,
        "progressDesc": None,
    }
    code = "333334" if asked.is_async else "333333"
    message = "Query execution in progress."
    return JSONResponse({"data": data, "code": code, "message": message, "success": True})


def _asked(request: Request, **wanted: str | None) -> Asked | None:
    """Return a session's request by its query_id or request_id."""
    token = request.headers.get("Authorization", "")
    return next(
        (
            asked
            for asked in list(_account().requests.values())
            if asked.token == token
            and all(getattr(asked, name) == value for name, value in wanted.items())
        ),
        None,
    )


async def _result(request: Request) -> JSONResponse:
    """Answer a poll for a statement that was in progress."""
    asked = _asked(request, query_id=request.path_params["query_id"])
    if asked is None:
        return _failure(
            ProgrammingError(
                msg=f"Statement {request.path_params['query_id']} not found",
                errno=709,
                sqlstate="02000",
            )
        )
    asked.is_async = False
    return await _answer(asked)


async def _monitor(request: Request) -> JSONResponse:
    """Report the status of a statement that was sent with `execute_async`."""
    asked = _asked(request, query_id=request.path_params["query_id"])
    if asked is None:
        return JSONResponse({"data": {"queries": []}, "success": True})
    query: dict[str, Any] = {"id": asked.query_id, "status": "RUNNING"}
    if asked.task.done():
        answer = json.loads(bytes(asked.task.result().body))
        query["status"] = "SUCCESS" if answer["success"] else "FAILED_WITH_ERROR"
        if not answer["success"]:
            query |= {"errorCode": answer["code"], "errorMessage": answer["message"]}
    return JSONResponse({"data": {"queries": [query]}, "success": True})


async def _abort(request: Request) -> JSONResponse:
    """Cancel a statement by its query id or request id."""
    query_id = request.path_params.get("query_id")
    wanted = (
        {"query_id": query_id}
        if query_id
        else {"request_id": (await _body(request)).get("requestId")}
    )
    asked = _asked(request, **wanted)
    running = _account().transactions
    if asked is not None:
        found = [one for one in list(running.running) if one.query_id == asked.query_id]
        await run_in_threadpool(running.cancel, found)
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})


async def _run(request: Request, body: dict[str, Any], ids: tuple[str, str]) -> JSONResponse:
    transactions.request.set(ids)
    try:
        session: Any = fakesnow.server.to_conn(fakesnow.server.to_token(request))
        if session.is_aborted:
            raise ProgrammingError(
                msg="Session no longer exists.  New login required to access the service.",
                errno=390111,
                sqlstate="08001",
            )
        if not stages.is_put(body["sqlText"]):
            return await fakesnow.server.query_request(request)
        address = f"{request.url.scheme}://{request.url.netloc}"
        return await run_in_threadpool(_put, session, body, address)
    except ProgrammingError as error:
        return _failure(error)
    except fakesnow.server.ServerError as error:
        answer = {"data": None, "code": error.code, "message": error.message, "success": False}
        return JSONResponse(answer, status_code=error.status_code)
    except Exception as error:
        return _failure(internal_error(error))


def _put(session: Session, body: dict[str, Any], address: str) -> JSONResponse:
    bindings = body.get("bindings") or {}
    binding = next((binding["value"] for binding in bindings.values()), None)
    with session.account.lock:
        statement = stages.parse_put(body["sqlText"], binding)
        return JSONResponse({"data": stages.put(session, statement, address), "success": True})


def _failure(error: ProgrammingError) -> JSONResponse:
    code = f"{error.errno:06d}"
    data = {"errorCode": code, "sqlState": error.sqlstate}
    return JSONResponse({"data": data, "code": code, "message": error.raw_msg, "success": False})


async def _upload(request: Request) -> Response:
    """Write the file of a ticket's holder to disk, piece by piece.

    It appears on its stage when all of it is there. A connector that is killed leaves nothing.
    """
    account = _account()
    upload = account.stages.uploads.get(request.path_params["ticket"])
    if upload is None:
        return Response(status_code=403)
    sent = account.stages.new_folder() / ".sent"
    breaks = account.faults.strikes("put_breaks_halfway")
    try:
        await _receive(request, sent, breaks=breaks)
    except ClientDisconnect:
        shutil.rmtree(sent.parent, ignore_errors=True)
        raise
    if breaks:
        await run_in_threadpool(account.stages.install, upload, sent)
        # An error that the connector does not retry: the statement fails.
        return Response(status_code=403)
    encryption = _encryption(request, upload)
    await run_in_threadpool(account.stages.install, upload, sent, encryption)
    await run_in_threadpool(account.save)
    return Response()


async def _receive(request: Request, sent: Path, *, breaks: bool) -> None:
    """Write a request's body to a file, or only the first half if the fault is on."""
    left = int(request.headers["Content-Length"]) // 2 if breaks else None
    with sent.open("wb") as file:
        async for chunk in request.stream():
            if left is not None:
                chunk = chunk[:left]
                left -= len(chunk)
            await run_in_threadpool(file.write, chunk)


def _encryption(request: Request, upload: Upload) -> dict[str, Any] | None:
    if upload.stage.encryption != FULL:
        return None
    return json.loads(request.headers["x-goog-meta-encryptiondata"])


async def _set_fault(request: Request) -> Response:
    fault = await request.json()
    try:
        _account().faults.set(fault["name"], fault.get("times", 1))
    except ValueError as error:
        return JSONResponse({"message": str(error)}, status_code=400)
    return Response(status_code=204)


async def _clear_faults(_request: Request) -> Response:
    _account().faults.clear()
    return Response(status_code=204)


async def _counters(_request: Request) -> JSONResponse:
    account = _account()
    own = {"pid": os.getpid(), "puts": account.stages.puts, "rows": account.rows}
    return JSONResponse({**own, **account.counters})
