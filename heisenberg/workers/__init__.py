"""Programs that run inside a child process, one file per model family. They import core and their own library only."""
