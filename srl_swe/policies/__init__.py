"""Who acts: models behind engines, and scripted policies."""
