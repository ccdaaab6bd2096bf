"""One store for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sigma.parity.table import Table


@pytest.fixture(scope="package")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    made = Table(tmp_path_factory.mktemp("parity") / "store")
    yield made
    made.stop()
