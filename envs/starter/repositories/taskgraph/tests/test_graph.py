import pytest

from taskgraph import Graph, GraphError


@pytest.fixture
def graph():
    graph = Graph()
    graph.add("design", 120)
    graph.add("build", 480, after=["design"])
    graph.add("test", 240, after=["build"])
    graph.add("party")
    return graph


def test_needs(graph):
    assert graph.needs("build") == ["design"]
    assert graph.all_needs("test") == {"design", "build"}


def test_dependents(graph):
    assert graph.dependents("design") == ["build"]
    assert graph.all_dependents("design") == {"build", "test"}


def test_roots(graph):
    assert graph.roots() == ["design", "party"]


def test_add_twice(graph):
    with pytest.raises(GraphError):
        graph.add("build")


def test_missing(graph):
    graph.depend("party", "cake")
    assert graph.missing() == ["cake"]
    with pytest.raises(GraphError, match="cake"):
        graph.check()


def test_remove_last(graph):
    graph.remove("test")
    assert list(graph) == ["design", "build", "party"]


def test_subgraph(graph):
    assert list(graph.subgraph(["build"])) == ["design", "build"]
