# One door to everything; `make` alone prints the list.
SHELL = /bin/bash
.DEFAULT_GOAL = help

PREFIX ?= /usr
DESTDIR ?=
# Most tests wait for a host: twice as many at a time as there are cores.
JOBS ?= $(shell expr 2 '*' $$(nproc))
# How many schedules `make simulate` goes through, and which.
COUNT ?= 100000
SEED ?= 1
# What `make check` runs beside lint.
QUICK_TESTS = tests/unit tests/house tests/host/test_seed_session.py

VENV = .venv/bin
PYTEST = $(VENV)/python -m pytest
# The tests that wait longest stand together: whoever has done its own takes some of another's.
PARALLEL = -n $(JOBS) --dist worksteal
# Three clusters at a time; most of their time is waiting, so they run beside the other tests.
CLUSTER_TESTS = $(PYTEST) -p no:cacheprovider -n 3 --dist loadfile tests/cluster
SUDO = $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=CI)
AGENT = agents/esxi/fence_esxi.py
TOOLS = agents/esxi/esxi-fence-key agents/esxi/esxi-fence-check
SHELL_SCRIPTS = $(shell grep -rlE '^\#!/bin/(ba)?sh|^\#!/usr/bin/env (ba)?sh' .ci tools bench tests packaging lib 2>/dev/null)

MADE = build dist cache .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info

.PHONY: help
help: ## Print this list
	@echo "fence_esxi: a fence agent for virtual machines on free VMware ESXi"
	@echo
	@awk -F ' *:.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- trying it ---------------------------------------------------------------------------------

.PHONY: demo
demo: ## Fence virtual machines on a simulated host, as an admin would type it
	@tools/setup demo
	@$(VENV)/python tools/demo

.PHONY: picture
picture: ## Make the README's moving picture anew, from a run of the demo
	@tools/setup demo
	$(VENV)/python tools/picture >docs/demo.svg.new
	mv docs/demo.svg.new docs/demo.svg

# --- tests -------------------------------------------------------------------------------------

.PHONY: test
test: ## Run all tests (the cluster's need root)
	@tools/setup test
	@mkdir -p build; log=build/cluster-tests.log status=0; \
	( $(SUDO) $(CLUSTER_TESTS) >$$log 2>&1 || { status=$$?; cat $$log; exit $$status; } ) & cluster=$$!; \
	$(PYTEST) $(PARALLEL) -m "not packaging" --ignore=tests/cluster tests || status=$$?; \
	if wait $$cluster; then cat $$log; else status=$$?; echo "The cluster's tests failed: see $$log"; fi; \
	exit $$status

.PHONY: test-gate
test-gate: ## Attack the restricted key in busybox 1.30 to 1.38; run the host's tests through it (root)
	@tools/setup matrix
	$(SUDO) tools/userland clean bullseye trixie sid
	FENCE_ESXI_BUSYBOXES=all $(PYTEST) $(PARALLEL) tests/gate
	PYTHONPATH=tests/gate $(PYTEST) $(PARALLEL) -p gated_everywhere tests/host

.PHONY: cluster-splitbrain
cluster-splitbrain: ## Cut two nodes from each other ten times: exactly one survives (root)
	@tools/setup test
	$(SUDO) $(PYTEST) tests/cluster -k split_brain --split-brain-rounds 10 --timeout 900

.PHONY: test-packages
test-packages: deb rpm ## Install, use and purge the packages in a clean userland (root)
	@tools/setup matrix
	$(SUDO) $(PYTEST) --timeout=600 --basetemp=build/test-packages -m packaging tests/house tests/sim

.PHONY: check
check: lint ## Lint, and the tests that take no time: what to run before each commit
	$(PYTEST) $(PARALLEL) -m "not slow and not packaging" $(QUICK_TESTS)

.PHONY: lint
lint: ## Read the sources with ruff, mypy, vermin, shellcheck, codespell
	@tools/setup test
	@status=0; set -x; \
	$(VENV)/ruff check . $(TOOLS) || status=1; \
	$(VENV)/mypy $(AGENT) || status=1; \
	$(VENV)/mypy --scripts-are-modules $(TOOLS) || status=1; \
	$(VENV)/mypy lib/esxi_sim || status=1; \
	$(VENV)/vermin --quiet --no-tips --violations -t=3.6- $(AGENT) $(TOOLS) setup.py || status=1; \
	shellcheck $(SHELL_SCRIPTS) || status=1; \
	$(VENV)/codespell || status=1; \
	exit $$status

.PHONY: cluster
cluster: ## Start the Pacemaker cluster of the tests, to play with (ARGS="HOST=NODE,NODE ...")
	@tools/setup test
	$(SUDO) tests/cluster/cluster.sh up $(ARGS)

.PHONY: cluster-down
cluster-down: ## Stop that cluster
	$(SUDO) tests/cluster/cluster.sh down

.PHONY: simulate
simulate: ## Fence through COUNT random schedules of faults of seed SEED, in virtual time
	@tools/setup test
	$(VENV)/python tests/campaign/run.py --singles --count $(COUNT) --seed $(SEED) $(ARGS)

.PHONY: campaign
campaign: ## The same end to end: a process, a real ssh, a simulated host in real time
	@tools/setup test
	$(VENV)/python tests/campaign/run.py --end-to-end --count 500 --jobs 16 --seed $(SEED) $(ARGS)
	$(VENV)/python tests/campaign/run.py --both --count 120 --jobs 16 --seed $(SEED) $(ARGS)

.PHONY: mutants
mutants: ## Change the agent in many places, one at a time: do the tests notice? (ARGS=--all)
	@tools/setup mutants
	$(PYTEST) -q tests/campaign/check_mutation.py
	$(VENV)/python tests/campaign/mutation.py $(ARGS)

.PHONY: matrix
matrix: ## Test on other releases of Debian, Python and the fencing library (root)
	@tools/setup matrix
	$(SUDO) tools/matrix $(if $(LIBS),--libs $(LIBS)) $(ARGS)

.PHONY: bench
bench: ## Measure what an action costs, against bare ssh (PEER=other agent)
	@tools/setup bench
	$(VENV)/python bench/run.py $(if $(PEER),--agent $(AGENT) --agent $(PEER)) $(ARGS)

.PHONY: upstream
upstream: ## Put the agent into a checkout of ClusterLabs/fence-agents (FA=DIR), run its checks
	@tools/setup upstream
	tools/upstream "$(FA)"

# --- installing --------------------------------------------------------------------------------

.PHONY: install
install: ## Install agent, tools and man pages (DESTDIR, PREFIX=/usr)
	tools/install install "$(DESTDIR)" "$(PREFIX)"

.PHONY: uninstall
uninstall: ## Remove them again
	tools/install uninstall "$(DESTDIR)" "$(PREFIX)"

.PHONY: deb
deb: ## Build the Debian package into dist/
	@tools/setup packages
	tools/package deb

.PHONY: rpm
rpm: ## Build the RPM package into dist/ (ARGS="--define 'rhel 8'" for RHEL 8)
	@tools/setup packages
	tools/package rpm $(ARGS)

.PHONY: manpage
manpage: ## Make docs/fence_esxi.8 anew from the agent's metadata
	@tools/setup test
	tools/manpage > docs/fence_esxi.8.new
	mv docs/fence_esxi.8.new docs/fence_esxi.8

.PHONY: clean
clean: ## Remove what was built, the virtual environment and the cached userlands too
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf $(MADE) 2>/dev/null || $(SUDO) rm -rf $(MADE)
