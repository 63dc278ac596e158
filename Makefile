# Two commands matter: `make demo` and `make test`. Both get what is missing first.

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build images demo test fmt lint deny docs unit chaos bench clean

# The profile of .config/nextest.toml.
NEXTEST_PROFILE ?= $(if $(CI),ci,default)

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Get what is missing: an engine, the docker plugins
	@.ci/setup

setup-tests:
	@.ci/setup --tests

build: ## Build mcpmon (target/release/mcpmon)
	cargo build --release

images: setup ## Build the image that the tests and the quickstart run
	@.ci/images --stage

demo: ## Show the main job on a real engine, in the quickstart
	@.ci/demo

# In this order: what fails fastest comes first.
test: setup-tests lint deny docs unit ## Format, lints, licences, docs, all tests

fmt: ## Format the sources
	cargo fmt

lint: ## Check the format and the lints
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	@# The tests have every feature; what is shipped has none of them.
	cargo clippy -- -D warnings

deny: ## Check dependencies: duplicates, licences, sources, known faults
	@.ci/deny

docs: ## Check the documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
	cargo test --quiet --doc --all-features

unit: images
	cargo nextest run --all-features --profile $(NEXTEST_PROFILE)

# A short form of it is among the tests.
chaos: images ## End many sessions of all kinds in all ways at once: about five minutes (CHAOS_SEED=7: other ones)
	CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),6) CHAOS_SESSIONS=$(or $(CHAOS_SESSIONS),20) \
		cargo nextest run --all-features --test it --profile chaos -E 'test(/^chaos::/)'

# What is measured is the binary that is shipped: built by itself, not with the features of the tests' dependencies.
# What measures it need not be fast.
bench: images build ## Measure against docker and docker compose (BENCH=--quick: in a minute or two)
	@.ci/python benches
	cargo bench --profile dev --bench table -- --binary target/release/mcpmon $(BENCH)

clean: ## Remove what was built (images and engine stay)
	cargo clean
	rm -f examples/quickstart/image/mcp-server
