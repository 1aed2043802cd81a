"""Building an artefact: from a fetched model to one zip that is probed."""
