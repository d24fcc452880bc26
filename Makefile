# watchkeeper: `make help` lists the targets.
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
# Where races can live; the rest of the packages are pure functions. sdktest makes
# single calls with a dozen of the vendor's packages, which take minutes to compile
# once more, plan follows a whole account call by call; the SDK's races are looked for
# where we use it, in exporters/aliyun/sdk.
RACE_PKGS ?= $(shell $(GO) list ./exporters/... ./ruleset/... ./alertrouter/... ./internal/... | grep -v -e /sdktest -e aliyun/plan)

# Packages with property tests. The tests draw by a fixed seed, so that a checkout
# that passed passes again; `make properties` draws anew and looks further.
PROPERTY_PKGS = $(shell grep -rl pgregory.net/rapid --include='*_test.go' . | xargs -n1 dirname | sort -u | sed 's|^\.|watchkeeper|')
SEED          ?= 1
CHECKS        ?= 1000
# $(call gotest,flags,packages)
gotest = $(GO) test -timeout 30m $(1) $(filter-out $(PROPERTY_PKGS),$(2)) && $(GO) test -timeout 30m $(1) $(filter $(PROPERTY_PKGS),$(2)) -rapid.seed=$(SEED)

.PHONY: build demo run test test-race test-services lint bench bench-rules bench-firing bench-aliyun soak-aliyun fuzz properties clean help

build: ## build bin/watchkeeper
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/watchkeeper ./cmd/watchkeeper

demo: build ## the whole product in one process, with a simulated cloud account, in 30 seconds
	bin/watchkeeper demo

run: build ## watch this host (data in ./data)
	bin/watchkeeper serve

test: ## all tests that need nothing but Go
	$(call gotest,,$(shell $(GO) list ./...))

test-race: ## the tests of concurrent packages under the race detector
	$(call gotest,-race,$(RACE_PKGS))

test-services: build ## tests against real servers; installs missing Debian packages when root
	./internal/services/run

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

bench: ## benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./ruleset/... ./internal/storage/...

bench-rules: build ## judging beside Prometheus's rules package: a few minutes; FULL=1 for 1 million series
	@bin/watchkeeper loadtest rules --series $(if $(FULL),1000000,200000)

bench-firing: build ## the time from the completing sample to the alert, 1 million series with ten rules each: eight minutes
	@bin/watchkeeper loadtest firing

bench-aliyun: ## a collection round of a cloud account of 5,000 resources beside its floor, and 50 accounts in one process: two minutes
	$(GO) run ./loadtest/aliyunround
	$(GO) test -count=1 -v -run TestFiftyAccounts ./loadtest/aliyunsoak

soak-aliyun: ## 24 simulated hours of a cloud account with throttling, outages and crashes: some minutes; HOURS=2 for two
	$(GO) test -count=1 -timeout 2h -v -run TestSoak ./loadtest/aliyunsoak -soak.hours $(or $(HOURS),24)

fuzz: ## every fuzz target for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

properties: ## the property tests by a seed of the moment, CHECKS draws each; a failure prints the command that repeats it
	$(GO) test -count=1 $(PROPERTY_PKGS) -rapid.checks=$(CHECKS)

clean: ## remove what was built, keep ./data
	rm -rf bin

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 20
