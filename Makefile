# `make demo` and `make test` do everything on a fresh Debian 12 machine, as root.
#
#   make            build pagurus, pagurusctl and the probe guest into build/release
#   make demo       boot a stock Debian guest and replace the VMM under it three times
#   make test       every test: unit (sanitizers), functional on this KVM, functional with a stock guest
#   make unit       the unit tests alone
#   make functional the functional tests alone
#   make install    PREFIX=/usr/local by default
#   make clean

JOBS ?= $(shell nproc)
BUILD := build/release
SANITIZED := build/sanitized
PREFIX ?= /usr/local
CMAKE_FLAGS := -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache

export PAGURUS_BUILD := $(abspath $(BUILD))

.PHONY: all packages build demo test unit structure functional functional-probe functional-stock kernels install clean

all: build

packages:
	@scripts/install-packages

build: packages
	@mkdir -p build
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS) -DPAGURUS_TESTS=OFF >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@ninja -C $(BUILD) -j$(JOBS) --quiet

kernels: packages
	@scripts/fetch-kernels

demo: build kernels
	@demo/run $(DEMO_FLAGS)

test: structure unit functional

structure:
	@tests/structure/run

unit: packages
	@mkdir -p build
	@cmake -S . -B $(SANITIZED) $(CMAKE_FLAGS) -DPAGURUS_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug >$(SANITIZED).log 2>&1 || { cat $(SANITIZED).log; exit 1; }
	@ninja -C $(SANITIZED) -j$(JOBS) --quiet
	@ctest --test-dir $(SANITIZED) -j$(JOBS) --output-on-failure --no-tests=error

functional: functional-probe functional-stock

# The probe guest runs on any KVM, also one that emulates.
functional-probe: build
	@tests/functional/run probe

# Stock Linux guests need real hardware virtualization; without it they run in the lab.
functional-stock: build kernels
	@tests/functional/run stock

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build
