# One command for each thing a developer does; CI (.ci/run) uses the same ones.
# They run in .venv, in which requirements/development.txt and this checkout are installed first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VERSION = $(shell $(BIN)/python -c 'import chatservice; print(chatservice.__version__)')

.PHONY: help check unit test coverage faults benchmarks docs lock audit dist release

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

check: $(INSTALLED) ## lint, formatting and types: seconds
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

unit: $(INSTALLED) ## the tests that need no running server: seconds
	$(BIN)/pytest tests/unit

test: $(INSTALLED) ## all tests but the faults: minutes
	$(BIN)/pytest

coverage: $(INSTALLED) ## the same, and which lines and branches they reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

faults: $(INSTALLED) ## hostile clients and faults: minutes (CHAT_FAULTS=long: all of them at full length)
	$(BIN)/pytest -n 0 -m faults tests/faults

benchmarks: $(INSTALLED) ## speed, beside other servers: some 20 minutes
	$(BIN)/python -m tests.benchmarks

# The types of a dataclass's fields that are imported for type checking only.
PDOC_CANNOT := -W 'ignore:Error parsing type annotation:UserWarning'

docs: $(INSTALLED) ## the API's documentation, in build/api
	rm -rf build/api
	$(BIN)/python -W error::UserWarning $(PDOC_CANNOT) -m pdoc --output-directory build/api chatservice

LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE) pyproject.toml

lock: $(BIN)/uv ## requirements/*.txt, from pyproject.toml (UPGRADE=--upgrade: the newest versions)
	$(LOCK) --extra docs --extra release --extra test --output-file requirements/development.txt
	$(LOCK) --extra accounts --extra cluster --extra metrics --extra tls --extra web --constraint requirements/development.txt \
		--output-file requirements/server.txt

audit: $(INSTALLED) ## known vulnerabilities of what is locked (asks PyPI)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes \
		-r requirements/server.txt -r requirements/development.txt

dist: $(INSTALLED) ## sdist and wheel in dist/, checked, and tried in an empty environment
	rm -rf dist build/empty
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install --quiet dist/*.whl
	cd build && empty/bin/twistd --help | grep -F 'chat  '
	cd build && empty/bin/python -m chatservice.client --help >/dev/null
	build/empty/bin/pip install --quiet --require-hashes --requirement requirements/server.txt
	build/empty/bin/pip check

release: $(INSTALLED) ## dist, and a tag for the version in chatservice/__init__.py
	@test -z "$$(git status --porcelain)" || { echo 'there is something uncommitted' >&2; exit 1; }
	@! git rev-parse --quiet --verify refs/tags/v$(VERSION) >/dev/null || { echo 'v$(VERSION) exists' >&2; exit 1; }
	@grep -q '^## \[$(VERSION)\] - ' CHANGELOG.md || \
		{ echo 'CHANGELOG.md has no section with a date for $(VERSION)' >&2; exit 1; }
	$(MAKE) dist
	git tag --annotate v$(VERSION) --message 'Version $(VERSION)'
	@echo 'Now: git push origin v$(VERSION) && $(BIN)/twine upload dist/*'

$(INSTALLED): pyproject.toml requirements/development.txt | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes --requirement requirements/development.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(BIN)/uv: | $(BIN)/python
	$(BIN)/pip install --quiet uv

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
