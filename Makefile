# Folkmoot's checks. `make test` is the quick one; `make test-all` is what continuous integration runs.

.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO        ?= go
FUZZTIME  ?= 5s
TESTFLAGS ?=

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

STAGE := scripts/stage

.PHONY: help build test test-all vet race parallel lint format-check static vulnerabilities completion fuzz e2e bench fmt clean packages

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the program as bin/moot
	@$(STAGE) 'build' $(GO) build -trimpath -o bin/moot ./cmd/moot

test: vet race ## Quick checks with Go alone: go vet, then every test without the e2e tag under the race detector

test-all: packages test parallel lint vulnerabilities completion fuzz e2e ## Everything: test, lint, vulnerabilities, fuzzing, end-to-end tests

# The race detector needs a C compiler; with Go alone the tests run without it.
RACE = $(shell command -v $$($(GO) env CC) >/dev/null && echo -race)

# Vetted as they are tested, so that what vet builds serves the tests.
vet:
	@$(STAGE) 'go vet' $(GO) vet $(RACE) ./...
	@$(STAGE) 'go vet, end-to-end tests' $(GO) vet $(RACE) -tags e2e ./test/...

# One processor per test binary: Go 1.26's race detector crashes (SIGSEGV in maybeRunChan) when two processors read timer channels of one
# testing/synctest bubble at once, because they share one race context. Packages still run side by side.
race:
	@$(STAGE) 'tests$(if $(RACE), with the race detector,; no C compiler here, so without the race detector)' $(GO) test $(RACE) -cpu 1 -timeout 5m $(TESTFLAGS) ./...

parallel: ## Every test without the e2e tag on all processors, without the race detector
	@$(STAGE) 'tests on all processors' $(GO) test -timeout 5m $(TESTFLAGS) ./...

lint: format-check static ## gofmt and staticcheck

format-check:
	@$(STAGE) 'gofmt' scripts/check-format

static:
	@$(STAGE) 'staticcheck' $(GO) run $(STATICCHECK) -tags e2e ./...

vulnerabilities: ## Look for known vulnerabilities in what the program calls
	@$(STAGE) 'govulncheck' scripts/check-vulnerabilities $(GOVULNCHECK)

completion: ## Check the shell completion scripts
	@$(STAGE) 'shell completion' scripts/check-completion

fuzz: ## Run each fuzz target for FUZZTIME (5s)
	@$(STAGE) 'fuzz targets, $(FUZZTIME) each' scripts/fuzz $(FUZZTIME)

e2e: ## End-to-end tests: real processes in network namespaces (Linux, root)
	@$(STAGE) 'end-to-end tests' $(GO) test -tags e2e -count 1 -timeout 20m $(TESTFLAGS) ./test/...

bench: ## Measure records and ping beside the alternatives, and a running node
	@$(STAGE) 'ping beside raw TCP' $(GO) run ./bench/ping
	@$(STAGE) 'a running node' $(GO) run ./bench/node
	@$(STAGE) 'records beside kad-dht' $(GO) run ./bench/records

fmt: ## Format the Go code
	@gofmt -w $$(git ls-files '*.go')

clean: ## Remove what was built
	@rm -rf bin moot

packages:
	@$(STAGE) 'packages of this machine' scripts/install-packages
