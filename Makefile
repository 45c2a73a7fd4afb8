# What a newcomer needs: `make demo` to see it, `make test` and `make check` before a commit.
# Everything is made on the first call: Python 3.11 or newer, pip and make are enough.

PYTHON ?= python3
DATABASES ?= sqlite,postgresql,mariadb
BIN := .venv/bin

.PHONY: demo test check format soak mutants lock clean

demo: .venv/.stamp
	@exec $(BIN)/sigra demo

test: programs .venv/.stamp
	@$(BIN)/python tools/run_tests.py $(DATABASES)

check: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What takes longer than a commit should wait: distributions of time, kill runs, load.
soak: programs .venv/.stamp
	@$(BIN)/python -m pytest -m soak --databases=$(DATABASES)

# Delete one security rule at a time and see its tests red: `make mutants ONLY=name` for one.
mutants: programs .venv/.stamp
	@$(BIN)/python -m tests.mutants.run --databases=$(DATABASES) $(ONLY)

# Pin the newest of everything that pyproject.toml allows.
lock: .venv/.stamp
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-packages --no-emit-workspace --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf .venv .venv-* .*_cache .hypothesis

.PHONY: programs
programs:
	@$(PYTHON) tools/programs.py $(DATABASES)

.venv/.stamp: requirements.lock pyproject.toml $(wildcard plugins-contrib/*/pyproject.toml)
	@$(PYTHON) tools/environment.py .venv
