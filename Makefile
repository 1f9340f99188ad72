# What one needs to know: `make demo` shows it working, `make test` proves it. Works with GNU make 3.81 (macOS).
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup kit moshi demo test check fix bench clean system system-test

BIN := .venv/bin
PYTHON_FILES := heisenberg tests scripts

help: ## list what can be made
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' Makefile

setup: system ## create .venv and install everything Heisenberg needs (the second time: nothing)
	@scripts/setup.sh

kit: setup ## fetch the models of the starter kit, about 355 MB (the second time: nothing)
	@$(BIN)/heisenberg models pull starter

moshi: setup ## install Kyutai's streaming recogniser, for stt.engine = "moshi" (the second time: nothing)
	@scripts/setup_moshi.sh

demo: kit ## the whole pipeline on a spoken question, offline, with a timeline
	@$(BIN)/heisenberg demo

test: setup system-test kit moshi check ## check, then run every test; fetches PyTorch, a second language model and a French voice (355 MB)
	@$(BIN)/heisenberg models pull gemma3-270m-base french
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup ## format, lint, types, import arrows, generated references
	@$(BIN)/python -m ruff format --quiet --check $(PYTHON_FILES) || { echo 'Not formatted; run: make fix'; exit 1; }
	@$(BIN)/python -m ruff check --quiet $(PYTHON_FILES)
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python scripts/reference.py --check

fix: setup ## format, repair what lint can repair, regenerate the references
	@$(BIN)/python -m ruff format $(PYTHON_FILES)
	@$(BIN)/python -m ruff check --fix $(PYTHON_FILES)
	@$(BIN)/python scripts/reference.py

bench: kit ## measure this machine: latency, wake word, the cost of listening
	@$(BIN)/heisenberg bench all

clean: ## remove caches and build outputs (.venv and the models stay)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis heisenberg-demo
	find heisenberg tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

system:
	@scripts/system_packages.sh run

system-test:
	@scripts/system_packages.sh test
