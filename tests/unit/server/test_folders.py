"""What clients are told of files."""

import pytest

from heisenberg.server.app import ROUTES
from heisenberg.server.folders import OUR_FIRST_PARTS, without_folders
from heisenberg.server.own import PATHS


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('Last line: "cannot open /home/me/models/tiny.gguf".', 'Last line: "cannot open tiny.gguf".'),
        ("cannot be started (/usr/local/bin/llama-server).", "cannot be started (llama-server)."),
        ("cannot open '/srv/a-b/c.gguf'", "cannot open 'c.gguf'"),
        (r"cannot open C:\Users\me and you\tiny.gguf", "cannot open tiny.gguf"),
        ("use /v1/chat/completions, see GET /v1/models.", "use /v1/chat/completions, see GET /v1/models."),
        (
            "None can be reached: http://a:1/v1/x, 1/2/3 or a/b/c",
            "None can be reached: http://a:1/v1/x, 1/2/3 or a/b/c",
        ),
        ("'file:///etc/passwd' is not fetched", "'file:///etc/passwd' is not fetched"),
    ],
)
def test_files_are_named_but_not_where_they_are(said: str, shown: str) -> None:
    assert shown == without_folders(said)


def test_the_paths_of_all_routes_are_known() -> None:
    parts = {path.split("/")[1] for path in (*(route.path for route in ROUTES), *PATHS)}

    assert parts == OUR_FIRST_PARTS
