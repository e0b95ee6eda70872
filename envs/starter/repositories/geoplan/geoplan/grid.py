"""A grid of square cells, for finding things near a point."""

import math

from geoplan.distance import distance


class GridIndex:
    """Items by cell. A cell is `size` degrees high and wide."""

    def __init__(self, size=0.1):
        if size <= 0:
            raise ValueError("the cell size must be positive")
        self.size = size
        self._cells = {}
        self._places = {}

    def __len__(self):
        return len(self._places)

    def cell_of(self, point):
        """The row and the column of the cell that holds a point."""
        row = math.floor(point.lat / self.size)
        column = math.floor(point.lon / self.size)
        return row, column

    def insert(self, key, point):
        """Add an item, or move it where it is known already."""
        if key in self._places:
            self.remove(key)
        self._places[key] = point
        self._cells.setdefault(self.cell_of(point), set()).add(key)

    def remove(self, key):
        point = self._places.pop(key)
        cell = self.cell_of(point)
        self._cells[cell].discard(key)
        if not self._cells[cell]:
            del self._cells[cell]

    def where(self, key):
        return self._places[key]

    def occupied(self):
        """The cells that hold an item, in order."""
        return sorted(self._cells)

    def around(self, cell, reach=1):
        """The cells at most `reach` rows and columns away, itself too."""
        row, column = cell
        span = range(-reach, reach + 1)
        return [(row + i, column + j) for i in span for j in span]

    def in_box(self, box):
        """The keys of all items in a box, sorted."""
        found = [k for k, point in self._places.items() if box.contains(point)]
        return sorted(found)

    def near(self, point, reach=1):
        """Keys in the cells around a point, the closest first."""
        keys = []
        for cell in self.around(self.cell_of(point), reach):
            keys.extend(self._cells.get(cell, ()))
        return sorted(keys, key=lambda k: (distance(self._places[k], point), k))
