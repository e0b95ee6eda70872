"""Pure functions over records: how close an action is to the expert's."""
