from textkit.tokens import split_arguments


def test_empty_argument_at_the_end():
    assert split_arguments("replace x ''") == ["replace", "x", ""]


def test_empty_argument_in_the_middle():
    assert split_arguments('set "" blue') == ["set", "", "blue"]


def test_only_empty_arguments():
    assert split_arguments("'' \"\"") == ["", ""]


def test_empty_quotes_inside_a_word():
    assert split_arguments("a''b c") == ["ab", "c"]


def test_no_arguments():
    assert split_arguments("   ") == []
