"""A local Snowflake that is as strict as the real one; see README.md."""
