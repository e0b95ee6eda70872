from taskgraph import Graph, slack


def make(*tasks):
    graph = Graph()
    for name, minutes, after in tasks:
        graph.add(name, minutes, after=after.split())
    return graph


def test_independent_tasks():
    graph = make(("house", 100, ""), ("garden", 30, ""))
    assert slack(graph) == {"house": 0, "garden": 70}


def test_tasks_before_a_short_end():
    graph = make(("house", 100, ""), ("dig", 20, ""), ("plant", 30, "dig"))
    assert slack(graph) == {"house": 0, "dig": 50, "plant": 50}


def test_two_ends_after_one_start():
    graph = make(("a", 10, ""), ("b", 40, "a"), ("c", 5, "a"))
    assert slack(graph) == {"a": 0, "b": 0, "c": 35}


def test_one_end():
    graph = make(("a", 10, ""), ("b", 30, ""), ("c", 5, "a b"))
    assert slack(graph) == {"a": 20, "b": 0, "c": 0}


def test_chain():
    assert slack(make(("a", 10, ""), ("b", 1, "a"))) == {"a": 0, "b": 0}


def test_empty():
    assert slack(Graph()) == {}
