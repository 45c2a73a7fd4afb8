# What a newcomer needs: `make demo` to see it, `make test` and `make check` before a commit.
# Everything is made on the first call: Python 3.11 or newer, pip and make are enough.

PYTHON ?= python3
DATABASES ?= sqlite,postgresql,mariadb
BIN := .venv/bin

.PHONY: demo test check format soak mutants bench docs lock clean environment programs

demo: environment
	@exec $(BIN)/sigra demo

test: programs environment
	@$(BIN)/python tools/run_tests.py $(DATABASES)

check: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What takes longer than a commit should wait: distributions of time, kill runs, load; every plugin's tests everywhere.
soak: programs environment
	@$(BIN)/python -m pytest -m soak --databases=$(DATABASES)
	@$(BIN)/python -m pytest --everywhere --databases=$(DATABASES) tests/plugins tests/distributions plugins-contrib

# Delete one security rule at a time and see its tests red: `make mutants ONLY=name` for one.
mutants: programs environment
	@$(BIN)/python -m tests.mutants.run --databases=$(DATABASES) $(ONLY)

# What a signed-in request costs beside raw drivers and a peer: `make bench PARTS=http` for one part.
bench: environment .venv-bench/.stamp
	@$(PYTHON) tools/programs.py postgresql
	@$(BIN)/python -m bench $(PARTS)

# The peer wants another SQLAlchemy than ours.
.venv-bench/.stamp: bench/requirements.txt
	@$(PYTHON) -m venv --without-pip .venv-bench
	@$(BIN)/python -m pip --python=.venv-bench/bin/python install --quiet --requirement=bench/requirements.txt
	@touch $@

# The site, in docs/_build; every warning is an error, and the references are written anew from the code.
docs: environment
	@$(BIN)/python -m tools.document
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

# Pin the newest of everything that pyproject.toml allows.
lock: environment
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-packages --no-emit-workspace --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf .venv .venv-* .*_cache .hypothesis docs/_build

# Costs nothing when nothing has changed since.
environment:
	@$(PYTHON) tools/environment.py .venv

programs:
	@$(PYTHON) tools/programs.py $(DATABASES)
