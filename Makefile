PYTHON ?= python3
JOBS ?= 2
PUBLISHED ?= ../shared/published
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: run test slow lint tables distances figures experiments findings quality worth speed constraints clean

run: $(VENV)/installed  ## Search the trained encoders with BOSHNAS: table, best card and picture, in runs/
	$(BIN)/flexnas-bench run --optimizer boshnas --space pool --task glue8 --budget 60 --seeds 20 --jobs $(JOBS)

test: lint  ## Everything that must hold before a change lands
	$(BIN)/pytest -n $(JOBS) --dist worksteal

slow: $(VENV)/installed-dev  ## The tests that take long (an hour): distances of 300 pairs by another program, kills at random moments, ten thousand fuzzed cards and command lines each
	$(BIN)/pytest -m slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

tables: $(VENV)/installed  ## Build the shipped tables again from published figures, in the folder PUBLISHED
	$(BIN)/flexnas-bench import published $(PUBLISHED) --out data
	$(BIN)/flexnas-bench surrogate fit --space g1 --out data/surrogate

distances: $(VENV)/installed  ## Solve all problems of G1 anew (six minutes), learn the shipped vectors, draw their pictures
	$(BIN)/flexnas-bench ged --space g1 --solve-table data/ged/matched_edges.parquet --seconds 60
	$(BIN)/flexnas-bench embed --space g1 --distance alignment --out data/embeddings/t2v-ordered-g1-d16.parquet
	$(BIN)/flexnas-bench embed --space g1 --out data/embeddings/t2v-g1-d16.parquet --figures docs

worth: $(VENV)/installed-dev  ## The tables of what embeddings, and predictions, are worth in benchmarks/RESULTS.md
	$(BIN)/python benchmarks/embedding_worth.py --jobs $(JOBS)
	$(BIN)/python benchmarks/surrogate_models.py --jobs $(JOBS)
	$(BIN)/flexnas-bench surrogate evaluate --jobs $(JOBS) --figure docs/calibration.png

figures: $(VENV)/installed  ## Draw the paper's figures from shipped runs, in figures/
	$(BIN)/flexnas-bench figures all --out figures

experiments: $(VENV)/installed-dev  ## The searches behind Figures 3 and 4 (half an hour for experiments.py, longer for search_quality.py); what is finished is kept, and the same command goes on
	$(BIN)/python benchmarks/experiments.py --jobs $(JOBS)
	$(BIN)/python benchmarks/search_quality.py --problems pool g1 --ablations pool g1 --jobs $(JOBS)

findings: $(VENV)/installed-dev  ## Write docs/findings.md again, from shipped scores and runs
	$(BIN)/python benchmarks/findings.py

quality: $(VENV)/installed-dev  ## The search-quality table of benchmarks/RESULTS.md and the picture of the README
	$(BIN)/python benchmarks/search_quality.py --jobs $(JOBS)

speed: $(VENV)/installed-dev  ## The tables of times in benchmarks/RESULTS.md
	$(BIN)/python benchmarks/query_time.py
	$(BIN)/python benchmarks/ask_time.py
	$(BIN)/python benchmarks/distance_time.py
	$(BIN)/python benchmarks/encoder_time.py
	$(BIN)/python benchmarks/training_time.py --runs 3

constraints:  ## Pin what is installed now
	(echo '# The versions that `make run` and `make test` install; made by `make constraints`.'; \
	 $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//') > constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/installed
