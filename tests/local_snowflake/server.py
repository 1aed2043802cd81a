"""The HTTP server that the connector speaks to: fakesnow's, with our login, PUT and faults."""

from __future__ import annotations

import gzip
import json
import logging
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from local_snowflake import roles, stages
from local_snowflake.errors import internal_error
from local_snowflake.session import Server, Session
from local_snowflake.stages import FULL, Upload
from local_snowflake.statements import unquoted

LOOPBACK = "127.0.0.1"
DATABASE = "DEMO"


@contextmanager
def serve(port: int = 0) -> Iterator[int]:
    """Serve a new account on the loopback interface; yields the port.

    It holds one database, DEMO. Nothing of it is left when the block ends.
    """
    _quiet()
    account = Server()
    fakesnow.server.shared_fs = account
    fakesnow.server.parse_one = _parse_one  # pyright: ignore[reportPrivateImportUsage]
    account.connect().cursor().execute(f"create database {DATABASE}")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()  # from here on nobody who knows the port is refused
        config = uvicorn.Config(_app(), log_level="error", access_log=False, lifespan="off")
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
    """Keep fakesnow's log of statements and logins off the terminal; its errors stay."""
    fakesnow.server.logger.setLevel(logging.ERROR)
    for name in ("snowflake.connector", "sqlglot"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _parse_one(sql: str) -> Expr:
    """Parse a statement for fakesnow's server, which wants to know what kind it is.

    One that sqlglot does not know may be ours. If it is not, the cursor finds the error again.
    """
    try:
        return parse_one(sql)
    except (ProgrammingError, TokenError):
        return exp.Command(this=sql.split(maxsplit=1)[0].upper(), expression=sql)


def _app() -> Starlette:
    ours = [
        Route("/session/v1/login-request", _login, methods=["POST"]),
        Route("/queries/v1/query-request", _query, methods=["POST"]),
        Route("/local/upload/{ticket}", _upload, methods=["PUT"]),
        Route("/local/faults", _set_fault, methods=["POST"]),
        Route("/local/faults", _clear_faults, methods=["DELETE"]),
        Route("/local/counters", _counters, methods=["GET"]),
    ]
    return Starlette(routes=[*ours, *fakesnow.server.routes])


def _account() -> Any:  # noqa: ANN401 - pyright takes fakesnow's for the type
    return fakesnow.server.shared_fs.account  # pyright: ignore[reportAttributeAccessIssue]


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
    parameters = data.get("SESSION_PARAMETERS") or {}
    autocommit = parameters.get("AUTOCOMMIT", True)
    session: Any = fakesnow.server.shared_fs.connect(autocommit=autocommit)
    with session.account.lock:
        session.user = unquoted(data.get("LOGIN_NAME") or "")
        session.role = roles.requested_role(session, wanted.get("roleName"))
        session.warehouse = unquoted(name) if (name := wanted.get("warehouse")) else None
        session.log_in(wanted.get("databaseName"), wanted.get("schemaName"))
    token = secrets.token_urlsafe(32)
    fakesnow.server.sessions[token] = session
    return JSONResponse(
        {
            "data": {
                "token": token,
                "masterToken": secrets.token_urlsafe(32),
                "serverVersion": SERVER_VERSION,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": autocommit},
                    {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                    # 0: bound arrays travel in the statement, and need no stage.
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


async def _query(request: Request) -> JSONResponse:
    body = await _body(request)
    try:
        if not stages.is_put(body["sqlText"]):
            return await fakesnow.server.query_request(request)
        session: Any = fakesnow.server.to_conn(fakesnow.server.to_token(request))
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
    """Take a file for the holder of a ticket: to disk, piece by piece.

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
        # What the connector does not try again: it gives the statement up.
        return Response(status_code=403)
    encryption = _encryption(request, upload)
    await run_in_threadpool(account.stages.install, upload, sent, encryption)
    return Response()


async def _receive(request: Request, sent: Path, *, breaks: bool) -> None:
    """Write a request's body to a file; only the first half of it if it breaks."""
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
