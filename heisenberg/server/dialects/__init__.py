"""One file per dialect (or two, where translating is a job of its own); none knows another."""
