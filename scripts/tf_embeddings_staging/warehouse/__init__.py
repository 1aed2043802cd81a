"""Putting an artifact where dbt's target wants it, and writing its pin."""
