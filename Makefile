PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check slow clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed ## A whole search on real images, without network, in a few minutes
	bash examples/demo.sh $(BIN)/paretonas

test: .venv/installed ## The test suite
	$(BIN)/pytest -n 2

check: .venv/installed ## Style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

slow: .venv/installed ## The long tests
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache demo-runs
