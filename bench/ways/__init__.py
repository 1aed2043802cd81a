"""The ways to embed that are measured; `worker.py` runs one of them in a process of its own."""
