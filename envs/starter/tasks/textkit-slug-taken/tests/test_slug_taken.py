from textkit.slugs import unique_slug


def test_result_is_not_taken():
    assert unique_slug("Tea", {"tea", "tea-3"}) == "tea-2"


def test_longer_names_do_not_count():
    assert unique_slug("Tea", {"tea", "teapot", "team"}) == "tea-2"


def test_gap_is_filled():
    assert unique_slug("Tea", {"tea", "tea-2", "tea-4", "tea-5"}) == "tea-3"


def test_free_name():
    assert unique_slug("Green tea", {"tea"}) == "green-tea"


def test_numbers_go_on():
    assert unique_slug("Tea", ["tea", "tea-2"], separator="-") == "tea-3"


def test_untitled():
    assert unique_slug("!", {"untitled"}, "_") == "untitled_2"
