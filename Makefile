# One command each: run, test, build, check, bench.
.PHONY: native
native: ## a quick build of the native module, for development
	VIRTUAL_ENV=$(CURDIR)/.venv .venv/bin/maturin develop --uv -q
	cargo build -q -p sandbox --bins && ln -sf $(CURDIR)/target/debug/symphony-launcher .venv/bin/symphony-launcher
