import pytest

from taskgraph import CycleError, Graph, find_cycle, levels, topological_order


def make(**needs):
    graph = Graph()
    for name, after in needs.items():
        graph.add(name, after=after.split())
    return graph


def test_topological_order():
    assert topological_order(make(c="a b", b="a", a="")) == ["a", "b", "c"]


def test_find_cycle():
    assert find_cycle(make(a="b", b="c", c="a")) == ["a", "b", "c", "a"]
    assert find_cycle(make(a="", b="a")) is None


def test_cycle_error():
    with pytest.raises(CycleError, match="a -> b -> a"):
        topological_order(make(a="b", b="a"))


def test_levels():
    assert levels(make(a="", b="a", c="b", d="a")) == [["a"], ["b", "d"], ["c"]]
    assert levels(Graph()) == []
