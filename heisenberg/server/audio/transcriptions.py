"""``POST /v1/audio/transcriptions`` and ``/v1/audio/translations``: files of other programs, written down.

The upload is ``upload.py``'s, what is asked ``asked.py``'s, the answer's form that of ``formats.py``; here they meet
with a ``FileTranscriber``. A client that leaves ends the work at the next stretch of its recording.
"""

import json
from contextlib import aclosing
from pathlib import Path

from heisenberg.core.errors import AudioError, HeisenbergError, TranscriptionError
from heisenberg.core.languages import WITHOUT_SPACES
from heisenberg.core.recordings import FileTranscriber, Passage, RecordingEnd, Task
from heisenberg.server.asgi import (
    STREAM_HEADERS,
    BadRequest,
    Receive,
    Scope,
    Send,
    send_bytes,
    subject_of,
    while_connected,
)
from heisenberg.server.audio.asked import Asked, read
from heisenberg.server.audio.formats import token_usage, written
from heisenberg.server.audio.names import transcriber_named
from heisenberg.server.audio.upload import uploaded
from heisenberg.server.context import Context

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


async def transcribe(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/audio/transcriptions."""
    await _answer(context, scope, receive, send, "transcribe")


async def translate(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/audio/translations."""
    await _answer(context, scope, receive, send, "translate")


async def _answer(context: Context, scope: Scope, receive: Receive, send: Send, task: Task) -> None:
    most_bytes = int(context.config.server.max_upload_megabytes * 1_000_000)
    async with uploaded(scope, receive, most_bytes) as form:
        asked = read(form, task)
        model = transcriber_named(context, asked.model, asked.wanted)
        subject_of(scope).model = model.name if model else context.config.stt.model
        transcriber = context.speech.transcriber(model)
        assert form.file is not None
        work = _stream if asked.is_streamed else _whole
        try:
            await while_connected(receive, work(transcriber, form.file, asked, send))
        except HeisenbergError as exc:
            raise refusal(exc) from exc


async def _whole(transcriber: FileTranscriber, file: Path, asked: Asked, send: Send) -> None:
    passages: list[Passage] = []
    end = RecordingEnd(0.0, "en")
    async with aclosing(transcriber.transcribe(file, asked.wanted)) as parts:
        async for part in parts:
            if isinstance(part, RecordingEnd):
                end = part
            else:
                passages.append(part)
    answer = written(asked, passages, end)
    await send_bytes(send, answer.body.encode(), 200, [(b"content-type", answer.content_type)])


async def _stream(transcriber: FileTranscriber, file: Path, asked: Asked, send: Send) -> None:
    text, tokens = "", 0
    has_begun = False
    async with aclosing(transcriber.transcribe(file, asked.wanted)) as parts:
        async for part in parts:
            if not has_begun:  # only now, so that a file that is no audio is still answered with 400
                await send({"type": "http.response.start", "status": 200, "headers": [EVENTS, *STREAM_HEADERS]})
                has_begun = True
            if isinstance(part, RecordingEnd):
                counts = tokens > 0 or not text  # an engine on another server may not tell its own
                usage = {"usage": token_usage(tokens, part)} if counts else {}
                await _tell(send, {"type": "transcript.text.done", "text": text, **usage}, is_last=True)
                return
            tokens += len(part.tokens)
            delta = part.text if not text or part.language in WITHOUT_SPACES else f" {part.text}"
            text += delta
            await _tell(send, {"type": "transcript.text.delta", "delta": delta})


async def _tell(send: Send, event: object, *, is_last: bool = False) -> None:
    body = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def refusal(error: HeisenbergError) -> Exception:
    """*error*, with a status that says whose fault it is."""
    if isinstance(error, AudioError):
        return BadRequest(error.message)
    if isinstance(error, TranscriptionError) and error.code == "stt-timeout":
        return BadRequest(error.message, 504)
    return error
