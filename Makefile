# `make demo` and `make test` each do all that they need on a machine with Python, git and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo test lint ui ci-pipeline bench-lineage bench-data bench-train lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(READY) ## make .venv with everything in requirements.lock

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null \
		|| { echo "there is no $(PYTHON) here: install Python 3.11 or newer, or name one, as in make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: name a newer one, as in make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## run the pipeline on the generated sample, register the model, promote it
	$(BIN)/dvc repro
	$(BIN)/lineage sync
	$(BIN)/cocopipe promote
	$(BIN)/dvc metrics show

test: $(READY) ## run every test
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(READY) ## ruff, mypy and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY) ## open the project's runs in MLflow's web page, at PORT
	@$(BIN)/cocopipe ui $(if $(PORT),--port $(PORT))

ci-pipeline: $(READY) ## rerun the pipeline as CI does, and leave the results in git, see docs/ci.md
	PATH="$(CURDIR)/$(BIN):$$PATH" bin/ci-pipeline

bench-lineage: $(READY) ## how long the questions of lineage take with 10,000 runs
	$(BIN)/python -m benchmarks.lineage

bench-data: $(READY) ## what it costs to convert a dataset, to keep versions of it and to read it
	$(BIN)/python -m benchmarks.data --json docs/bench_data.json --plot docs/bench_data.png

bench-train: $(READY) ## how fast a detector is trained beside torchvision's own way, and what it waits for
	$(BIN)/python -m benchmarks.training --json docs/bench_train.json

lock: $(READY) ## pin every dependency anew, for all platforms
	$(BIN)/uv pip compile pyproject.toml --extra pipeline --extra onnx --extra dev --universal --python-version 3.11 \
		--no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## remove what can be made again; DVC's cache, mlflow.db and mlartifacts stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf data/raw data/train data/val data/test models/detector reports
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
