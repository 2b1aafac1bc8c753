# Carekey. `make` prints what can be done.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.7.0
ASSETS       = internal/page/assets/nhsuk.css
MODULES      = node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help run build assets test test-go check bench clean

help: ## Print what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: build ## Build everything and start Carekey with demo data on http://localhost:8080
	@sh build/run.sh

build: assets ## Put the programs in bin/
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...
	@if command -v $(CC) >/dev/null 2>&1; then CGO_ENABLED=1 $(GO) build -trimpath -o bin/ ./cmd/carekey-hsm; \
		else echo "no C compiler: bin/carekey-hsm, for keys in an HSM, is left out"; fi

assets: $(ASSETS) ## Fetch the page components and put them where they are embedded

$(ASSETS): $(MODULES) $(wildcard build/assets/*.go)
	@$(GO) run ./build/assets
	@touch $(ASSETS)

$(MODULES): package-lock.json
	@sh build/tools.sh build
	@npm ci --no-progress --loglevel=error
	@touch $(MODULES)

test: assets ## Run every check and test: both databases, a real browser, real mail
	@sh build/tools.sh test
	@$(MAKE) --no-print-directory check test-go

test-go:
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...
	@$(GO) run ./build/withpostgres $(GO) test -timeout 30m ./...

check: assets ## Format, vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted" >&2; exit 1; fi
	@$(GO) vet ./...
	@$(GO) mod tidy -diff
	@$(GO) run $(STATICCHECK) ./...

bench: assets ## Measure the hot paths
	@sh build/tools.sh test
	@$(GO) run ./build/withpostgres $(GO) test -run '^$$' -bench . -benchmem ./internal/...

clean: ## Remove what was built (never data/)
	@rm -rf bin node_modules internal/page/assets
