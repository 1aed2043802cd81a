#!/bin/sh
# What `make demo` runs: stage the model, build and test the project, show what it found.
set -eu
cd "$(dirname "$0")"
target=${1:-duckdb}
# The connector warns where it finds another chardet than it knows.
export PYTHONWARNINGS="ignore:urllib3"

dbt --quiet deps --target "$target"
python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write --target "$target"
dbt build --target "$target"
python show_results.py --target "$target"
