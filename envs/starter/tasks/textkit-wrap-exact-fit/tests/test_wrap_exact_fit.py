from textkit.wrapping import wrap


def test_exact_fit():
    assert wrap("the quick brown fox", 9) == ["the quick", "brown fox"]


def test_exact_fit_of_a_cut_word():
    assert wrap("abcdefg h", 3) == ["abc", "def", "g h"]


def test_exact_fit_in_each_paragraph():
    assert wrap("aa bb\n\ncc dd", 5) == ["aa bb", "", "cc dd"]


def test_one_too_narrow():
    assert wrap("the quick brown", 8) == ["the", "quick", "brown"]


def test_room_to_spare():
    assert wrap("the quick", 40) == ["the quick"]


def test_empty():
    assert wrap(" \n\n ", 10) == []
