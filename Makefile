# The only way to do anything. `make help` lists the targets.
SHELL := /bin/bash
SPARK ?= 4.1
VENV := .venv-$(SPARK)
BIN := $(VENV)/bin
PYTHON ?= python3
# Compiled modules are kept: each of the many processes of a test run starts half a second sooner.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run reset test prove lint dist docs matrix soak bench-online bench-join bench-stream report-picture bench-flow clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## make the virtual environment (SPARK=4.1, 4.0 or 3.5)

$(READY): pyproject.toml constraints/spark-$(SPARK).txt
	@start=$$(date +%s); \
	$(PYTHON) -m venv $(VENV) && \
	$(BIN)/pip install -q --disable-pip-version-check -c constraints/spark-$(SPARK).txt -e '.[local,quality,stream,profile,dev]' && \
	{ $(BIN)/penstock doctor --warm || true; } && \
	touch $(READY) && \
	echo "set-up: $$(( $$(date +%s) - start )) s"

run: $(READY) ## set up and run the main job: 336,776 flights into feature groups
	@start=$$(date +%s); \
	$(BIN)/penstock provision && $(BIN)/penstock ingest && \
	echo "job: $$(( $$(date +%s) - start )) s"

reset: ## clear the local state: lake, ledger, embedded AWS
	rm -rf .penstock

lint: $(READY) ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) ## all tests but the long proofs (SPARK=4.1 or 3.5)
	@# Two processes, file by file, the long ones first; before them, alone, what is held to a time.
	@status=0; \
	$(BIN)/python -m pytest -m 'alone and not prove' || status=1; \
	$(BIN)/python -m pytest -m 'not alone and not prove' -n 2 --dist loadfile --no-loadscope-reorder --durations 15 || status=1; \
	exit $$status

prove: $(READY) ## every line under "Shows" of an issue: make prove ISSUE=3
	@test -n "$(ISSUE)" || { echo "usage: make prove ISSUE=3"; exit 2; }
	$(BIN)/python -m pytest --issue $(ISSUE)

soak: $(READY) ## the crash tests over and over, for an hour
	$(BIN)/python -m pytest tests/flow/test_crash.py --rounds 20

bench-online: ## cost per record, side by side with boto3 and AWS's connector (30 min; Go, Java)
	@python=$$($(PYTHON) bench/peers.py --need go,java) && \
	$$python -m bench.online && $$python -m bench.online --docs

bench-join: $(READY) ## cost of a point-in-time join, side by side with what others use (15 min)
	@$(BIN)/python -m bench.join && $(BIN)/python -m bench.join --docs

bench-flow: $(READY) ## cost of a flow, side by side with the same steps fused by hand (5 min)
	@$(BIN)/python -m bench.wrangling

bench-stream: $(READY) ## freshness and rate of a stream, on this machine alone (12 min)
	@$(BIN)/python -m bench.stream

report-picture: $(READY) ## docs/img/run-report.png, of the newest run of flight_status (Chromium)
	@$(BIN)/python -m bench.picture

# project.zip is made from copies, so that nothing but sources and conf/ is in it. PIP_CONSTRAINT pins the builder.
DIST ?= dist
dist: $(READY) ## the artefacts: wheel, the same bytes as .zip, project.zip, jobs/, conf/
	rm -rf $(DIST)
	PIP_CONSTRAINT=$(CURDIR)/constraints/spark-$(SPARK).txt \
	  $(BIN)/python -m build --wheel --outdir $(DIST) . >/dev/null
	cp $(DIST)/penstock-*.whl $(DIST)/penstock.zip
	cp -r schemas transforms jobs conf $(DIST)/
	find $(DIST) -name __pycache__ -prune -exec rm -rf {} +
	cd $(DIST) && $(abspath $(BIN))/python -m zipfile -c project.zip schemas transforms conf
	rm -r $(DIST)/schemas $(DIST)/transforms
	@ls -1 $(DIST)

matrix: $(READY) ## every supported line of Spark, wheel and oldest packages; writes docs/matrix.md (90 min)
	@$(BIN)/python -m bench.matrix

# mkdocs has an environment of its own, complete and without a resolver: it shares nothing with Spark.
DOCS := .venv-docs
$(DOCS)/.ready: constraints/docs.txt
	@$(PYTHON) -m venv $(DOCS) && \
	$(DOCS)/bin/pip install -q --disable-pip-version-check --no-deps -r constraints/docs.txt && \
	touch $(DOCS)/.ready

docs: $(READY) $(DOCS)/.ready ## generate the references, build the site into site/, strictly
	@$(BIN)/python -m penstock.reference > docs/configuration.md
	@$(BIN)/python -m penstock.reference contract > docs/contract.md
	@$(DOCS)/bin/mkdocs build --strict --quiet

clean: reset ## remove what was built and set up
	rm -rf .venv-* dist build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
