"""Whom the dialects are for."""

from __future__ import annotations

from voice_server.llm.catalogue import PROVIDERS
from voice_server.llm.remote.dialects import DIALECTS


def test_every_maker_of_models_in_the_catalogue_is_spoken_to_in_its_dialect():
    assert {name: dialect.service for name, dialect in DIALECTS.items()} == {
        provider: provider for provider in PROVIDERS
    }
