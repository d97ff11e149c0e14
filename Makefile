# `make` alone lists the targets. Variables are given as `make TARGET NAME=value`.

# Only these five may also come from the environment.
PYTHON ?= python3
CHAOS_SECONDS ?= 3600
OPENAPI_SECONDS ?= 600
INPUT_EXAMPLES ?= 1000
# In CI (any value): plain output, and which tests are slow.
CI     ?=

HOST    = 127.0.0.1
PORT    = 5000
DATA    =
WORKERS =
PART    =
URL     =
SERVER  = http://127.0.0.1:$(PORT)
BENCH   =
VERSION =
REGISTRY = localhost
ARGS    =

SHELL   := /bin/sh
VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check \
             $(if $(CI),--quiet --progress-bar off)
# One thread for linear algebra, as the service's processes have it: more of them spin, and take
# ten times the processor time for the same.
PYTEST  := env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
             $(BIN)/python -m pytest $(if $(CI),--durations 15 --color no) $(ARGS)
SET     := requirements.txt setup.cfg pyproject.toml packaging/dlib-shim/pyproject.toml
FOLDER  := $(or $(DATA),$(or $(XDG_DATA_HOME),$(HOME)/.local/share)/facematch)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help install build run try logs test check unit contract system chaos kills outside input \
        milvus upgrade openapi audit hardening erasing bench servers format clean images k8s-check \
        k8s-check-here k8s-test k8s-up

help: ## list the targets
	@echo "usage: make TARGET [NAME=value …]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile
	@echo "PYTHON=python3.12 chooses the Python for .venv; DATA= and PORT= mean the same everywhere."

# -- use ----------------------------------------------------------------------------------------
run: $(VENV)/installed ## serve on this machine; HOST= PORT= DATA= WORKERS=
	@exec $(BIN)/facematch serve --host '$(HOST)' --port '$(PORT)' \
	    $(if $(DATA),--data '$(DATA)') $(if $(WORKERS),--workers '$(WORKERS)')

install: $(VENV)/installed ## make .venv with everything that is needed to run
	@echo '$(VENV) is ready: $(BIN)/facematch --help'

build: install ## the same: there is nothing to build

try: $(VENV)/installed ## submit one picture to the running service and show the answer; URL= SERVER=
	@test -n '$(URL)' || { echo 'make try URL=https://… [SERVER=$(SERVER)]' >&2; exit 2; }
	@$(BIN)/facematch --url '$(SERVER)' url '$(URL)'

logs: ## follow the logs of `make run`; PART=api, index, valkey or worker; DATA=
	@ls '$(FOLDER)/logs/$(PART)'*.log >/dev/null 2>&1 || { \
	    echo 'No logs of $(or $(PART),any part) in $(FOLDER)/logs.' >&2; \
	    echo 'Start the service with make run, or say where its data is: DATA=…' >&2; exit 1; }
	@exec tail -n 50 -F '$(FOLDER)/logs/$(PART)'*.log

# -- in a cluster -------------------------------------------------------------------------------
images: ## the images of api, worker, worker-milvus and index, by docker or podman; VERSION= REGISTRY=
	@packaging/make-images '$(VERSION)' '$(REGISTRY)'

k8s-check: $(VENV)/dev ## are the manifests right? Without a cluster; gets the tools for it first
	@packaging/make-k8s-tools $(VENV)
	@$(BIN)/python -m k8s.checks

# What needs a tool that is not there is left out, with a line: getting them takes minutes.
k8s-check-here: $(VENV)/dev
	@$(BIN)/python -m k8s.checks

k8s-test: $(VENV)/dev servers ## everything that has to do with images, manifests and units, the long tests included
	$(PYTEST) -m '' -k 'images or k8s or probe or cluster_scripts or by_hand or systemd' tests

k8s-up: ## the service on a local cluster: kind, minikube or k3d, whichever is there
	@k8s/up

# -- test ---------------------------------------------------------------------------------------
test: servers check k8s-check-here unit outside ## check, unit, contract, system and a short chaos

check: $(VENV)/dev ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# By file: what the tests of a module share is made once. tests/conftest.py has the order.
unit: $(VENV)/dev ## tests of single parts, no server; ARGS= for pytest
	$(PYTEST) --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/unit

# Four where much of the time is waiting for servers, and one test after the other to whichever
# process is free.
FOUR := --numprocesses 4 --dist loadgroup --no-loadscope-reorder

contract: $(VENV)/dev servers ## one body of tests for every implementation of a port
	$(PYTEST) $(FOUR) tests/contract

system: $(VENV)/dev servers ## the whole service from outside, in both ways of running
	$(PYTEST) $(FOUR) tests/system

# Where it was interrupted it goes on: what each unit came to is in build/chaos.
chaos: $(VENV)/dev servers ## break a service in every way there is and count what it loses; CHAOS_SECONDS= of random kills, ARGS=--help
	env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests \
	    $(BIN)/python -m faults --seconds '$(CHAOS_SECONDS)' $(ARGS)

kills: $(VENV)/dev servers ## the tests of tests/chaos for as long as you like: CHAOS_SECONDS=600 for each
	CHAOS_SECONDS='$(CHAOS_SECONDS)' $(PYTEST) -m '' --timeout 0 tests/chaos

erasing: $(VENV)/dev servers ## 10,000 histories of erasing (half an hour); are the bytes of an erased face anywhere?
	$(PYTEST) -m long tests/unit/test_worker_interleavings.py tests/system/test_erasure_bytes.py

milvus: $(VENV)/dev servers ## everything that has to do with Milvus, the long tests included
	$(PYTEST) -m '' -k 'milvus or generation or feeder' tests

INPUT := test_input_answers test_input_addresses test_input_heads test_input_requests \
         test_worker_fetch_addresses test_worker_fetch_limits test_worker_fetch_urls test_worker_nasty

input: $(VENV)/dev servers ## nasty pictures, evil servers, addresses, requests: prints how many; INPUT_EXAMPLES=
	INPUT_EXAMPLES='$(INPUT_EXAMPLES)' $(PYTEST) -q --timeout 0 $(INPUT:%=tests/unit/%.py)

# In one run: while the last of one tier are under way, those of the next one are begun.
outside: $(VENV)/dev servers
	env -u CHAOS_SECONDS $(PYTEST) $(FOUR) tests/chaos tests/system tests/contract

upgrade: $(VENV)/dev servers ## two versions side by side, restored backups, workers that come and go
	$(PYTEST) -m '' -k 'upgrade or backup or come_and_go' tests/system

audit: $(VENV)/dev ## is anything known of what is installed? pip-audit, and an SBOM for each image in build/
	@packaging/make-audit $(VENV)

hardening: $(VENV)/dev servers ## the whole service with TLS and as few rights as it needs, and what is refused
	$(PYTEST) -m '' -k 'tls_service or functions or credentials or k8s_redis or headers' tests

openapi: $(VENV)/dev ## is the OpenAPI document true? schemathesis, all checks; OPENAPI_SECONDS=
	OPENAPI_SECONDS='$(OPENAPI_SECONDS)' $(PYTEST) --timeout 0 tests/unit/test_api_openapi.py

bench: $(VENV)/installed ## a short form of all benchmarks; one with its baselines: BENCH=name ARGS=
	@$(BIN)/python -m benchmarks $(or $(BENCH),all) $(ARGS)

servers: ## the Redis and RabbitMQ servers that the tests run; installed by apt if missing
	@packaging/install-servers

format: $(VENV)/dev ## put the code into its standard form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and everything generated; the service's data stays
	rm -rf $(VENV) build *.egg-info packaging/dlib-shim/build packaging/dlib-shim/*.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- .venv --------------------------------------------------------------------------------------
# A Python that was named replaces another one's .venv; the default takes what is there.
ifneq ($(origin PYTHON),file)
EXACTLY     := --exactly
ITS_VERSION := import sys; print(sys.version_info[:2])
OWN         := $(shell { $(BIN)/python -c '$(ITS_VERSION)'; } 2>/dev/null)
ifneq ($(OWN),$(shell { '$(PYTHON)' -c '$(ITS_VERSION)'; } 2>/dev/null))
.PHONY: $(VENV)/installed $(VENV)/dev
endif
endif

$(VENV)/installed: $(SET)
	@packaging/make-venv $(EXACTLY) '$(PYTHON)' $(VENV)
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/dev: $(SET) requirements-milvus.txt requirements-otel.txt requirements-dev.txt
	@packaging/make-venv $(EXACTLY) '$(PYTHON)' $(VENV)
	$(INSTALL) -r requirements-dev.txt
	@touch $(VENV)/installed $@
