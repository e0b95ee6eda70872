from inikit.lexer import tokenize, unquote


def test_kinds():
    text = "# top\n[a]\nx = 1\n  2\n\n"
    kinds = [token.kind for token in tokenize(text)]
    assert kinds == ["comment", "section", "option", "more", "blank"]


def test_colon():
    token = tokenize("host: example.org")[0]
    assert (token.key, token.value) == ("host", "example.org")


def test_unquote():
    assert unquote('" a "') == " a "
    assert unquote("plain") == "plain"
