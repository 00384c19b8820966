# `make demo` and `make test` need Rust and nothing else: a database server is installed where none is.
# Variables, in the environment or after `make`: MYSQL_RETRY_SERVER=/path/to/mariadbd-or-mysqld, MYSQL_RETRY_TRANSPORT=tcp|unix;
# for `make test` also MYSQL_RETRY_GALERA=no and MYSQL_RETRY_GROUP=no, which leave out what needs a cluster;
# for `make group` also GROUP=all|ci and GROUP_SCENARIO=the beginnings of the names of scenarios, with commas;
# for `make chaos` also CHAOS_SECONDS=60 and CHAOS_SEED=a number that it printed;
# for `make recovery` also RECOVERY=full|short, RECOVERY_FORMS=refused,accept_and_close,killed,black_hole,full,promoted,galera,
# group,router and RECOVERY_COLUMNS=ours,bare,backoff,sqlx (all of both by default);
# for `make fleet` also FLEET=full|short and RECOVERY_COLUMNS;
# for `make audit` also AUDIT_CASE=the number of one case that it printed;
# for `make fuzz` also SECONDS=60, SEED=a number that it printed, and with that SCRIPT=the number of one script.

# The suite with what is optional; `make test FLAGS=` runs it with the default features.
FLAGS ?= --features mysql-retry/tracing,mysql-retry/metrics
CARGO = cargo
# the demo and the chaos run, in tests/tools
TOOLS = --package mysql-retry-tools
# it waits for servers more than it works
export RUST_TEST_THREADS ?= 8

.PHONY: help demo test examples chaos faults audit fuzz bench counts mutants galera group recovery fleet throughput ci server clean

help:
	@echo 'make demo      see lost connections survived, on a private server (1 minute to build, then 30 s)'
	@echo 'make test      run everything: unit tests, the suite on a real server, the compiled examples in the docs'
	@echo 'make examples  run the examples, each on a private server'
	@echo 'make chaos     a minute of killed servers and cut paths: was every caller told the truth? Draws target/chaos/chaos.svg'
	@echo 'make faults    try to prove the verdicts wrong: a lost connection at every byte (5 minutes); CASE=n plays one case again'
	@echo 'make audit     the same for SQL: state left behind, transactions that end early, every error number (6 minutes)'
	@echo 'make fuzz      the same at random: scripts of many faults, for SECONDS=60; SEED=n repeats them, SCRIPT=n plays one again'
	@echo 'make galera    transactions on three Galera nodes; needs MariaDB and the package galera-4 (1 minute)'
	@echo 'make group     calls and verdicts on three nodes of Group Replication, also behind MySQL Router (10 minutes); needs Debian'
	@echo 'make recovery  outages beside a bare pool, a backoff loop and sqlx: who is back when? (17 minutes; RECOVERY=short: 90 s)'
	@echo 'make fleet     200 programs with a pool each on one server that comes back, or is full (7 minutes; FLEET=short: 30 s)'
	@echo 'make throughput  calls a second of 1 to 128 tasks, beside a connection in the hand, the bare pool and sqlx (2 minutes)'
	@echo 'make bench     measure what the library costs while nothing is lost'
	@echo 'make counts    do calls take more allocations or instructions than they did? Needs valgrind for the latter (1 minute)'
	@echo 'make mutants   do the tests notice each change of the core and the fence? Needs cargo-mutants (40 minutes)'
	@echo 'make ci        what CI runs (40 minutes at most)'
	@echo 'make server    install a database server where there is none; the others do it by themselves'
	@echo 'make clean     remove what was built, and the servers that CI unpacked'
	@echo 'MYSQL_RETRY_SERVER=/path/to/mariadbd-or-mysqld chooses the server, MYSQL_RETRY_TRANSPORT=tcp|unix how to reach it.'

demo: server
	@echo 'Building the demo ...'
	@$(CARGO) build --quiet --locked $(TOOLS)
	@$(CARGO) run --quiet --locked $(TOOLS) --bin demo

# built first, so that what the tests say is not buried under what the compiler says
test: server
	@echo 'Building the tests ...'
	@$(CARGO) test --quiet --locked --workspace $(FLAGS) --no-run
	@$(CARGO) test --locked --workspace --no-fail-fast $(FLAGS)

# the example `cluster` is run where MySQL with Group Replication is or can be unpacked, and says so where not
examples: server
	@[ -n "$$MYSQL_RETRY_MYSQL" ] || bash .ci/get-server mysql target/servers/mysql >/dev/null 2>&1 || true
	@echo 'Building the examples ...'
	@$(CARGO) build --quiet --locked --features metrics --examples
	@$(CARGO) build --quiet --locked --package mysql-retry-fixture --bin with-server
	@for example in long_job idempotent policy classify transfer exactly_once session failover cluster prometheus; do \
	  echo "== $$example"; \
	  $(CARGO) run --quiet --locked --package mysql-retry-fixture --bin with-server -- \
	    $(CARGO) run --quiet --locked --features metrics --example $$example || exit 1; \
	done

chaos: server
	@echo 'Building the chaos run ...'
	@$(CARGO) build --quiet --locked $(TOOLS)
	@$(CARGO) run --quiet --locked $(TOOLS) --bin chaos

# one case of the matrix instead of all, on the server of the run
CASE = $(FAULTS_CASE)

# TLS is a driver of its own to build, so that `make test` goes without; CI builds one driver, with TLS, for all
FAULTS_FLAGS ?= --features mysql-retry-fixture/tls

# the whole matrix, on the server of the run and on those that MYSQL_RETRY_MARIADB and MYSQL_RETRY_MYSQL name
faults: server
	@echo 'Building the fault matrix ...'
	@$(CARGO) test --quiet --locked --workspace $(FAULTS_FLAGS) --test faults --no-run
	@FAULTS=all FAULTS_CASE=$(CASE) $(CARGO) test --quiet --locked --workspace $(FAULTS_FLAGS) --test faults

# 800 statement forms and every error number, on the same servers as the matrix
audit: server
	@echo 'Building the audit ...'
	@$(CARGO) test --quiet --locked --workspace $(FLAGS) --test audit --no-run
	@AUDIT=all AUDIT_CASE=$(AUDIT_CASE) $(CARGO) test --quiet --locked --workspace $(FLAGS) --test audit

# random scripts of faults; the last line tells what was found
SECONDS = 60
SEED = $(FUZZ_SEED)
SCRIPT = $(FUZZ_SCRIPT)

fuzz: server
	@echo 'Building the fuzz ...'
	@$(CARGO) test --quiet --locked --workspace $(FAULTS_FLAGS) --test faults --no-run
	@FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) FUZZ_SCRIPT=$(SCRIPT) $(CARGO) test --quiet --locked --workspace $(FAULTS_FLAGS) --test faults

# where Galera is missing these fail, while `make test` skips them
galera: server
	@echo 'Building the tests on a cluster ...'
	@$(CARGO) test --quiet --locked --workspace $(FLAGS) --test galera --test cluster --no-run
	@MYSQL_RETRY_GALERA=required $(CARGO) test --quiet --locked --workspace $(FLAGS) --test galera --test cluster

# MySQL and its Router are unpacked beside the system where they are missing; the last line sums up what was found. With
# GROUP=ci the fixture's own tests and most scenarios are left out.
GROUP ?= all
GROUP_SCENARIO ?=

group: server
	@[ -n "$$MYSQL_RETRY_MYSQL" ] || bash .ci/get-server mysql target/servers/mysql >/dev/null
	@[ -n "$$MYSQL_RETRY_ROUTER" ] || bash .ci/get-server router target/servers/router >/dev/null
	@echo 'Building the tests on a group ...'
	@$(CARGO) test --quiet --locked --workspace $(FLAGS) --test group --test group-proof --no-run
	@[ -n '$(GROUP_SCENARIO)' ] || GROUP='$(GROUP)' MYSQL_RETRY_GROUP=required \
	  $(CARGO) test --quiet --locked --workspace $(FLAGS) --test group $(if $(filter ci,$(GROUP)),-- case_)
	@GROUP='$(GROUP)' GROUP_SCENARIO='$(GROUP_SCENARIO)' MYSQL_RETRY_GROUP=required \
	  $(CARGO) test --quiet --locked --workspace $(FLAGS) --test group-proof

# a package of its own, so that what the crate is compared with stays out of its tree
RECOVERY_TARGET = $(or $(CARGO_TARGET_DIR),$(CURDIR)/target/recovery)

recovery: server
	@echo 'Building the bench of outages ...'
	@CARGO_TARGET_DIR='$(RECOVERY_TARGET)' $(CARGO) build --quiet --locked --manifest-path benches/recovery/Cargo.toml $(RECOVERY_FEATURES)
	@'$(RECOVERY_TARGET)/debug/mysql-retry-recovery'

# the same package: programs with a pool each, on one server
FLEET ?= full

fleet: server
	@echo 'Building the bench of fleets ...'
	@CARGO_TARGET_DIR='$(RECOVERY_TARGET)' $(CARGO) build --quiet --locked --manifest-path benches/recovery/Cargo.toml $(RECOVERY_FEATURES)
	@FLEET='$(FLEET)' '$(RECOVERY_TARGET)/debug/mysql-retry-recovery'

# optimised as a user's program is; the picture is in the README
throughput: server
	@echo 'Building the bench of throughput ...'
	@CARGO_TARGET_DIR='$(RECOVERY_TARGET)' $(CARGO) build --quiet --release --locked --manifest-path benches/recovery/Cargo.toml $(RECOVERY_FEATURES)
	@THROUGHPUT=full '$(RECOVERY_TARGET)/release/mysql-retry-recovery'

bench: server
	@$(CARGO) bench --locked --bench guard
	@$(CARGO) bench --locked --bench overhead

# Optimised where it matters and built with the rest: `make bench` builds the whole tree once more. Metrics are not counted, as
# they are not on by default.
comma = ,
counts: server
	@echo 'Building the counts ...'
	@OVERHEAD=counts CARGO_INCREMENTAL=0 $(CARGO) bench --quiet --locked --workspace $(subst $(comma)mysql-retry/metrics,,$(FLAGS)) --profile dev \
	  --config profile.dev.package.mysql-retry.opt-level=2 --bench overhead

# what is looked at, and what is left out for which reason, stands in .cargo/mutants.toml
mutants:
	@$(CARGO) mutants --version >/dev/null 2>&1 || { \
	  echo 'cargo-mutants is not installed: $(CARGO) install cargo-mutants --locked' >&2; exit 1; }
	@mkdir -p target/fence
	@$(CARGO) mutants --output target
	@$(CARGO) mutants --config .cargo/mutants-fence.toml --output target/fence

ci:
	@bash .ci/run

server:
	@sh .ci/server

clean:
	@$(CARGO) clean
