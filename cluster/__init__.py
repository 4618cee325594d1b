"""Where it runs: the adapter from operators to Ray Data, sessions, resources and progress."""
