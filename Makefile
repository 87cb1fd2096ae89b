# Everything one does with this checkout. Options for the command go in ARGS:
#     make up ARGS="--http-port 9000"      make test ARGS="tests/unit -k topics"

.DEFAULT_GOAL := help
.PHONY: help demo up test golden lint format types bench fuzz soak attacks screenshots audit lock build clean setup setup-test

bin := .venv/bin
python_files := $(wildcard src tests bench examples device)

# Many tests wait for real servers: more of them at once than there are cores.
test_workers := 4

# The same lock on every machine: no host names or paths of the one it was made on.
compile := UV_CUSTOM_COMPILE_COMMAND="make lock" $(bin)/uv pip compile --quiet --universal \
	--generate-hashes --no-emit-index-url --no-annotate $(ARGS)

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: setup ## start everything with a small simulated fleet on this machine
	@$(bin)/mooring up --demo $(ARGS)

up: setup ## start the broker, ingest and HTTP without devices
	@$(bin)/mooring up $(ARGS)

# pytest keeps the assertions it has rewritten: each worker reads them in half the time.
test: setup-test ## run the tests (ARGS="tests/unit -k name" for some)
	@PYTHONDONTWRITEBYTECODE= $(bin)/pytest $(if $(ARGS),,--numprocesses $(test_workers) --dist loadfile --no-loadscope-reorder) $(ARGS)

golden: setup-test ## write the expected sentences again (tests/golden)
	rm -f tests/golden/sentences.txt
	MOORING_GOLDEN=write $(bin)/pytest -q $$(grep -rl check_sentences tests --include='test_*.py')

lint: setup-test ## check style, formatting and wording
	$(bin)/ruff check $(python_files)
	$(bin)/ruff format --check $(python_files)
	$(bin)/python scripts/check_words.py

format: setup-test ## fix formatting and what ruff can fix
	$(bin)/ruff check --fix $(python_files)
	$(bin)/ruff format $(python_files)

types: setup-test ## check types with mypy in strict mode
	$(bin)/mypy
	$(if $(wildcard device/pyproject.toml),cd device && ../$(bin)/mypy)

bench: setup-test ## measure throughput and latency on this machine
	$(bin)/python -m bench $(ARGS)

fuzz: setup-test ## feed the plugin for Mosquitto random input (ARGS="SECONDS TARGET"; needs clang)
	$(bin)/python scripts/fuzz_plugin.py $(ARGS)

soak: setup-test ## run the long tests, which `make test` leaves out
	$(bin)/pytest -m soak --timeout=0 $(ARGS)

attacks: setup-test ## try every attack in each authority, on each database; print a table
	$(bin)/python -m tests.attacks $(ARGS)

screenshots: setup-test ## take pictures of every page of the dashboard (ARGS=FOLDER; ARGS=--docs: those of docs/images)
	$(bin)/python -m tests.browser.screenshots $(ARGS)

audit: setup-test ## check our dependencies for known vulnerabilities (needs the network)
	$(bin)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock $(ARGS)

lock: setup-test ## rebuild both lock files (ARGS=--upgrade for newer versions)
	$(compile) --output-file requirements.lock pyproject.toml
	$(compile) --group dev --extra notify --extra parquet --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

build: setup-test ## build the wheel and source archive in dist/
	$(bin)/uv build --build-constraints requirements-dev.lock --require-hashes $(ARGS)

clean: ## remove build results; keeps your data (.mooring)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(python_files) -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@scripts/setup.sh --for run

setup-test:
	@scripts/setup.sh --for test
