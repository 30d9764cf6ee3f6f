# Every target does its own set-up, in any order, on a machine with Python 3.11, pip, make and git.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: study test check bench docs browser gallery clean

study: $(READY)
	$(BIN)/draftodds run optimal-k --out out/study
	cp out/study/report.html out/report.html

test: $(READY)
	$(BIN)/python -m pytest -n 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.bench

# Every report in a real browser. Takes a Chromium of this machine, else installs one (Debian's, or Playwright's).
browser: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,browser]"
	$(BIN)/python -c "import sys; from reports import printing; sys.exit(printing.browser() is None)" \
	  || { apt-get update -qq && apt-get install -y -qq chromium; } || $(BIN)/python -m playwright install chromium
	$(BIN)/python -m pytest tests/browser

docs: $(READY)
	$(BIN)/python -W error::UserWarning -m pdoc --output-directory out/api montecarlo traces studies reports

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "draftodds needs Python 3.11 or later; set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Every figure of every study on one page.
gallery: $(READY)
	for study in optimal-k economics stress sensitivity frontier validate; do \
	  $(BIN)/draftodds run $$study --quiet --fresh --out out/gallery/$$study || exit 1; done
	test -d out/gallery/made || \
	  $(BIN)/draftodds trace synthesise gpt-oss-20b --requests 100 --tokens 96 --seed 1 --out out/gallery/made
	test -d out/gallery/trace || $(BIN)/draftodds trace describe out/gallery/made --out out/gallery/trace
	$(BIN)/python -m reports.gallery out/gallery

clean:
	rm -rf .venv out
