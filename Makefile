# `make demo` and `make test` need Rust and nothing else: a database server is installed where none is.
# Variables, in the environment or after `make`: MYSQL_RETRY_SERVER=/path/to/mariadbd-or-mysqld, MYSQL_RETRY_TRANSPORT=tcp|unix.

# The suite with what is optional; `make test FLAGS=` runs it with the default features.
FLAGS = --features mysql-retry/tracing
CARGO = cargo

.PHONY: help demo test examples bench ci server clean

help:
	@echo 'make demo      see lost connections survived, on a private server (1 minute to build, then 30 s)'
	@echo 'make test      run everything: unit tests, the suite on a real server, the compiled examples in the docs'
	@echo 'make examples  run the other examples, each on a private server'
	@echo 'make bench     measure what the library costs while nothing is lost'
	@echo 'make ci        what CI runs (20 minutes at most)'
	@echo 'make server    install a database server where there is none; the others do it by themselves'
	@echo 'make clean     remove what was built, and the servers that CI unpacked'
	@echo 'MYSQL_RETRY_SERVER=/path/to/mariadbd-or-mysqld chooses the server, MYSQL_RETRY_TRANSPORT=tcp|unix how to reach it.'

demo: server
	@echo 'Building the demo ...'
	@$(CARGO) build --quiet --locked --example demo
	@$(CARGO) run --quiet --locked --example demo

# built first, so that what the tests say is not buried under what the compiler says
test: server
	@echo 'Building the tests ...'
	@$(CARGO) test --quiet --locked --workspace $(FLAGS) --no-run
	@$(CARGO) test --locked --workspace --no-fail-fast $(FLAGS)

examples: server
	@echo 'Building the examples ...'
	@$(CARGO) build --quiet --locked --examples
	@$(CARGO) build --quiet --locked --package mysql-retry-fixture --bin with-server
	@for example in idempotent policy long_job; do \
	  echo "== $$example"; \
	  $(CARGO) run --quiet --locked --package mysql-retry-fixture --bin with-server -- \
	    $(CARGO) run --quiet --locked --example $$example || exit 1; \
	done

bench: server
	@$(CARGO) bench --locked --bench overhead

ci:
	@bash .ci/run

server:
	@sh .ci/server

clean:
	@$(CARGO) clean
