import pytest

from taskgraph import Graph, GraphError, Runner
from taskgraph.runner import summary


def fail():
    raise RuntimeError("no")


def make_runner(**options):
    graph = Graph()
    graph.add("a")
    graph.add("b", after=["a"])
    return Runner(graph, **options)


def test_run():
    done = []
    runner = make_runner()
    for name in "ba":
        runner.action(name, lambda name=name: done.append(name))
    states, errors = runner.run()
    assert done == ["a", "b"]
    assert states == {"a": "done", "b": "done"}
    assert errors == {}


def test_failure_skips_dependents():
    runner = make_runner()
    runner.action("a", fail)
    states, errors = runner.run()
    assert states == {"a": "failed", "b": "skipped"}
    assert str(errors["a"]) == "no"


def test_negative_retries():
    with pytest.raises(GraphError):
        make_runner(retries=-1)


def test_summary():
    assert summary({"a": "done", "b": "failed", "c": "done"}) == "2 done, 1 failed"
    assert summary({}) == "nothing to do"
