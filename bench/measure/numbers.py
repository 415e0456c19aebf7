"""Quantiles and ratios, without a library."""

import statistics


def quantile(values, share):
    """By the nearest rank: a value that was measured."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def summary(values):
    """What a table shows of measured values; nothing of none."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"count": len(values), "median": statistics.median(values), "p90": quantile(values, 0.9),
            "p99": quantile(values, 0.99), "max": max(values)}


def ratio(numerators, denominators):
    """Of two rows of values whose members were measured right after each other: the median of the single ratios, and
    between which values the middle 80 % of them lie."""
    ratios = [a / b for a, b in zip(numerators, denominators) if a is not None and b]
    if not ratios:
        return None
    return {"median": statistics.median(ratios), "p10": quantile(ratios, 0.1), "p90": quantile(ratios, 0.9)}
