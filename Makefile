# Folkmoot's checks. `make test` is the quick one; `make test-all` is what continuous integration runs.

.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO        ?= go
FUZZTIME  ?= 3s
TESTFLAGS ?=

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

STAGE := scripts/stage

.PHONY: help build image release test test-all vet race simulated parallel sim-full crowd chart lint format-check static vulnerabilities completion fuzz observability ui dashboard e2e kubernetes bench fmt clean packages

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the program as bin/moot
	@$(STAGE) 'build' $(GO) build -trimpath -o bin/moot ./cmd/moot

image: ## Write the container image as dist/moot-VERSION.tar, for amd64 and arm64; two builds of a commit give the same bytes
	@$(GO) run ./deploy/image

release: ## Write a release into dist/moot-VERSION: archives for Linux, macOS and Windows, bills of materials, image, chart, checksums
	@$(GO) run ./deploy/release

test: vet parallel simulated ## Quick checks with Go alone: go vet, then the tests without the e2e tag, but for the longest; test-all has all, under the race detector, too

test-all: packages vet race parallel sim-full lint observability chart vulnerabilities completion fuzz ui e2e kubernetes ## Everything: test, lint, vulnerabilities, fuzzing, end-to-end tests, Kubernetes

# The race detector needs a C compiler.
RACE = $(shell command -v $$($(GO) env CC) >/dev/null && echo -race)

# Vetted as they are tested, so that what vet builds serves the tests.
test: RACE =
vet:
	@$(STAGE) 'go vet' $(GO) vet $(RACE) ./...
	@$(STAGE) 'go vet, end-to-end tests' $(GO) vet $(RACE) -tags e2e,kubernetes ./test/... ./deploy/...

# One processor per test binary: Go 1.26's race detector crashes (SIGSEGV in maybeRunChan) when two processors read timer channels of one
# testing/synctest bubble at once, because they share one race context. Packages still run side by side, one more than there are processors: those with real nodes mostly wait.
# The three longest attacks, in which peers answer for many simulated minutes, are left to parallel, and the networks that live longest to sim-full.
race: SKIP = -skip '^Test(AttackWith(AFlood|EndlessMessages|Lies)|DelayToFullCount|LeaveOfEverySecond|LosingATenth|RecordsByEachWay|Replacement|ReturnOfASilentPeer|RollingRestart|SmallViews)$$'
race: SIDE_BY_SIDE = $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))
race:
	@$(STAGE) 'tests$(if $(RACE), with the race detector,; no C compiler here, so without the race detector)' $(GO) test $(RACE) -cpu 1 -p $(SIDE_BY_SIDE) -timeout 40m $(SKIP) $(TESTFLAGS) ./...

simulated:
	@$(STAGE) 'simulated networks' $(GO) test -timeout 8m -skip '^TestSmallViews$$' $(TESTFLAGS) ./sim

# Simulated networks are left to simulated, race and sim-full, and whole ledgers in real time, a quarter of a minute or more each, to race.
parallel: SKIP = -skip '^Test(ChangesStay|ClockBehind|FirstTransaction|ForgedAnswers|ForgedSnapshots|Join|NoQuorum|NoSnapshots|NewcomersToALargeNetworkConnectToFew|OldEvidence|OldVolume|Pruning|Recover|ResumeAlone|ResumeFetchesWhatOthersHave|RestartsUnderLoad|RestoreTheOnlyValidator|RestoredValidator|Room|Stall|StateSync|StopWhileFetching|Traitor|Trust|ValidatorsVoteOneAnotherIn|WrongState)$$'
parallel: ## Every test without the e2e tag on all processors, without the race detector
	@$(STAGE) 'tests on all processors' $(GO) test -timeout 20m $(SKIP) $(TESTFLAGS) $$($(GO) list ./... | grep -v '/sim$$')

# The garbage collector runs half as often as it would: the networks fit in memory all the same. The largest ones are left to crowd.
sim-full: ## The proofs at full size, each with its seeds in the output
	@$(STAGE) 'simulated networks at full size' env GOGC=$${GOGC:-200} $(GO) test -tags sim -v -timeout 60m -skip '^(TestSmallViews|TestCrowdScale|TestCrowdOfAThousand)$$' $(TESTFLAGS) ./sim
	@$(STAGE) 'a simulated network of partial views' $(GO) test -v -timeout 15m -run '^TestSmallViews$$' $(TESTFLAGS) ./sim
	@$(STAGE) 'the ledger at full size' $(GO) test -tags sim -v -timeout 30m -run FullSize $(TESTFLAGS) ./ledger ./ledger/consensus ./ledger/replica
	@$(STAGE) 'ways of routing compared' $(GO) test -tags sim -v -timeout 30m -run FullSize $(TESTFLAGS) ./routing

crowd: ## Lookups, views, records and costs in networks of up to 1,000 peers: many minutes each, and GiB of memory
	@$(STAGE) 'large networks' env GOGC=$${GOGC:-200} $(GO) test -tags sim -count 1 -timeout 60m $(TESTFLAGS) -run 'Crowd|SmallViews' ./routing/swim ./routing ./sim

lint: format-check static ## gofmt and staticcheck

format-check:
	@$(STAGE) 'gofmt' scripts/check-format

static:
	@$(STAGE) 'staticcheck' $(GO) run $(STATICCHECK) -tags e2e,kubernetes ./...

chart: ## Lint and test the Helm chart without a cluster, and package it into dist/ (Linux)
	@$(STAGE) 'Helm chart' $(GO) test -tags kubernetes -count 1 -timeout 20m $(TESTFLAGS) ./test/chart/...
	@$(STAGE) 'Helm chart, packaged' $(GO) run ./test/chart/pack

observability: ## Check the alert rules, and what makes them fire, with promtool (Debian: prometheus)
	@$(STAGE) 'alert rules' promtool check rules deploy/observability/alerts.yaml
	@$(STAGE) 'alert rules, fired' promtool test rules deploy/observability/alerts_test.yaml

vulnerabilities: ## Look for known vulnerabilities in what the program calls
	@$(STAGE) 'govulncheck' scripts/check-vulnerabilities $(GOVULNCHECK)

completion: ## Check the shell completion scripts
	@$(STAGE) 'shell completion' scripts/check-completion

fuzz: ## Run each fuzz target for FUZZTIME (3s)
	@$(STAGE) 'fuzz targets, $(FUZZTIME) each' scripts/fuzz $(FUZZTIME)

dashboard: ## Generate the TypeScript client's types and build the dashboard anew, which needs Node.js 20.19 or later
	@cd clients/typescript && npm ci --ignore-scripts --silent && npm run --silent generate
	@cd dashboard && npm ci --ignore-scripts --silent && npm run --silent build

# Built as the tests' packages are, which are in the cache: -trimpath would compile every package anew.
ui: ## The TypeScript client and the dashboard: whether they are current, and both against a real network (Chromium)
	@$(STAGE) 'the program, for the dashboard' $(GO) build -o bin/moot-ui ./cmd/moot
	@$(STAGE) 'TypeScript client and dashboard' scripts/check-dashboard bin/moot-ui

e2e: ## End-to-end tests: real processes in network namespaces (Linux, root)
	@$(STAGE) 'end-to-end tests' $(GO) test -tags e2e -count 1 -timeout 30m $(TESTFLAGS) ./test/... ./deploy/...

# The first time on a machine builds Kubernetes. One package after the other: each brings up a cluster of its own.
kubernetes: ## Tests on a real Kubernetes of two nodes (Linux, root): go run ./test/kubernetes supported
	@if $(GO) run ./test/kubernetes supported; then $(STAGE) 'Kubernetes and helm, built once' $(GO) run ./test/kubernetes build; fi
	@$(STAGE) 'tests on Kubernetes' $(GO) test -tags kubernetes -count 1 -p 1 -timeout 40m $(TESTFLAGS) ./test/kubernetes/...

bench: ## Measure records, the ledger and ping beside the alternatives, and a running node
	@$(STAGE) 'ping beside raw TCP' $(GO) run ./bench/ping
	@$(STAGE) 'a running node' $(GO) run ./bench/node
	@$(STAGE) 'records beside kad-dht and etcd' $(GO) run ./cmd/moot bench records
	@$(STAGE) "the ledger beside CometBFT's kvstore" $(GO) run ./cmd/moot bench ledger

fmt: ## Format the Go code
	@gofmt -w $$(git ls-files '*.go')

clean: ## Remove what was built
	@rm -rf bin dist moot

packages:
	@$(STAGE) 'packages of this machine' scripts/install-packages
