PYTHON ?= python3
PORT ?= 4200
RUN = .venv/bin/python -m

.PHONY: site test quick test-deep preview text-mutants screenshots check coverage bench dist lock clean

site: .venv/ready  ## set up, then render everything to _site
	$(RUN) qmdsite render

test: .venv/ready  ## set up, then run the tests
	$(RUN) pytest -m "not deep"

quick: .venv/ready  ## the tests that need no browser and no render of the whole site
	$(RUN) pytest -m "not slow and not browser and not deep"

test-deep: .venv/ready  ## all tests, those too that take long for one fact
	$(RUN) pytest

text-mutants: .venv/ready  ## type errors into what the posts state, and report what no build notices
	.venv/bin/python tests/text_mutants.py

preview: .venv/ready  ## serve _site on this machine and render again what changes
	$(RUN) qmdsite preview --port $(PORT)

screenshots: site  ## pictures of the pages, light and dark, wide and narrow, in screenshots/
	.venv/bin/python tests/screenshots.py

check: .venv/ready  ## lint and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

coverage: .venv/ready  ## the lines that no test runs
	$(RUN) pytest -m "not deep" --cov

bench: .venv/ready  ## time what takes time
	OMP_WAIT_POLICY=passive .venv/bin/python tests/bench.py

dist: .venv/ready  ## build the release in dist/, and see that what was built installs and imports
	rm -rf dist .venv/dist
	$(RUN) build --no-isolation
	$(RUN) twine check --strict dist/*
	$(PYTHON) -m venv .venv/dist
	.venv/dist/bin/pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist && ../.venv/dist/bin/python -W error -c 'import handgrad, handgrad.symbolic, handgrad.testing'
	rm -rf .venv/dist

lock: .venv/ready  ## upgrade everything but torch, and write the versions to constraints.txt
	$(RUN) pip install --upgrade --upgrade-strategy eager --no-build-isolation \
	  "$$(grep '^torch==' constraints.txt)" hatchling --editable '.[site,dev]'
	$(RUN) pip freeze --exclude-editable | sed 's/+cpu$$//' > .venv/versions
	(grep '^#' constraints.txt; cat .venv/versions) > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt
	sed "s/hatchling==[0-9.]*/$$(grep '^hatchling==' constraints.txt)/" pyproject.toml > .venv/pyproject.toml
	mv .venv/pyproject.toml pyproject.toml

clean:  ## remove everything that was made
	rm -rf .venv .qmdsite _site screenshots dist .coverage

.venv/ready: pyproject.toml constraints.txt
	@echo "Setting up .venv: the first time, this downloads torch."
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --constraint constraints.txt hatchling
	$(RUN) pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[site,dev]'
	@touch $@
