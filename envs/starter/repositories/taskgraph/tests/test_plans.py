import pytest

from taskgraph import GraphError, dump_plan, load_plan
from taskgraph.errors import PlanError

PLAN = """\
design: 2h
build: 1d after design
test: 4h after build, design !2 #qa
"""


def test_load():
    graph = load_plan("; our plan\n\n" + PLAN)
    assert graph.needs("test") == ["build", "design"]
    assert graph.task("test").priority == 2
    assert graph.task("test").tags == {"qa"}
    assert graph.task("build").minutes == 480


def test_name_only():
    assert load_plan("party").task("party").minutes == 0


def test_round_trip():
    assert dump_plan(load_plan(PLAN)) == PLAN


def test_bad_line():
    with pytest.raises(PlanError, match="line 2"):
        load_plan("a: 2h\na: 3h")


def test_unknown_need():
    with pytest.raises(GraphError, match="tools"):
        load_plan("build: 1h after tools")
