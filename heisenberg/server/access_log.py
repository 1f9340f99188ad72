"""One line in the log for each request: who asked for what, and how that went. Never what was said.

Paths come from strangers: their control characters do not reach the log, nor do queries and headers, which may hold
keys.
"""

import logging

from heisenberg.server.asgi import Scope, Subject

log = logging.getLogger(__name__)

LONGEST_PATH = 200


def write(scope: Scope, status: int, seconds: float, request_id: str, subject: Subject) -> None:
    """Log one request.

    Args:
        scope: of the request.
        status: of the answer; 499 if the client left before it.
        seconds: how long it took, to the end of the answer.
        request_id: as the client was told.
        subject: what it was about.
    """
    client = (scope.get("client") or ("unknown",))[0]
    fields = {
        "method": scope["method"],
        "path": printable(scope["path"]),
        "status": status,
        "seconds": round(seconds, 4),
        "client": client,
        "request": request_id,
        **({"model": printable(subject.model)} if subject.model else {}),
        **({"tokens": subject.tokens} if subject.tokens else {}),
    }
    about = f" ({subject.model})" if subject.model else ""
    log.info(
        "%s %s %d in %.3f s%s",
        fields["method"], fields["path"], status, seconds, printable(about), extra={"fields": fields},
    )  # fmt: skip


def printable(text: str) -> str:
    """*text* on one line, as far as it is fit to be shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST_PATH])
