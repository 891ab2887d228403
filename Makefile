PYTHON ?= python3
PORT ?= 4200
RUN = .venv/bin/python -m

.PHONY: site test preview screenshots check bench lock clean

site: .venv/ready  ## set up, then render everything to _site
	$(RUN) qmdsite render

test: .venv/ready  ## set up, then run the tests
	$(RUN) pytest

preview: .venv/ready  ## serve _site on this machine and render again what changes
	$(RUN) qmdsite preview --port $(PORT)

screenshots: site  ## pictures of the pages, light and dark, wide and narrow, in screenshots/
	.venv/bin/python tests/screenshots.py

check: .venv/ready  ## lint and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: .venv/ready  ## time what takes time
	.venv/bin/python tests/bench.py

lock: .venv/ready  ## upgrade everything but torch, and write the versions to constraints.txt
	$(RUN) pip install --upgrade --upgrade-strategy eager "$$(grep '^torch==' constraints.txt)" --editable '.[site,dev]'
	$(RUN) pip freeze --exclude-editable | sed 's/+cpu$$//' > .venv/versions
	(grep '^#' constraints.txt; cat .venv/versions) > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:  ## remove everything that was made
	rm -rf .venv .qmdsite _site screenshots

.venv/ready: pyproject.toml constraints.txt
	@echo "Setting up .venv: the first time, this downloads torch."
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[site,dev]'
	@touch $@
