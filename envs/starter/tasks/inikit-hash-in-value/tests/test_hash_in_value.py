from inikit.lexer import strip_comment
from inikit.parser import parse


def test_link():
    document = parse("[help]\nurl = http://a.org/faq#login\n")
    assert document.get("help", "url") == "http://a.org/faq#login"


def test_semicolon():
    assert strip_comment("a;b ; note") == "a;b"


def test_comment_after_space():
    assert strip_comment("red # note") == "red"


def test_only_comment():
    assert strip_comment("# note") == ""


def test_in_quotes():
    assert strip_comment('"a # b" # c') == '"a # b"'
