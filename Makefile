# Everything a clone needs, one command each. `make help` lists them.

MODEL ?= 1.5b
export PYTHONUNBUFFERED = 1

.PHONY: help setup demo test test-quick check docs image model clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: ## virtual environment, engine, sandbox image, model weights (MODEL=1.5b)
	@scripts/setup all $(MODEL)

demo: setup ## set everything up, then let the model write loss functions and correct them
	@.venv/bin/fumehood solve loss --demo

test: ## set everything up and run every test, in parts side by side
	@scripts/setup venv
	@.venv/bin/python scripts/every_test.py

test-quick: ## the quick tests that need neither engine nor model, in two minutes
	@scripts/setup venv
	@.venv/bin/pytest tests/unit -m 'not slow' --ignore tests/unit/test_trainers.py

check: ## ruff, mypy --strict, import rules
	@scripts/setup venv
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

docs: ## write the help of each command into its page under docs/
	@scripts/setup venv
	@.venv/bin/python scripts/docs_pages.py

image: ## build the sandbox image, unless it is there
	@scripts/setup venv
	@scripts/setup engine
	@scripts/setup image

model: ## fetch the model weights (MODEL=0.5b|1.5b)
	@scripts/setup venv
	@scripts/setup model $(MODEL)

clean: ## remove what these commands made in the checkout, and our containers
	@scripts/clean
