from textkit.slugs import slugify, to_ascii, unique_slug


def test_to_ascii():
    assert to_ascii("crème brûlée") == "creme brulee"


def test_slugify():
    assert slugify("  Hello, World!  ") == "hello-world"
    assert slugify("Ann's bread & butter") == "anns-bread-and-butter"


def test_separator():
    assert slugify("one two", separator="_") == "one_two"


def test_max_length():
    assert slugify("abcdefgh", max_length=5) == "abcde"


def test_unique_slug():
    assert unique_slug("Tea", {"milk"}) == "tea"
    assert unique_slug("Tea", {"tea"}) == "tea-2"
