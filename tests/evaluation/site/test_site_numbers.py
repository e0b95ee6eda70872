from __future__ import annotations

import math
import re
from importlib import resources
from xml.etree import ElementTree

import pytest

from srl_swe.evaluation.site.charts import Series, interval_chart, line_chart, ticks
from srl_swe.evaluation.site.curves import curve_groups
from srl_swe.evaluation.site.markers import PHRASES, ThoughtTally, count_markers, thought_of
from srl_swe.evaluation.site.numbers import solve_rate
from srl_swe.evaluation.site.runs import EpisodeLine, Training
from srl_swe.evaluation.site.text import clean, clip
from srl_swe.evaluation.statistics import Interval, wilson


def training(label, arm, tmp_path, values, **more):
    metrics = [{"update": k, "loss": value, **more} for k, value in enumerate(values, start=1)]
    return Training(label=label, arm=arm, folder=tmp_path, metrics=metrics, config={})


def test_seeds_become_a_mean_and_the_range_between_them(tmp_path):
    runs = [training("a/seed-0", "a", tmp_path, [1, 2, 3]), training("a/seed-1", "a", tmp_path, [3, 6])]
    ((group, (curve,)),) = curve_groups(runs, {"a": 0}, {})
    assert (group, curve.title) == ("Optimisation", "Loss")
    assert curve.series[0].points == ((1, Interval(2, 1, 3)), (2, Interval(4, 2, 6)))
    assert curve.series[0].label == "a (2 seeds)"


def test_curves_of_one_seed_have_the_rollouts_intervals(tmp_path):
    runs = [training("a", "a", tmp_path, [1, 2], kept_groups=3, sampled_groups=6, unknown_number=1, text="x")]
    groups = dict(curve_groups(runs, {}, {"a": {"loss": {2: Interval(9, 1, 5)}}}))
    assert [c.title for c in groups["Reward"]] == ["Groups kept, of those sampled"]
    assert [c.title for c in groups["Other"]] == ["unknown number"]
    points = groups["Optimisation"][0].series[0].points
    assert points[1] == (2, Interval(2, 1, 5))
    assert math.isnan(points[0][1].low)


def test_long_runs_are_thinned_and_end_where_they_end(tmp_path):
    ((_, (curve,)),) = curve_groups([training("a", "a", tmp_path, range(5001))], {}, {})
    assert len(curve.series[0].points) <= 402
    assert curve.series[0].points[-1][0] == 5001


@pytest.mark.parametrize("values", [[0.5], [0, 0, 0], [-1e6, 1e9], [1e-9, 2e-9], [5, 5], [-3, -3]])
def test_a_chart_is_xml_and_within_its_frame(values):
    points = tuple((k, Interval(v, v - 0.1, v + 0.1)) for k, v in enumerate(values, start=1))
    picture = line_chart("<b>", [Series(label="<i>\x00", colour=1, points=points)])
    root = ElementTree.fromstring(picture)
    for circle in root.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= 360
        assert 0 <= float(circle.get("cy")) <= 190
    ElementTree.fromstring(interval_chart("&", [("<a>", wilson(0, 3), 0), ("b", wilson(2, 3), 1)], rates=True))


def test_ticks_enclose_and_are_round():
    assert ticks(0.13, 0.62, 4) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert ticks(1, 36, 5, whole=True) == [0, 10, 20, 30, 40]
    for low, high in ((0, 1), (-0.7, 0.2), (3, 3), (1e-7, 1e-6)):
        found = ticks(low, high, 4)
        assert found[0] <= low + 1e-12
        assert found[-1] >= high - 1e-12
        assert 2 <= len(found) <= 8


def episode(task, solved, *, greedy=False):
    return EpisodeLine(
        task_id=task, repository="r", solved=solved, ending="submitted", steps=1, malformed=0, seconds=1.0, policy="p",
        greedy=greedy, tokens=None,
    )  # fmt: skip


def test_solve_rate_of_one_and_of_several_samples():
    assert solve_rate([episode("a", True), episode("b", False), episode("c", None)]) == wilson(1, 2)
    assert not solve_rate([])
    none = solve_rate([episode(task, False) for task in "abc" for _ in range(4)])
    assert none == wilson(0, 3)
    some = solve_rate([episode(task, k < n) for task, n in (("a", 1), ("b", 3), ("c", 0)) for k in range(4)])
    assert some.value == pytest.approx(1 / 3)
    assert 0 <= some.low < some.value < some.high <= 1
    drawn = solve_rate([episode("a", False, greedy=True), episode("a", True), episode("b", True)])
    assert drawn == wilson(2, 2)


def test_markers_are_whole_phrases_and_the_longest():
    text = "First, I check the file. Wait, that is WRONG; actually I’ll double-check. The checker awaits. Let me see if"
    assert count_markers(text) == {"planning": 3, "checking": 3, "revising": 3}
    assert count_markers("") == dict.fromkeys(PHRASES, 0)
    assert all(phrase == phrase.lower() for phrases in PHRASES.values() for phrase in phrases)
    for kind, phrases in PHRASES.items():
        for phrase in phrases:
            assert count_markers(f"so {phrase} then")[kind] == 1, phrase


def test_thoughts_and_their_length():
    assert thought_of("<think>\na b\n</think>\n```bash\nls\n```") == "a b"
    assert thought_of("<think>never closed") == "never closed"
    assert thought_of("none at all") == ""
    tally = ThoughtTally()
    tally.add("let me check it", "a", length=20)
    tally.add("", "b", length=5)
    found = tally.summary()
    assert (found.answers, found.words.value, found.length.value) == (2, 2.0, 12.5)
    assert found.markers["checking"].value == 0.5
    assert found.per_hundred["planning"] == pytest.approx(25.0)
    assert not ThoughtTally().summary().words


def test_text_of_others():
    assert clean("a\x00b\ud800c\x1b\t\n") == "a�b�c�\t\n"
    assert clip("x" * 10, 4) == "xx\n… 6 characters left out …\nxx"
    assert clip("abc", 3) == "abc"


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_in_light_and_in_dark():
    css = (resources.files("srl_swe.evaluation.site") / "static" / "site.css").read_text()
    start, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (start, rest))
    assert set(light) == set(dark)
    for colours in (light, dark):
        for ground in ("paper", "card", "sunk"):
            for text in ("ink", "muted", "link", "good", "bad", "warn"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
            for line in (f"s{k}" for k in range(8)):
                assert contrast(colours[line], colours[ground]) >= 3, (line, ground)
        assert contrast(colours["ink"], colours["mark"]) >= 4.5
        assert contrast(colours["mark-line"], colours["mark"]) >= 3
