"""Building an artifact: from a fetched model to one zip that is probed."""
