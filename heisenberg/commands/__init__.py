"""One file per command: takes parsed arguments, prints results, returns the exit status."""
