"""Ways to be graded as a solver without solving, as data: one file a family. `test_cheats` grades each of them."""
