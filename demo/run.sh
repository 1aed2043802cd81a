#!/bin/sh
# `make demo` runs this: stage the model, build and test the project, show the results.
set -eu
cd "$(dirname "$0")"
target=${1:-duckdb}
# Silence the connector's warning about the version of chardet.
export PYTHONWARNINGS="ignore:urllib3"

dbt --quiet deps --target "$target"
python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write --target "$target"
dbt build --target "$target"
python show_results.py --target "$target"
