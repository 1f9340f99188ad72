"""One file or folder for each dialect; none knows another."""
