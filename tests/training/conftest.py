"""GLUE, text and a tokenizer, where they are at hand."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("GLUE and text are not beside this checkout")
    return DATA
