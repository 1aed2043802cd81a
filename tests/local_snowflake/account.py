"""What one local Snowflake holds beside its tables."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Account:
    """The state that all sessions share."""

    lock: threading.RLock = field(default_factory=threading.RLock)
