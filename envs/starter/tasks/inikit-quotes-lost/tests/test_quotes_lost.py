from inikit.document import Document
from inikit.lexer import unquote
from inikit.parser import parse
from inikit.writer import dump, quote


def saved(value):
    document = Document()
    document.set("ui", "hint", value)
    return parse(dump(document)).get("ui", "hint")


def test_saved():
    assert saved('press "ok" # now') == 'press "ok" # now'


def test_quote():
    assert quote('a "b"') == '"a \\"b\\""'


def test_unquote():
    assert unquote('"a \\"b\\""') == 'a "b"'


def test_hash_only():
    assert saved("a # b") == "a # b"


def test_plain():
    assert saved('a "b"') == 'a "b"'
    assert unquote("'a'") == "a"
