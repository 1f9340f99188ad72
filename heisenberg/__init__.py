"""Heisenberg: a local voice assistant that speaks and drives live visuals over OSC.

The packages, in the order data flows:

core/          what everybody shares: audio chunks, events, stage Protocols, configuration, errors, logs
audio/         microphone and files in, speakers and files out, resampling, the ring with pre-roll
wakeword/      is this the wake phrase?
vad/           is this speech, and has the command ended?
stt/           speech to text: clients of a recogniser that runs in a child process
llm/           the brain: prompts, streamed JSON, sentences and visuals while they grow
tts/           text to speech: clients of a voice that runs in a child process
sinks/         where results go: OSC, speech, the console, JSON lines, pictures, recordings
orchestrator/  the turn: a pure state machine, the asynchronous session around it, the audio thread, the watchdog
workers/       programs that run inside a child process, one per model family
runner/        models on disk (catalog), child processes (supervisor) and who may use them (lanes)
models.py      which engine each stage uses, and the processes that run them
wiring/        the parts of a session, made out of the configuration and what a run was asked to do
main.py        the composition root: puts a session together from them
cli.py         commands; parses and prints, decides nothing
"""

import os

__version__ = "0.1.0"

# ONNX Runtime collects telemetry unless told not to before it is imported. Everything here stays on this machine.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
