"""What happens to a row: one step per file, each callable in a plain loop without Ray."""
