"""The tree of errors."""

import pytest

from heisenberg.core import errors
from heisenberg.core.errors import HeisenbergError


def tree(root: type[HeisenbergError]) -> list[type[HeisenbergError]]:
    """*root* and what is derived from it; a stage's own kinds of its error are not drawn."""
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(found for child in children for found in tree(child))]


@pytest.mark.parametrize("error", tree(HeisenbergError), ids=lambda error: error.__name__)
def test_every_error_has_a_known_code_a_message_and_a_place_in_the_drawing(error: type[HeisenbergError]) -> None:
    raised = error("It rains.")

    assert ("It rains.", "It rains.") == (raised.message, str(raised))
    assert raised.code in errors.CODES
    assert error.__name__ in (errors.__doc__ or "")


def test_a_code_may_be_more_precise_than_its_class() -> None:
    assert "stt-timeout" == errors.TranscriptionError("too slow", code="stt-timeout").code


def test_only_configuration_errors_are_wrong_usage() -> None:
    statuses = {error.__name__ for error in tree(HeisenbergError) if error.exit_status == 2}

    assert {"ConfigError"} == statuses


def test_codes_that_nobody_knows_are_refused() -> None:
    with pytest.raises(AssertionError, match="no-such-code"):
        HeisenbergError("x", code="no-such-code")
