"""Arms, seeds and stages from one file: what is compared, how it is run, and the table that comes out."""
