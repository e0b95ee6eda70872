from textkit.tables import alignments, markdown, table


def test_none_is_an_empty_cell():
    assert table([("a", None), ("b", "x")]) == "a\nb  x"


def test_numbers_stay_right_aligned():
    text = table([("tea", 3), ("milk", None), ("rice", 12)])
    assert text.splitlines() == ["tea    3", "milk", "rice  12"]


def test_empty_text_among_numbers():
    lines = markdown([("a", "1"), ("b", "")], ("k", "v")).splitlines()
    assert lines[1] == "| --- | ---: |"


def test_column_of_empty_cells():
    assert alignments([["", "1"], ["", "2"]], 2) == "<>"


def test_text_column():
    assert alignments([["1"], ["x"]], 1) == "<"


def test_short_row():
    assert table([("a", 1), ("b",)]) == "a  1\nb"
