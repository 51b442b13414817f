# SPDX-License-Identifier: MIT
# The front door; meson builds. `make help` lists what there is.

PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := build
.PHONY: build run stop test test-long bench lint fuzz agents-check install image clean help

build: ## build every program into build/ (as root: installs what that needs)
	@tools/install-deps build && tools/build

run: ## start a server, push a tree, mount it and show it; all state in .run/
	@tools/install-deps build && tools/build && tools/run

stop: ## unmount and stop what `make run` started
	@tools/stop

test: ## run every suite; ends with one line `N passed, N failed, N skipped`
	@tools/install-deps test && tools/run-tests

test-long: ## the slow cases too, longer fuzzing, valgrind, and a fresh Debian in a chroot
	@tools/install-deps test && tools/run-tests --long && tools/check-fresh

bench: ## each benchmark beside its peer: `bench NAME ours=.. peer=.. ratio=.. goal=..`
	@tools/install-deps bench && tools/build && bench/run

lint: ## floors of #include, text rules, shellcheck, man pages
	@tools/install-deps test && tools/run-tests lint

fuzz: ## fuzz each parser for FUZZ_SECONDS (default 60), starting from its corpus
	@tools/install-deps test && tools/fuzz

agents-check: ## compile common/ and agent/ for Linux, macOS and Windows
	@tools/install-deps test && tools/agents-check

install: ## install below $(DESTDIR)$(PREFIX), built first if need be
	@tools/install-deps build && tools/install "$(DESTDIR)" "$(PREFIX)"

image: ## build the container image
	@tools/image

clean: ## remove what was built; what was downloaded stays in .cache/
	@rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /\1\t/p' Makefile | expand -t 14
