from textkit.words import camel_case, join_words, plural, quantity, snake_case, title_case


def test_plural():
    assert [plural(w) for w in ("cup", "box", "Child")] == ["cups", "boxes", "Children"]
    assert plural("city") == "cities"


def test_quantity():
    assert quantity(1, "file") == "1 file"
    assert quantity(2, "file") == "2 files"


def test_join_words():
    assert join_words(["a", "b", "c"]) == "a, b and c"
    assert join_words(["a", "b"], last="or") == "a or b"


def test_title_case():
    assert title_case("the lord of the rings") == "The Lord of the Rings"


def test_cases():
    assert snake_case("parseHTTPHeader") == "parse_http_header"
    assert camel_case("parse_http_header") == "parseHttpHeader"
