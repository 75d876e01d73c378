"""The one form of a password."""

import time
import unicodedata

import pytest

from chatservice.accounts.passwords import MAX_PASSWORD, fit, prepared
from chatservice.core.events import ErrorCode, Refusal


@pytest.mark.parametrize("unit", ["\u0301\u0316", "e\u0316\u0301\u0316", "\u0f71\u0f72"])
def test_what_is_too_long_costs_no_normalisation(unit: str) -> None:
    """To normalise as many combining marks as this takes minutes."""
    begun = time.process_time()
    for form in (prepared, fit):
        with pytest.raises(Refusal) as refused:
            form("a" + unit * 200_000)
        assert refused.value.code is ErrorCode.PASSWORD_LENGTH
    assert time.process_time() - begun < 5


def test_a_password_typed_with_accents_of_their_own_may_be_as_long() -> None:
    password = "ᾧ" * MAX_PASSWORD
    assert fit(unicodedata.normalize("NFD", password)) == password
