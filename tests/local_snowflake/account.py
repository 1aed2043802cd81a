"""The state of a local Snowflake account, except its tables."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from local_snowflake.faults import Faults
from local_snowflake.functions import Functions
from local_snowflake.grants import Grants, Name
from local_snowflake.packages import Packages
from local_snowflake.stages import Stages
from local_snowflake.statements import qualified
from local_snowflake.transactions import SECONDS_BETWEEN_LOOKS, Statement, Transactions

if TYPE_CHECKING:
    from local_snowflake.keep import Keep
    from local_snowflake.server import Asked
    from local_snowflake.session import Session


@dataclass
class Account:
    """The state that all sessions share."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    stages: Stages = field(default_factory=Stages)
    grants: Grants = field(default_factory=Grants)
    faults: Faults = field(default_factory=Faults)
    functions: Functions = field(default_factory=Functions)
    packages: Packages = field(default_factory=Packages)
    # What `GET /local/counters` returns, except the uploads.
    counters: Counter[str] = field(default_factory=Counter)
    # How many rows went to each function's workers, by its full name.
    rows: Counter[str] = field(default_factory=Counter)
    sessions: WeakSet[Session] = field(default_factory=WeakSet)
    # Called with the name of each dropped schema (two parts) and database (one).
    on_drop: list[Callable[[Name], None]] = field(default_factory=list)
    transactions: Transactions = field(default_factory=Transactions)
    # Clients' requests, by token and request id.
    requests: dict[tuple[str, str], Asked] = field(default_factory=dict)
    keep: Keep | None = None
    # The statement that has the lock.
    executing: Statement | None = None

    def __post_init__(self) -> None:
        self.on_drop.append(self.functions.drop_in)
        self._noting = threading.Lock()

    @contextmanager
    def held(self, statement: Statement) -> Iterator[None]:
        """Run one statement at a time; canceling a waiting one ends its wait."""
        while not self.lock.acquire(timeout=SECONDS_BETWEEN_LOOKS):
            statement.check()
        before = self.executing
        try:
            statement.check()
            self.executing = statement
            yield
        finally:
            self.executing = before
            self.lock.release()

    def save(self) -> None:
        """Save changes to the folder that keeps the account, if there is one."""
        if self.keep is not None:
            with self._noting:
                self.keep.save(self)

    def note_rows(self, function: Name, count: int) -> None:
        """Count rows that go to a function's workers; called from any of DuckDB's threads."""
        with self._noting:
            self.rows[qualified(function)] += count
