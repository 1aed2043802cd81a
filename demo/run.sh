#!/bin/sh
# `make demo` runs this: stage the model, build and test the project, draw a map, show the results.
set -eu
cd "$(dirname "$0")"
target=${1:-duckdb}
# Silence the connector's warning about the version of chardet.
export PYTHONWARNINGS="ignore:urllib3"

dbt --quiet deps --target "$target"
python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write --target "$target"
dbt build --target "$target"
mkdir -p assets
python dbt_packages/tf_embeddings/scripts/map_embeddings.py --target "$target" \
  --model glosses_embedded --label lexname --title "A dictionary, by meaning" --out assets/map.html \
  --highlight noun.animal --highlight noun.food --highlight noun.plant --highlight noun.body \
  --highlight noun.feeling --highlight noun.time --highlight noun.location \
  --highlight noun.communication
python show_results.py --target "$target"
echo "A map of the definitions: open demo/assets/map.html in a browser."
