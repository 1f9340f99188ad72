"""Models as supervised child processes: catalog (on disk), supervisor (alive), lanes (in turn)."""
