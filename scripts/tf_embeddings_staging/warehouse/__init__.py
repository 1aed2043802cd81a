"""Put an artifact on the stage of dbt's target, and write its pin."""
