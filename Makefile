# Everything that contributors and first-time users run. `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help

TARGET ?= duckdb
VENV ?= .venv
# The first Python on the path that the package supports.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)

BIN := $(abspath $(VENV))/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export NO_MKDOCS_2_WARNING := 1

# The lock files are complete, so pip resolves nothing (`--no-deps`). A stamp file in the environment
# names the digest of its lock file, so that a changed lock file installs the environment again.
digest = $(firstword $(shell cksum < $(1)))
DEMO_ENV := $(VENV)/.requirements-$(call digest,requirements.lock)
DEV_ENV := $(VENV)/.requirements-dev-$(call digest,requirements-dev.lock)
# What Snowflake's Anaconda channel has, in an environment inside the other.
ANACONDA_ENV := $(VENV)/.anaconda-$(call digest,requirements-anaconda.lock)
# What a run on DuckDB needs, without TensorFlow, in a second one.
LIGHT_ENV := $(VENV)/.light-$(call digest,requirements-light.lock)
# The other versions of dbt that the tests run, each in an environment of its own.
DBT_1_11_ENV := $(VENV)/.dbt-1.11-$(call digest,requirements-dbt-1.11.lock)
DBT_V2_ENV := $(VENV)/.dbt-v2-$(call digest,requirements-dbt-v2.lock)
# The generator of the documentation site.
DOCS_ENV := $(VENV)/.docs-$(call digest,requirements-docs.lock)
# Where dbt v2 looks for its Snowflake driver, below $XDG_CACHE_HOME. Without it, v2 downloads one.
V2_DRIVER := com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu/libadbc_driver_snowflake-0.21.0.dev+dbt0.21.13.so
# The libraries that we compare with: only for `make bench-peers`.
PEERS_ENV := $(VENV)/.peers-$(call digest,bench/peers.txt)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate

PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
	--no-loadscope-reorder --durations=25

ON_1_12 := --ignore-glob='*/test_dbt_*.py'

.PHONY: demo snowflake-shell test test-all test-dbt-1.11 test-dbt-v2 lint format docs docs-serve bench bench-peers lock clean help

demo: $(if $(filter duckdb,$(TARGET)),$(DEMO_ENV),$(DEV_ENV))  ## Stage a real model, build and test the demo project, show search results
	PATH="$(BIN):$$PATH" $(if $(filter local_snowflake,$(TARGET)),python tests/local_snowflake run --) demo/run.sh $(TARGET)

snowflake-shell: $(DEV_ENV)  ## Serve a local Snowflake until Ctrl-C, and print the dbt profile for it
	$(BIN)/python tests/local_snowflake serve --profile $(if $(KEEP),--keep "$(KEEP)")

test: $(DEV_ENV) $(ANACONDA_ENV) $(LIGHT_ENV)  ## Run the tests on dbt 1.12, without the exhaustive ones
	$(PYTEST) $(ON_1_12) -m "not exhaustive"

test-all: $(DEV_ENV) $(ANACONDA_ENV) $(LIGHT_ENV)  ## Run every test on dbt 1.12
	$(PYTEST) $(ON_1_12)

test-dbt-1.11: $(DEV_ENV) $(DBT_1_11_ENV)  ## Run a project and the demo with dbt 1.11
	TF_EMBEDDINGS_DBT_1_11="$(abspath $(VENV))/dbt-1.11" $(PYTEST) \
		tests/test_dbt_1_11.py tests/test_dbt_init.py -k "not v2"

test-dbt-v2: $(DEV_ENV) $(DBT_V2_ENV)  ## Run a project and the demo with dbt v2, on Linux x86-64
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then set -x; \
		TF_EMBEDDINGS_DBT_V2="$(abspath $(VENV))/dbt-v2" $(PYTEST) \
		tests/test_dbt_v2*.py tests/test_dbt_init.py -k "not 1.11"; \
	else echo "The tests of dbt v2 run only on Linux x86-64: skipped."; fi

lint: $(DEV_ENV)  ## Check style and types of Python and SQL, and that dbt v2 reads the Jinja alike
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/sqlfluff lint --disable-progress-bar macros models demo/models
	$(BIN)/python .ci/lint_jinja.py

format: $(DEV_ENV)  ## Rewrite Python and SQL in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar macros models demo/models

# Not with --quiet, which would hide the warnings that --strict counts.
docs: $(DEV_ENV) $(DOCS_ENV)  ## Write the reference pages and build the documentation site, offline and with its links checked
	$(BIN)/python .ci/site_pages.py
	$(VENV)/docs/bin/mkdocs build --strict

docs-serve: $(DEV_ENV) $(DOCS_ENV)  ## Serve the documentation site, and build it again at each change
	$(BIN)/python .ci/site_pages.py
	$(VENV)/docs/bin/mkdocs serve

bench: $(DEV_ENV)  ## Measure speed, models, store and search, compared with the alternatives; 45 minutes
	$(BIN)/python bench/speed.py --peers $(VENV)/peers
	$(BIN)/python bench/models.py --peers $(VENV)/peers
	$(BIN)/python bench/store.py
	$(BIN)/python bench/search.py

bench-peers: $(PEERS_ENV)  ## Install Sentence Transformers, ONNX Runtime, Model2Vec and WordLlama, and compare with them too
	$(MAKE) bench

lock: $(DEV_ENV)  ## Rewrite the lock files from requirements*.txt and pyproject.toml
	$(COMPILE) --upgrade requirements-staging.txt --group dbt --group snowflake --group dev \
		-o requirements-dev.lock
	$(COMPILE) requirements-staging.txt --group dbt -c requirements-dev.lock -o requirements.lock
	$(COMPILE) requirements.txt --group dbt -c requirements-dev.lock -o requirements-light.lock
	$(COMPILE) --upgrade requirements.txt --group dbt-1.11 -o requirements-dbt-1.11.lock
	$(COMPILE) --upgrade --group dbt-v2 -o requirements-dbt-v2.lock
	$(COMPILE) --upgrade --group anaconda -o requirements-anaconda.lock
	$(COMPILE) --upgrade --group docs -o requirements-docs.lock

clean:  ## Remove everything that the other targets made
	rm -rf $(VENV) .cache site .pytest_cache .ruff_cache .hypothesis
	cd demo && rm -rf assets target dbt_packages logs demo.duckdb demo.duckdb.wal tf_embeddings_stage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## List the targets
	@awk 'BEGIN { FS = ":.*  ## " } /^[a-z0-9.-]+:.*  ## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "tf_embeddings needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO_ENV): | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	rm -f $(VENV)/.requirements-[0-9]*
	touch $@

$(DEV_ENV): $(DEMO_ENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	rm -f $(VENV)/.requirements-dev-*
	touch $@

# TensorFlow 2.17 has no release for Python 3.13; tests that need it skip there.
$(ANACONDA_ENV): | $(DEV_ENV)
	rm -rf $(VENV)/anaconda $(VENV)/.anaconda-*
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
		$(BIN)/python -m venv $(VENV)/anaconda && $(VENV)/anaconda/bin/python -m pip install --quiet \
		--no-deps --require-hashes -r requirements-anaconda.lock; fi
	touch $@

$(LIGHT_ENV): | $(DEV_ENV)
	rm -rf $(VENV)/light $(VENV)/.light-*
	$(BIN)/python -m venv $(VENV)/light
	$(VENV)/light/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-light.lock
	touch $@

$(DBT_1_11_ENV): | $(DEV_ENV)
	rm -rf $(VENV)/dbt-1.11 $(VENV)/.dbt-1.11-*
	$(BIN)/python -m venv $(VENV)/dbt-1.11
	$(VENV)/dbt-1.11/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-dbt-1.11.lock
	touch $@

$(DBT_V2_ENV): | $(DEV_ENV)
	rm -rf $(VENV)/dbt-v2 $(VENV)/.dbt-v2-*
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(BIN)/python -m venv $(VENV)/dbt-v2 && \
		$(VENV)/dbt-v2/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-dbt-v2.lock && \
		mkdir -p $(dir $(VENV)/dbt-v2/cache/$(V2_DRIVER)) && \
		cp $(VENV)/dbt-v2/lib/python3*/site-packages/adbc_driver_snowflake/*.so $(VENV)/dbt-v2/cache/$(V2_DRIVER); fi
	touch $@

$(DOCS_ENV): | $(VENV)/bin/python
	rm -rf $(VENV)/docs $(VENV)/.docs-*
	$(BIN)/python -m venv $(VENV)/docs
	$(VENV)/docs/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-docs.lock
	touch $@

$(PEERS_ENV): | $(VENV)/bin/python
	rm -rf $(VENV)/peers $(VENV)/.peers-*
	$(BIN)/python -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet -r bench/peers.txt
	touch $@
