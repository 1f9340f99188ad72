"""Sound in and out: microphone, files, speakers. In: devices and files of any rate; out: 16 kHz mono int16."""
