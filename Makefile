# `make help` lists the tasks; each is one line of the commands behind it.
.DEFAULT_GOAL := help
python := .venv/bin/python

.PHONY: help up down test check fast proto format lock bench simulate
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
up: ## start everything in this terminal
	./scripts/up
down: ## stop what `up --detach` started
	./scripts/down
check: test ## what CI runs
test: ## every check, and every test that does not take minutes, on real parts
	./scripts/test
fast: ## checks and the tests that need no parts
	./scripts/test --fast
proto: ## stubs from proto/
	$(python) -m scripts.proto generate
format: ## format and sort the Python code
	.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .
lock: ## requirements.lock from requirements.in
	.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements.in -o requirements.lock
bench: ## measure; see bench/README.md
	./scripts/bench
simulate: ## 500 seeded runs of the product in memory
	./scripts/simulate
