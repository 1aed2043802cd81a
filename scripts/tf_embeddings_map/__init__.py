"""A map of the embeddings of a dbt model: the script map_embeddings.py.

`reading` asks dbt for the rows, `projection` gives each of them a place, `points` prepares what is
drawn, and `page`, `picture` and `tables` write it.
"""
