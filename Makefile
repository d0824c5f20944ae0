# make run    install if needed, then serve the sample company's handbook on http://127.0.0.1:8080
# make test   install if needed, then lint, check formats and types, and run the tests
# make check  lint, formats and types alone
# make lock   resolve pyproject.toml anew and pin what was found in requirements.lock
# make loop   a fresh company asks, votes and corrects; train, export, gate, promote, and ask again (quiet machine)
# make bench  print the benchmarks' tables (quiet machine)

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: run test check lock loop bench clean

run: $(INSTALLED)
	@$(BIN)/quantahr serve

test: check
	$(BIN)/pytest

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

loop: $(INSTALLED)
	$(BIN)/python -m trainer.loop

bench: $(INSTALLED)
	$(BIN)/python -m bench

# PyTorch comes first and by exact version: any other request may replace it with a build for GPUs of several gigabytes.
$(INSTALLED): requirements.lock pyproject.toml
	@PYTHON=$(PYTHON) sh config/preflight.sh
	@echo "Installing QuantaHR; the first time that takes 5 to 10 minutes, most of them compiling llama.cpp."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@$(BIN)/python -m exporter.converter
	@touch $(INSTALLED)

lock:
	@PYTHON=$(PYTHON) sh config/preflight.sh
	rm -rf .lock-venv
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet --upgrade pip
	.lock-venv/bin/python -m pip install $$(grep -o 'torch==[0-9.]*' pyproject.toml | head -n 1)
	.lock-venv/bin/python -m pip install --editable '.[dev]'
	.lock-venv/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	rm -rf .lock-venv

clean:
	rm -rf $(VENV) .lock-venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
