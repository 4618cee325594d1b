"""What people run: one file per verb of the `gloss` command."""
