import pytest

from taskgraph import CycleError, Graph, find_cycle, topological_order


def make(**needs):
    graph = Graph()
    for name, after in needs.items():
        graph.add(name, after=after.split())
    return graph


def test_way_to_the_cycle_is_left_out():
    assert find_cycle(make(a="b", b="c", c="b")) == ["b", "c", "b"]


def test_task_that_needs_itself():
    assert find_cycle(make(a="b", b="b")) == ["b", "b"]


def test_message():
    with pytest.raises(CycleError, match="cycle: c -> d -> c"):
        topological_order(make(a="b", b="c", c="d", d="c"))


def test_cycle_from_the_start():
    assert find_cycle(make(a="b", b="a", c="a")) == ["a", "b", "a"]


def test_diamond_is_no_cycle():
    assert find_cycle(make(a="b c", b="d", c="d", d="")) is None
