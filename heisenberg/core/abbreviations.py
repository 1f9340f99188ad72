"""Words that are written with a full stop which ends no sentence, in English and French.

Two stages cut sentences and must not import each other: ``llm/`` the answer while it grows, ``orchestrator/ambient/``
the talk of a room. What follows from such a word is their own affair. Each is in small letters, without its last full
stop.
"""

NEVER_AN_END = frozenset(
    "mr mrs ms dr prof sr jr st mt gen col capt lt rev hon vs approx dept e.g i.e cf viz "
    "mm mme mmes mlle mlles mgr pr ste env ex av bd p.ex c.-à-d".split()
)
"""Something of the same sentence always follows. ``Me`` (maître) is not among them: English says "tell me."."""

BEFORE_NUMBERS = frozenset(
    "no nos nr n° fig figs vol pp art ch chap sec eq jan feb mar apr aug sept oct nov dec janv févr juil".split()
)
"""Not an end if a number follows."""
