"""Fixtures of the tests with the stock guest: one booted guest is shared by the tests of a module.

A test gets the guest running and answering, in whatever process the tests before it left it; if one of them broke it, it
is booted again.
"""

import pytest

import stock
import stock_repeat
from guest import processes_of_this_run


class Pool:
    """The module's guest, and how to make it again."""

    def __init__(self, directory, make, options):
        self._directory = directory
        self._make = make
        self._options = options
        self._count = 0
        self.guest = None

    def get(self):
        if self.guest and not self._usable():
            self.close()
        if not self.guest:
            self._count += 1
            directory = self._directory / str(self._count)
            directory.mkdir()
            self.guest = self._make(directory, **self._options)
            stock_repeat.watch(self.guest)
            self.guest.wait_ready()
            stock_repeat.learn_symbols(self.guest)
        return self.guest

    def _usable(self):
        return self.guest.vmm.alive() and self.guest.vmm.status() == "running" and self.guest.answers()

    def close(self):
        if self.guest:
            stock_repeat.forget(self.guest)
            self.guest.close()
            self.guest = None


@pytest.fixture(scope="module")
def stock_pool(request, module_directory, nothing_left_by_module):
    make = getattr(request.module, "GUEST", stock.StockGuest)
    pool = Pool(module_directory, make, getattr(request.module, "GUEST_OPTIONS", {}))
    yield pool
    pool.close()


@pytest.fixture
def stock_guest(stock_pool):
    return stock_pool.get()


@pytest.fixture(autouse=True)
def nothing_left(stock_pool):
    """In place of the fixture for the probe guest: a test may leave its guest in another process, but only in one."""
    yield
    left = processes_of_this_run()
    allowed = stock_pool.guest.lasting() if stock_pool.guest else set()
    assert left <= allowed, f"processes are left: {left - allowed}"
