from taskgraph import Graph, Runner


def fail():
    raise RuntimeError("no")


def make_runner(broken):
    graph = Graph()
    graph.add("build")
    graph.add("test", after=["build"])
    graph.add("deploy", after=["test"])
    graph.add("announce", after=["deploy"])
    graph.add("lint")
    runner = Runner(graph)
    runner.action(broken, fail)
    return runner


def test_chain_is_skipped():
    states, _ = make_runner("build").run()
    assert states["test"] == states["deploy"] == "skipped"


def test_action_of_a_skipped_task_is_not_run():
    ran = []
    runner = make_runner("build")
    runner.action("deploy", lambda: ran.append("deploy"))
    runner.run()
    assert ran == []


def test_end_of_the_chain_is_skipped():
    states, _ = make_runner("test").run()
    assert states["announce"] == "skipped"


def test_others_still_run():
    states, errors = make_runner("build").run()
    assert states["lint"] == "done"
    assert list(errors) == ["build"]


def test_last_task_fails():
    states, _ = make_runner("announce").run()
    assert states["announce"] == "failed"
    assert states["deploy"] == "done"
