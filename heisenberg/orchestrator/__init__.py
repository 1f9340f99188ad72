"""The turn: a pure state machine and the async session around it. In: the audio thread's reports; out: events."""
