"""Readers of public task formats, one file a format; each makes drafts that become task folders of our own."""
