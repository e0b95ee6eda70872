import pytest

from textkit.errors import QuoteError
from textkit.tokens import count_words, most_common, sentences, split_arguments, words


def test_words():
    assert words("Don't e-mail me, 2 times!") == ["Don't", "e-mail", "me", "2", "times"]


def test_count_words():
    assert count_words("The tea, the milk", ignore=["milk"]) == {"the": 2, "tea": 1}


def test_most_common():
    assert most_common("b b a c c c", 2) == [("c", 3), ("b", 2)]


def test_sentences():
    assert sentences("One. Two! Three") == ["One.", "Two!", "Three"]


def test_split_arguments():
    assert split_arguments("a 'b c'  d\"e f\"") == ["a", "b c", "de f"]


def test_split_arguments_unclosed():
    with pytest.raises(QuoteError, match="at 2"):
        split_arguments("a 'b")
