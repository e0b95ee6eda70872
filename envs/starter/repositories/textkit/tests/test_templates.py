import pytest

from textkit.errors import TemplateError
from textkit.templates import render


def test_names():
    assert render("Hi {{ name }}!", {"name": "Ann"}) == "Hi Ann!"


def test_dotted_names():
    assert render("{{ user.name }}", {"user": {"name": "Ann"}}) == "Ann"


def test_filters():
    assert render("{{ name | strip | upper }}", {"name": " ann "}) == "ANN"
    assert render("{{ name | default 'you' }}", {}) == "you"


def test_if():
    template = "a{% if on %}b{% end %}c"
    assert render(template, {"on": True}) == "abc"
    assert render(template, {}) == "ac"
    assert render("{% if not on %}x{% end %}", {}) == "x"


@pytest.mark.parametrize(
    "template", ["{{ }}", "{{ a | nope }}", "{% if a %}", "{% end %}", "{% for %}"]
)
def test_errors(template):
    with pytest.raises(TemplateError):
        render(template, {})
