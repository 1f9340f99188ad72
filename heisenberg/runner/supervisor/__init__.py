"""Child processes: start, ready, watch, stop; they never outlive us."""
