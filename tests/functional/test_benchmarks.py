"""What the benchmarks compute with, and the floor; that they run at all is shown by `make bench-quick`."""

import json
import pathlib
import subprocess
import sys

import pytest

from vmm import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from measure import goals, numbers, table  # noqa: E402

pytestmark = pytest.mark.probe


def floor(*words):
    return subprocess.run([BUILD / "floor", *words], capture_output=True, text=True, timeout=120, check=False)


def test_quantiles_are_measured_values():
    values = list(range(1, 101))
    assert [numbers.quantile(values, share) for share in (0.01, 0.5, 0.9, 0.99, 1)] == [1, 50, 90, 99, 100]
    assert numbers.quantile([7], 0.5) == 7
    assert numbers.summary([3, None, 1, 2]) == {"count": 3, "median": 2, "p90": 3, "p99": 3, "max": 3}
    assert numbers.summary([None]) is None


def test_a_ratio_is_that_of_single_rounds():
    # The machine was ten times slower in the second round.
    assert numbers.ratio([2, 20, 2], [1, 10, 1]) == {"median": 2, "p10": 2, "p90": 2}
    assert numbers.ratio([1, None], [0, 1]) is None


def test_a_goal_tells_how_far_it_is():
    most, least = goals.Goal("", None, most=2), goals.Goal("", None, least=5)
    assert [most.verdict(value) for value in (2, 3, None)] == ["✓", "missed by a factor of 1.50", "not measured"]
    assert [least.verdict(value) for value in (5, 2)] == ["✓", "missed by a factor of 2.50"]
    assert goals.Goal("", None, most=0).verdict(1) == "missed"
    assert goals.text({}).count("not measured") == len(goals.GOALS)


def test_numbers_have_three_digits():
    assert [table.number(value) for value in (0.1234, 12.345, 1234.5, 0, None)] == ["0.12", "12.3", "1234", "0", "-"]


@pytest.mark.parametrize("vcpus", [1, 4])
def test_the_floor_moves_the_state_and_tells_each_part(vcpus):
    done = floor("--json", "--count", "2", "--vcpus", str(vcpus), "--memory", "64")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["count"], report["vcpus"], report["memory_mib"]) == (2, vcpus, 64)
    assert set(report["us"]) == {"pause", "get", "send", "set", "enter"}
    assert all(len(part["all"]) == 2 and part["median"] > 0 for part in report["us"].values())


def test_the_floor_refuses_what_it_does_not_know():
    for words in (["--vcpus", "0"], ["--vcpus", "65"], ["--memory", "many"], ["more"]):
        done = floor(*words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert done.stderr.startswith("floor: ")
