import pytest

from inikit.document import Document


def test_set_get():
    document = Document()
    document.set("a", "x", 1)
    assert document.get("a", "x") == "1"
    assert document.get("a", "y", None) is None


def test_missing():
    with pytest.raises(KeyError):
        Document().get("a", "x")


def test_remove():
    document = Document()
    document.set("a", "x", 1)
    assert document.section("a").remove("x")
    assert not document.section("a").remove("x")
