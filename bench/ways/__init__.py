"""The ways to embed that we compare; `worker.py` runs one of them in its own process."""
