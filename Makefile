# Every target is explained by `make help`.
CARGO ?= cargo
ENVOY := .tools/envoy-1.40.0/envoy
OLDEST_ENVOY := .tools/envoy-1.37.0/envoy

.DEFAULT_GOAL := help
.PHONY: help run test test-envoy-1.37 lint fmt build gen bench kustomize

help: ## Show this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Run the gateway with the quickstart on localhost (8080, 8443)
	.ci/tools run
	$(CARGO) run --bin nuncio -- run deploy/examples/quickstart --demo --envoy $(ENVOY)

build: ## Build everything
	$(CARGO) build --workspace

test: ## Prove everything that continuous integration proves, against real programs
	.ci/tools test
	$(MAKE) --no-print-directory lint
	$(CARGO) test --workspace --no-fail-fast
	$(MAKE) --no-print-directory kustomize

test-envoy-1.37: ## Run the end-to-end tests against the oldest Envoy that is served
	.ci/tools test
	.ci/tools oldest-envoy
	NUNCIO_ENVOY=$(CURDIR)/$(OLDEST_ENVOY) $(CARGO) test -p nuncio-integration-tests --no-fail-fast

lint: ## Check format, clippy, dependency directions, file sizes, licences, duplicates
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	python3 .ci/lint.py

fmt: ## Format the code
	$(CARGO) fmt --all

gen: ## Rewrite what is generated and committed
	$(CARGO) run --quiet -p nuncio-compiler --example descriptors
	$(CARGO) run --quiet --bin nuncio -- bootstrap --control-plane nuncio-control-plane:18000 --envoy-ready 0.0.0.0:8006 > deploy/base/envoy/bootstrap.json

kustomize: ## Render every kustomize folder of deploy/
	.ci/kustomize

bench: ## Measure; the figures and how to read them are in docs/performance.md
	.ci/tools bench
	.ci/bench
