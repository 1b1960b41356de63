PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check slow postgres bench-strategies clean

PARETONAS_DATA ?= ../shared/data

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed ## A whole search on real images, without network, in a few minutes
	bash examples/demo.sh $(BIN)/paretonas

test: .venv/installed ## The test suite
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/installed ## Style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

slow: .venv/installed ## The long tests
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,litert,executorch,ray]'
	$(BIN)/pytest -m slow

postgres: ## PostgreSQL's server from Debian, which the tests start in a folder of their own; without it they are skipped
	apt-get install --yes --no-install-recommends postgresql

bench-strategies: .venv/installed ## Strategies on tables, beside those of other packages: about an hour on two cores
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/strategies.py $(PARETONAS_DATA)/nas_tables docs/results/strategies

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache demo-runs
