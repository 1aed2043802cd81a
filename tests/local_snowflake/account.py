"""What one local Snowflake holds beside its tables."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from local_snowflake.faults import Faults
from local_snowflake.functions import Functions
from local_snowflake.grants import Grants, Name
from local_snowflake.packages import Packages
from local_snowflake.queries import Transactions
from local_snowflake.stages import Stages
from local_snowflake.statements import qualified

if TYPE_CHECKING:
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
    # What `GET /local/counters` tells, beside the uploads.
    counters: Counter[str] = field(default_factory=Counter)
    # How many rows went to the workers of each function, by its whole name.
    rows: Counter[str] = field(default_factory=Counter)
    sessions: WeakSet[Session] = field(default_factory=WeakSet)
    # Called with the name of each dropped schema (two parts) and database (one).
    on_drop: list[Callable[[Name], None]] = field(default_factory=list)
    transactions: Transactions = field(init=False)

    def __post_init__(self) -> None:
        self.transactions = Transactions(self.lock)
        self.on_drop.append(self.functions.drop_in)
        self._noting = threading.Lock()

    def note_rows(self, function: Name, count: int) -> None:
        """Count rows that go to a function's workers, from whichever of DuckDB's threads."""
        with self._noting:
            self.rows[qualified(function)] += count
