"""Making a SavedModel of a model in another format."""
