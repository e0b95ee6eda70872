import pytest

from taskgraph import Graph, GraphError, plan_schedule


@pytest.fixture
def graph():
    graph = Graph()
    graph.add("design", 60)
    graph.add("buy", 30)
    graph.add("build", 90, after=["design", "buy"])
    graph.add("test", 10, after=["build"])
    return graph


def test_needs_are_passed_on(graph):
    graph.remove("build")
    assert graph.needs("test") == ["buy", "design"]


def test_removing_two_in_a_row(graph):
    graph.add("ship", after=["test"])
    graph.remove("test")
    graph.remove("build")
    assert graph.needs("ship") == ["buy", "design"]


def test_schedule_still_waits(graph):
    graph.remove("build")
    assert plan_schedule(graph, workers=3).slot("test").start == 60


def test_remove_a_root(graph):
    graph.remove("buy")
    assert graph.needs("build") == ["design"]


def test_remove_unknown(graph):
    with pytest.raises(GraphError):
        graph.remove("party")
