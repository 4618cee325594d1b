"""How a good engineer would read the text of videos without Gloss: one frame a second, into Parquet.

Each rival is a command, `python -m benchmarks.rivals.NAME VIDEO... --out FOLDER`, so that its start-up
counts as that of `gloss` does, and writes the same rows: video, time, text.
"""
