from geoplan.units import compass, format_distance, format_duration, parse_distance


def test_parse():
    assert parse_distance("1.5 km") == 1500


def test_format():
    assert format_distance(850) == "850 m"
    assert format_distance(1234) == "1.2 km"
    assert format_duration(7500) == "2 h 05 min"


def test_compass():
    assert compass(91) == "E"
