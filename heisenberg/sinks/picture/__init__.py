"""The picture of a turn. In: events; out: one SVG with a time axis (story → lanes on a panel → page)."""
