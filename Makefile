# `make demo` and `make test` do everything on a fresh Debian 12 machine, as root.
#
#   make            build pagurus, pagurusctl and the probe guest into build/release
#   make demo       boot a stock Debian guest and replace the VMM under it three times
#   make test       every test: unit (sanitizers), functional on this KVM, functional with a stock guest
#   make model      the model of the hand-over, exhaustively
#   make unit       the unit tests alone
#   make fuzz       every fuzzer for FUZZ_SECONDS
#   make functional the functional tests alone
#   make variant    a pagurus that differs as another version would, for tests, into build/variant
#   make golden     write tests/golden from the declarations of state
#   make soak       SOAK=1000 hand-overs back to back, and every fault everywhere
#   make bench      every benchmark, and the goals (half an hour, on a machine that does nothing else)
#   make bench-quick  as little of each as shows that it works
#   make reference  write docs/reference and pagurus-qmp(7) from the schema
#   make install    PREFIX=/usr/local by default
#   make clean

JOBS ?= $(shell nproc)
BUILD := build/release
VARIANT := build/variant
SANITIZED := build/sanitized
THREADS := build/thread-sanitized
FAULTS := build/faults
# The unit tests in which threads meet.
THREAD_TESTS := event_test memory_test device_test kvm_test wire_test migration_test monitor_test
PREFIX ?= /usr/local
# On a terminal ninja shows where it is; elsewhere it would print a line for every file.
NINJA := ninja -j$(JOBS) $(shell [ -t 2 ] || echo --quiet)
CMAKE_FLAGS := -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache

export PAGURUS_BUILD := $(abspath $(BUILD))
# Lets clones in different places share what has been compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

.PHONY: all packages build variant faults demo test model unit unit-threads fuzz structure golden functional functional-probe functional-sanitized functional-faults functional-stock soak bench bench-quick newer-qemu lab-checks kernels testpmd reference install clean

all: build

packages:
	@scripts/install-packages

build: packages
	@mkdir -p build
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS) -DPAGURUS_TESTS=OFF >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@echo "building the programs ..."
	@$(NINJA) -C $(BUILD)

# The programs with faults to inject, for the fault walk.
faults: packages
	@mkdir -p build
	@cmake -S . -B $(FAULTS) $(CMAKE_FLAGS) -DPAGURUS_TESTS=OFF -DPAGURUS_FAULTS=ON >$(FAULTS).log 2>&1 || { cat $(FAULTS).log; exit 1; }
	@echo "building the programs with faults to inject ..."
	@$(NINJA) -C $(FAULTS)

variant: packages
	@mkdir -p build
	@cmake -S . -B $(VARIANT) $(CMAKE_FLAGS) -DPAGURUS_TESTS=OFF -DPAGURUS_VARIANT=ON >$(VARIANT).log 2>&1 || { cat $(VARIANT).log; exit 1; }
	@echo "building the variant ..."
	@$(NINJA) -C $(VARIANT) pagurus pagurusctl

# Benchmarks compare with it.
newer-qemu: packages
	@scripts/fetch-qemu

kernels: packages
	@scripts/fetch-kernels

# A real vhost-user back end, for the functional tests.
testpmd: packages
	@scripts/fetch-testpmd

demo: build kernels
	@demo/run $(DEMO_FLAGS)

test: structure model unit unit-threads lab-checks functional bench-quick

structure:
	@tests/structure/run

model: packages
	@model/check

unit: packages
	@mkdir -p build
	@cmake -S . -B $(SANITIZED) $(CMAKE_FLAGS) -DPAGURUS_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug >$(SANITIZED).log 2>&1 || { cat $(SANITIZED).log; exit 1; }
	@echo "building the programs, unit tests and fuzzers with ASan and UBSan ..."
	@$(NINJA) -C $(SANITIZED)
	@ctest --test-dir $(SANITIZED) -j$(JOBS) --output-on-failure --no-tests=error

unit-threads: packages
	@mkdir -p build
	@cmake -S . -B $(THREADS) $(CMAKE_FLAGS) -DPAGURUS_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug >$(THREADS).log 2>&1 || { cat $(THREADS).log; exit 1; }
	@echo "building the unit tests of threads with TSan ..."
	@$(NINJA) -C $(THREADS) $(THREAD_TESTS)
	@set -e; for test in $(THREAD_TESTS); do $(THREADS)/src/$$test --gtest_brief=1; done

FUZZ_SECONDS ?= 60
fuzz: unit
	@set -e; for fuzzer in $(SANITIZED)/fuzz/fuzz_*; do [ -x $$fuzzer ] && echo $$fuzzer && $$fuzzer --seconds $(FUZZ_SECONDS); done

functional: functional-probe functional-sanitized functional-faults functional-stock

# The other program in tests that hand over there and back between two builds.
export PAGURUS_SECOND_BUILD := $(abspath $(VARIANT))

# The probe guest runs on any KVM, also one that emulates.
functional-probe: build variant testpmd
	@tests/functional/run probe

# The same against ASan and UBSan: what a hostile peer or client reaches.
functional-sanitized: unit variant testpmd
	@PAGURUS_BUILD=$(abspath $(SANITIZED)) tests/functional/run probe

# Faults at every point of a migration, on both sides: every kind in a hand-over, some where RAM is copied.
functional-faults: faults
	@PAGURUS_BUILD=$(abspath $(FAULTS)) PAGURUS_FAULT_SAMPLE=1 tests/functional/run faults

# Hand-overs back to back under traffic, between two builds, and the whole of the fault walk.
SOAK ?= 1000
soak: build variant faults
	@PAGURUS_SOAK=$(SOAK) tests/functional/run probe tests/functional/test_soak.py -s
	@PAGURUS_BUILD=$(abspath $(FAULTS)) tests/functional/run faults

# BENCH_OUTPUT=docs/performance records them.
BENCH_OUTPUT ?= build/bench
bench: build newer-qemu kernels
	@bench/run --output $(BENCH_OUTPUT)

bench-quick: build newer-qemu
	@bench/run --quick --output build/bench-quick

# Stock Linux guests need real hardware virtualization; without it they run in the lab.
functional-stock: build kernels testpmd
	@tests/functional/run stock

# The nested test host itself, from outside.
lab-checks: kernels
	@lab/run-checks

# The committed streams and declarations, which a unit test compares: for a new machine type, and after a
# declaration got an optional field.  Anything else breaks hand-overs with processes that run already.
golden: packages
	@mkdir -p build
	@cmake -S . -B $(SANITIZED) $(CMAKE_FLAGS) -DPAGURUS_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug >$(SANITIZED).log 2>&1 || { cat $(SANITIZED).log; exit 1; }
	@$(NINJA) -C $(SANITIZED) app_test
	@PAGURUS_WRITE_GOLDEN=1 $(SANITIZED)/src/app_test --gtest_brief=1 --gtest_filter='Golden.*'

# The committed reference of commands, from the schema; a unit test compares them.
reference: build
	@$(BUILD)/qapi-gen --emit docs --output docs qapi/main.json

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build
