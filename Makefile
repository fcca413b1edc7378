# make demo   try authd on an embedded database, in the foreground; DEMO_ARGS=--once ends after the show
# make test   install what the tests need and run everything
# make bench  measure authd beside the real Courier
# make bench-modules   measure the other modules beside Courier's
# make bench-timing    compare how long rejected logins take
# make lint   ruff and mypy
# make docs   write docs/settings.md and the manual pages of the files from the settings tables
#
# make install DESTDIR= prefix=/usr/local sysconfdir=$(prefix)/etc/authlib    lay out an installation
# make deb    build a Debian package in build/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=

DESTDIR ?=
prefix ?= /usr/local
sysconfdir ?= $(prefix)/etc/authlib
authdaemonvar ?= $(prefix)/var/spool/authdaemon
initdir ?= /etc/init.d
unitdir ?= /usr/lib/systemd/system
tmpfilesdir ?= /usr/lib/tmpfiles.d
mailuser ?=
mailgroup ?= $(mailuser)
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' authd/__init__.py)
DEB_REVISION ?= 1
DEB_PYTHON ?= /usr/bin/python3

.PHONY: demo test bench bench-modules bench-timing lint docs setup clean install deb

# The stamps are newer than pyproject.toml where the environment has what it names.
$(VENV)/installed: pyproject.toml
	tests/setup python "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python docs/demo.py $(DEMO_ARGS)

setup: $(VENV)/installed-dev
	tests/setup peers
	$(BIN)/python -c 'import MySQLdb, ldap, nacl' 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[ed25519,ldap,mysqlclient]' || test "$$(id -u)" -ne 0

test: setup lint
	tests/run $(TEST_ARGS)

bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench,mysqlclient]'
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

bench-modules: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench,mysqlclient]'
	$(BIN)/python -m tests.bench.modules $(BENCH_ARGS)

bench-timing: setup
	$(BIN)/python -m tests.bench.timing $(BENCH_ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python -m authd.config.document docs

install:
	tests/setup python "$(PYTHON)"
	DESTDIR="$(DESTDIR)" prefix="$(prefix)" sysconfdir="$(sysconfdir)" authdaemonvar="$(authdaemonvar)" \
		initdir="$(initdir)" unitdir="$(unitdir)" tmpfilesdir="$(tmpfilesdir)" \
		mailuser="$(mailuser)" mailgroup="$(mailgroup)" PYTHON="$(PYTHON)" init/install

deb:
	rm -rf build/deb
	$(MAKE) install PYTHON=$(DEB_PYTHON) DESTDIR=$(CURDIR)/build/deb prefix=/usr sysconfdir=/etc/courier \
		authdaemonvar=/run/courier/authdaemon mailuser=courier
	init/debian/build build/deb $(VERSION)-$(DEB_REVISION) build $(DEB_PYTHON)

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build *.egg-info
