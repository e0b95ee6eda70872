from inikit.interpolation import lookup, references
from inikit.parser import parse


def test_simple():
    document = parse("[a]\nhost = h\nurl = http://${host}/\n")
    assert lookup(document, "a", "url") == "http://h/"


def test_references():
    assert references("${a} $$ ${b:c}") == ["a", "b:c"]
