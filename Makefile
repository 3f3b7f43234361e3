# Everything goes through here; `make check` is what CI runs.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GOLANGCI_LINT := v2.15.0
GOFUMPT := v0.12.0

BIN := bin/opsconductor
TOOLS := $(CURDIR)/.cache/tools
FUZZTIME ?= 3000x
WALK_EVENTS ?= 1000000
SEEDS ?= 5000
MUTANTS ?= all
RACE ?= ./host/scheduler/... ./host/worker ./host/store/... ./host/runner/... ./host/registry ./host/service ./host/api ./host/client \
	./host/app ./hostfuncs/...
# Long computations in one goroutine, which the race detector makes ten times as long, and what tries many inputs one by one.
RACESKIP ?= TestSpecSuites|TestRandomModules|TestEnginesAgree|TestReaderAgrees|TestRecursionIsBounded|TestMeteringCosts|TestResetIsFresh|TestAttacks|TestSwitches|TestCarries|TestServesBeforeItHasCompiled
# make chaos: the whole matrix, or what CI runs of it; rounds of each fault; a pattern of rows: /kill.
CHAOS ?= all
ROUNDS ?= 1
FAULTS ?=
# make interop: servers in process in its last row.
FAKES ?= 10000
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## See that what build, tests and demo need is there; install it when root
	@scripts/setup.sh

.PHONY: build
build: plugins ## Build bin/opsconductor with the built-in plugins
	@go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN) ./cmd/opsconductor

.PHONY: plugins
plugins: ## Build the built-in plugins to plugins/dist
	@go run ./plugins/build

.PHONY: demo
demo: setup build ## Run an example workflow on two real SSH servers, watch it, clean up
	@scripts/demo.sh

.PHONY: run
run: build ## Start a server on ./opsconductor-data; print its URL and admin token
	@scripts/run.sh

.PHONY: test
test: setup build ## Run all tests
	@OPSCONDUCTOR_ALL_GUESTS=1 go test ./...

.PHONY: race
race: setup build ## Run the tests of what runs concurrently under the race detector (RACE=./... for all)
	@go test -race -skip '$(RACESKIP)' $(RACE)

.PHONY: walk
walk: ## Walk the scheduler's machine by random events (WALK_EVENTS)
	@WALK_EVENTS=$(WALK_EVENTS) go test -count=1 -v -run '^TestWalk$$' ./host/scheduler/machine

.PHONY: sim
sim: ## Play SEEDS simulated histories of many hosts under faults (FROM the first), or SEED alone with its trace
	@SEED=$(SEED) SEEDS=$(SEEDS) FROM=$(FROM) go test -count=1 -v -timeout 6h -run '^TestSim$$' ./host/scheduler/simtest

.PHONY: mutants
mutants: ## Take one fence, check or limit out at a time and see that a check finds it (MUTANTS=a part of the names)
	@MUTANTS='$(MUTANTS)' go test -count=1 -v -timeout 3h -run '^TestMutants$$' ./host/scheduler/simtest

.PHONY: attack
attack: ## Let every hostile module at a host, on all engines, and print how each ended; take out each defence once
	@OPSCONDUCTOR_ATTACK=all go test -count=1 -v -timeout 10m -run '^Test(Attacks|Switches)$$' ./host/runner/attack

.PHONY: chaos
chaos: setup plugins ## Break real hosts, databases and networks (CHAOS=short|all, ROUNDS, FAULTS) and hold targets' ledgers against the history
	@OPSCONDUCTOR_CHAOS=$(CHAOS) ROUNDS=$(ROUNDS) go test -count=1 -v -timeout 4h -parallel $(if $(filter short,$(CHAOS)),4,1) -run '^TestMatrix$$/$(FAULTS)' ./host/chaos

.PHONY: interop
interop: setup ## Run the SSH functions against servers of many kinds; print how many rows passed (FAKES servers in the last)
	@OPSCONDUCTOR_INTEROP=all INTEROP_FAKES=$(FAKES) go test -count=1 -v -timeout 20m -parallel 8 -run '^TestMatrix$$' ./hostfuncs/ssh/interop | grep -v '^=== \|^ *--- PASS'

.PHONY: vet
vet: ## Run go vet
	@go vet ./...

.PHONY: lint
lint: ## Run golangci-lint (built once from source, kept in .cache/tools)
	@scripts/tool.sh golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint $(GOLANGCI_LINT) run ./...

.PHONY: fmt
fmt: ## Format the Go sources with gofumpt
	@git ls-files -co --exclude-standard -z '*.go' | xargs -0 grep -LZ '^// Code generated .* DO NOT EDIT' | \
		xargs -0 scripts/tool.sh gofumpt mvdan.cc/gofumpt $(GOFUMPT) -w

.PHONY: fmt-check
fmt-check: ## Fail when a Go source is not formatted
	@scripts/fmt-check.sh $(GOFUMPT)

.PHONY: bench
bench: plugins ## Run the Go benchmarks (BENCHFLAGS to change how)
	@go test -run '^$$' -bench . -benchmem $(BENCHFLAGS) ./...

.PHONY: figures
figures: build ## Run every benchmark but the soak on both stores; print one table (eight minutes)
	@scripts/figures.sh

.PHONY: bench-ssh
bench-ssh: build ## Measure commands on SSH servers beside a bare loop and Ansible, which root has installed for it (two minutes)
	@scripts/bench-ssh.sh

.PHONY: compare
compare: build ## Measure other systems beside OpsConductor; write docs/comparisons.md (TEMPORAL=1: Temporal too)
	@scripts/compare.sh

.PHONY: compare-vet
compare-vet: ## See that what compare runs builds, in modules of their own (TEMPORAL=1: Temporal too)
	@cd compare && go vet . && go test .
	@cd compare/river && go vet .
	@if [[ "$(TEMPORAL)" == 1 ]]; then cd compare/temporal && go vet .; fi

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME each
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: generate
generate: ## Write the generated files anew
	@go generate ./...
	@go test ./host/api -run '^TestTheDocumentIsTheCommittedOne$$' -update

.PHONY: generate-check
generate-check: ## Fail when a generated file is not what generate writes
	@scripts/generate-check.sh

.PHONY: check
check: setup ## All that CI checks
	@scripts/check.sh
