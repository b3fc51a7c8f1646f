# Everything a person types. The environment comes from the hashed locks; nothing is downloaded
# that the locks (or ops/kafka/pom.xml) do not name.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.stamp-run
DEV_STAMP := $(VENV)/.stamp-dev
LINKAGE_STAMP := $(VENV)/.stamp-linkage

.DEFAULT_GOAL := help
# Every target is a command, none is a file it makes.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(LINKAGE_STAMP): requirements-linkage.lock $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-linkage.lock
	@touch $@

setup: $(RUN_STAMP) ## make the environment that `run` and `demo` need

setup-dev: $(DEV_STAMP) ## make the environment that tests and benchmarks need

run: setup ## everything on the embedded engine: laboratories simulated, three streams flowing
	$(BIN)/labdispatch run $(ARGS)

demo: setup ## 1,000 simulated results, the account, one event of each stream
	$(BIN)/labdispatch demo $(ARGS)

kafka: setup-dev ## resolve Apache Kafka's jars from Maven
	@$(BIN)/python -m ops.kafka.resolve

hapi: setup-dev ## resolve HAPI HL7v2's jars from Maven, a second reader of our answers
	@$(BIN)/python -m tests.support.hapi.resolve

fhir: setup-dev ## resolve HAPI FHIR's validator from Maven, the judge of the dossier's Bundles
	@$(BIN)/python -m tests.support.fhir.resolve

node: setup-dev ## resolve node-hl7-client from npm, a sender of the field
	@$(BIN)/python -m tests.support.node.resolve

prometheus: setup-dev ## Prometheus, Alertmanager and their tools for tests: the machine's, or Debian's packages unpacked beside them
	@$(BIN)/python -m tests.support.prometheus.resolve

r: setup-dev ## R for one example of docs/reading.md: the machine's, or Debian's packages unpacked beside the tests
	@$(BIN)/python -m tests.support.r.resolve

test: setup-dev kafka hapi fhir node prometheus r ## every test, on a real PostgreSQL and a real Apache Kafka, two processes side by side
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup-dev ## ruff: what it checks, and its format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev ## mypy --strict
	$(BIN)/mypy

imports: setup-dev ## import-linter: roads lead one way
	$(BIN)/lint-imports

check: lint types imports test test-compiled ## what CI runs

compile: setup-dev ## compiled twins of the pure modules, half as fast again (needs a C compiler)
	$(BIN)/python -m ops.compile

IDENTITY_TESTS := tests/unit/test_dedup_*.py tests/properties/test_identity.py

PROJECTION_TESTS := tests/unit/test_dossier*.py tests/unit/test_routing_cases.py tests/unit/test_routing_projections.py

READER_TESTS := tests/unit/test_er7.py tests/unit/test_mapping.py tests/unit/test_judge.py tests/unit/test_checker.py \
  tests/unit/test_ack.py tests/unit/test_structures.py tests/unit/test_twins.py tests/golden \
  tests/properties/test_reader.py tests/fuzz

test-compiled: compile ## the tests of reader, matcher and projections on their compiled twins; and that plain Python can still be asked for
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(READER_TESTS) $(IDENTITY_TESTS) $(PROJECTION_TESTS) --twins=compiled $(ARGS)
	$(BIN)/python -X labdispatch=plain -m pytest tests/unit/test_twins.py tests/unit/test_mapping.py $(IDENTITY_TESTS) --twins=plain $(ARGS)

bench: bench-parse bench-identity bench-check bench-ack bench-batch bench-e2e bench-fairness ## the benchmarks, each on every engine (half an hour)

bench-parse: setup-dev ## parse + check + map against hl7apy and python-hl7
	$(BIN)/python -m benchmarks.parse $(ARGS)

bench-identity: setup-dev ## the pure identity engine on one core, candidates in memory
	$(BIN)/python -m benchmarks.identity $(ARGS)

bench-check: setup-dev ## `check` of 1,000 files, start-up included, against hl7apy's parse of them
	$(BIN)/python -m benchmarks.check $(ARGS)

bench-ack: setup-dev kafka ## acknowledged durably a second, against a bare echo
	$(BIN)/python -m benchmarks.ack --engine embedded $(ARGS)
	$(BIN)/python -m benchmarks.ack --engine cluster $(ARGS)

bench-batch: setup-dev ## a file alone: rate and memory; and what its neighbour feels meanwhile
	$(BIN)/python -m benchmarks.batch $(ARGS)

bench-e2e: setup-dev kafka ## in to readable, and the highest rate that is held
	$(BIN)/python -m benchmarks.e2e --engine embedded $(ARGS)
	$(BIN)/python -m benchmarks.e2e --engine cluster $(ARGS)

bench-fairness: setup-dev ## an honest laboratory's ACKs beside one that floods
	$(BIN)/python -m benchmarks.fairness $(ARGS)

bench-indicators: setup-dev ## public-health events a second into changes of cells, in memory
	$(BIN)/python -m benchmarks.indicators $(ARGS)

bench-keeping: setup-dev ## public health counted into PostgreSQL; a day's tables of 12 M results, asked for and published
	$(BIN)/python -m benchmarks.keeping
	$(BIN)/python -m benchmarks.tables

bench-nowcast: setup-dev ## how good the completeness of the last days is, on simulated delays; writes docs/nowcast-measured.md
	$(BIN)/python -m benchmarks.nowcast

bench-dashboards: setup-dev prometheus ## every query of the dashboards over a week, on a Prometheus of its own
	$(BIN)/python -m benchmarks.dashboards $(ARGS)

bench-scrape: setup-dev ## a scrape with 4,500 laboratories: all processes, each laboratory
	$(BIN)/python -m benchmarks.scrape $(ARGS)

bench-streams: setup-dev ## streams over HTTP: one reader, and how late 200 followers are
	$(BIN)/python -m benchmarks.streams $(ARGS)

bench-projection: setup-dev ## what a report costs on its way into the streams
	$(BIN)/python -m benchmarks.projection $(ARGS)

bench-resolver: setup-dev ## the resolver with PostgreSQL: records a second at 10,000 and 1,000,000 persons
	$(BIN)/python -m benchmarks.resolver $(ARGS)

proof-splits: setup-dev ## 2,000 pairs of back-to-back first results, 8 workers: no more splits than one makes
	$(BIN)/pytest tests/integration/test_splits.py -m "proof or not proof" $(ARGS)

proof-crash: setup-dev kafka ## every crash test, also those that CI leaves out
	$(BIN)/pytest tests/crash -m "proof or not proof" $(ARGS)

proof-restore: setup-dev kafka ## a cluster's database is brought back to a moment, and all agree again
	$(BIN)/pytest tests/e2e/test_cluster_restored.py -m proof $(ARGS)

proof-rolling: setup-dev kafka ## an upgrade from the release before, both running, at 170/s: nothing refused, nothing lost; p99 of ACKs, a row
	$(BIN)/pytest tests/e2e/test_rolling.py -m "proof or not proof" $(ARGS)
	$(BIN)/python -m tests.support.rolling_proof

proof-gameday: setup-dev kafka prometheus ## ten faults into a running cluster under load: who is told, when, of nothing else; ARGS="--only disk-nearly-full --scale 10" (Linux, root)
	$(BIN)/python -m tests.gameday $(ARGS)

proof-relay: setup-dev kafka ## the relay under SIGKILL, brokers that go, emptied topics, restored databases; a row each
	$(BIN)/pytest tests/crash/test_relay.py tests/properties/test_allow_list.py -m "proof or not proof" $(ARGS)

bench-export: setup-dev ## events a second from the outbox into Parquet and CSV; memory
	$(BIN)/python -m benchmarks.export $(ARGS)

bench-relay: setup-dev kafka ## events a second from the outbox into one broker, against a bare producer; codecs
	$(BIN)/python -m benchmarks.relay $(ARGS)

bench-restart: setup-dev kafka ## each process killed, until it is ready again; on both engines
	$(BIN)/python -m benchmarks.restart --engine embedded $(ARGS)
	$(BIN)/python -m benchmarks.restart --engine cluster $(ARGS)

bench-soak: setup-dev ## an hour at 170/s with everything on (SECONDS, RATE): slopes of memory, handles, bloat, latency
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),3600) --rate $(or $(RATE),170) $(ARGS)

bench-retention: setup-dev ## the purge of a day of a million messages beside a door: seconds, the longest append
	$(BIN)/python -m benchmarks.retention $(ARGS)

bench-trace: setup-dev ## trace among ten million messages, and what its index costs (30 GB of disk)
	$(BIN)/python -m benchmarks.trace $(ARGS)

proof-identity: setup-dev ## results, merges, unmerges, verdicts and late INS in any order, at length; and crashes of stewards
	$(BIN)/pytest tests/properties/test_identity_machine.py tests/crash/test_stewards.py -m "proof or not proof" $(ARGS)

proof-indicators: setup-dev ## events in any order and cut, at length: the cells are those that SQL counts from all of them
	$(BIN)/pytest tests/properties/test_indicators.py -m "proof or not proof" $(ARGS)

proof-streams: setup-dev ## corrections, identities, oppositions and replays in any order, EXAMPLES times (300 by default): each stream equals a computation from scratch
	$(BIN)/python -m tests.properties.streams_proof --examples $(or $(EXAMPLES),300) $(ARGS)

proof-disclosure: setup-dev ## 2,100 attacks by linear programming on published figures: no protected cell is recovered
	$(BIN)/pytest tests/properties/test_disclosure.py tests/properties/test_disclosure_delays.py tests/properties/test_disclosure_revised.py tests/properties/test_disclosure_tight.py -m proof $(ARGS)

proof-kills: setup-dev kafka ## SIGKILL of any station under load, KILLS times (1,000 by default) on each engine
	$(BIN)/python -m tests.crash.kills --kills $(or $(KILLS),1000) --engine embedded $(ARGS)
	$(BIN)/python -m tests.crash.kills --kills $(or $(KILLS),1000) --engine cluster $(ARGS)

proof-fuzz: setup-dev ## hours of fuzzing (HOURS=1 by default), a row for each target
	$(BIN)/python -m tests.fuzz.proof --hours $(or $(HOURS),1) $(ARGS)

proof-hostile: setup-dev ## 1,000 hostile peers beside honest laboratories over mutual TLS
	$(BIN)/python -m benchmarks.hostile $(ARGS)

bench-connections: setup-dev ## 4,500 connections over mutual TLS: memory, answers, all at once again
	$(BIN)/python -m benchmarks.connections $(ARGS)

proof-fhir: setup-dev fhir ## the Bundles of 10,000 simulated messages and of the corpus, judged by HAPI's validator
	$(BIN)/pytest tests/unit/test_dossier.py -m proof
	$(BIN)/python -m tests.support.fhir.proof $(ARGS)

proof-oracle: setup-dev ## 5,000 messages judged by our checker and by hl7apy, a row for each figure
	$(BIN)/python -m tests.support.oracle_proof $(ARGS)

bench-linkage: $(LINKAGE_STAMP) ## who is who: FEBRL beside Splink, and a French million (an hour)
	$(BIN)/python -m benchmarks.linkage.febrl
	$(BIN)/python -m benchmarks.linkage.french $(ARGS)
	$(BIN)/python -m benchmarks.linkage.curve

lock: ## write the locks anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --extra dev -c requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements-dev.lock
	uv pip compile pyproject.toml --extra linkage -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements-linkage.lock

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info ingest/_compiled dedup/_compiled routing/_compiled
