"""Percentiles and tables of figures."""

import math

import pytest

from heisenberg.bench.table import markdown, percentile


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 50, 1), (2, 50, 1), (3, 50, 2), (10, 95, 10), (20, 95, 19), (20, 0, 1), (20, 100, 20)],
)
def test_a_percentile_is_one_of_the_values(count: int, percent: float, expected: int) -> None:
    """By nearest rank, whatever their order."""
    assert expected == percentile(list(range(count, 0, -1)), percent)


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


def test_columns_are_aligned() -> None:
    assert "| a    | b |\n|------|---|\n| long | 1 |" == markdown(["a", "b"], [["long", 1]])
