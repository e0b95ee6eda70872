from textkit.tokens import most_common


def test_ties_by_name():
    assert most_common("pear fig", 2) == [("fig", 1), ("pear", 1)]


def test_limit_cuts_ties_by_name():
    assert most_common("c b a b c", 1) == [("b", 2)]


def test_ties_after_the_first():
    assert most_common("z z c b a", 3) == [("z", 2), ("a", 1), ("b", 1)]


def test_frequent_words_first():
    assert most_common("a b b c c c", 2) == [("c", 3), ("b", 2)]


def test_ignored_words():
    assert most_common("the the tea", 5, ignore=["The"]) == [("tea", 1)]
