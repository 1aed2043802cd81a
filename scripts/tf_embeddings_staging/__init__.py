"""The staging CLI: from a model's source to an artifact on a stage, and its pin."""

from __future__ import annotations
