import pytest

from taskgraph import Graph


@pytest.fixture
def graph():
    graph = Graph()
    graph.add("design", 120, tags=["ui"])
    graph.add("build", 480, after=["design"], priority=2)
    return graph


def test_needs_are_copied(graph):
    graph.copy().depend("build", "paint")
    assert graph.needs("build") == ["design"]


def test_tasks_are_copied(graph):
    graph.copy().task("build").minutes = 10
    assert graph.task("build").minutes == 480


def test_tags_are_copied(graph):
    graph.copy().task("design").tags.add("late")
    assert graph.task("design").tags == {"ui"}


def test_removing_from_a_copy(graph):
    graph.copy().remove("design")
    assert graph.needs("build") == ["design"]


def test_copy_is_equal(graph):
    other = graph.copy()
    assert list(other) == ["design", "build"]
    assert other.task("build") == graph.task("build")


def test_added_tasks_stay_in_the_copy(graph):
    graph.copy().add("test")
    assert "test" not in graph
