PYTHON ?= python3
RUN = .venv/bin/python -m

.PHONY: site test preview check lock clean

site: .venv/ready  ## set up, then render everything to _site
	$(RUN) qmdsite render

test: .venv/ready  ## set up, then run the tests
	$(RUN) pytest

preview: .venv/ready  ## serve _site on this machine and render again what changes
	$(RUN) qmdsite preview

check: .venv/ready  ## lint and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

lock: .venv/ready  ## write the installed versions to constraints.txt
	grep '^#' constraints.txt > .venv/constraints.txt
	$(RUN) pip freeze --exclude-editable | sed 's/+cpu$$//' >> .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:  ## remove everything that was made
	rm -rf .venv .qmdsite _site

.venv/ready: pyproject.toml constraints.txt
	@echo "Setting up .venv: the first time, this downloads torch."
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[site,dev]'
	@touch $@
