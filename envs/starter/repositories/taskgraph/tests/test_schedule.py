import pytest

from taskgraph import Graph, GraphError, critical_path, plan_schedule, slack


@pytest.fixture
def graph():
    graph = Graph()
    graph.add("a", 10)
    graph.add("b", 30, after=["a"])
    graph.add("c", 20, after=["a"])
    graph.add("d", 5, after=["b", "c"])
    return graph


def test_one_worker(graph):
    schedule = plan_schedule(graph)
    assert schedule.makespan == 65
    assert [slot.task for slot in schedule.worker(0)] == ["a", "b", "c", "d"]


def test_two_workers(graph):
    schedule = plan_schedule(graph, workers=2)
    assert schedule.slot("c").start == 10
    assert schedule.makespan == 45


def test_no_workers(graph):
    with pytest.raises(GraphError):
        plan_schedule(graph, workers=0)


def test_critical_path(graph):
    assert critical_path(graph) == ["a", "b", "d"]
    assert critical_path(Graph()) == []


def test_slack(graph):
    assert slack(graph) == {"a": 0, "b": 0, "c": 10, "d": 0}
