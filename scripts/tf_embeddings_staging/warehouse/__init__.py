"""Putting an artefact where dbt's target wants it, and writing its pin."""
