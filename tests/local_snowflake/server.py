"""The HTTP server that the connector speaks to: fakesnow's, over our sessions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import fakesnow.server
import uvicorn
from local_snowflake.session import Server


@contextmanager
def serve(port: int = 0) -> Iterator[int]:
    """Serve a new, empty account on the loopback interface; yields the port."""
    fakesnow.server.shared_fs = Server()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(fakesnow.server.app, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
