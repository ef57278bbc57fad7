from __future__ import annotations

import logging

import pytest
from transformers.utils import logging as transformers_logging

from lsb_rag.utils.logging import quiet_transformers, silenced


def test_a_logger_is_silenced_and_speaks_again(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody.else")
    logger.setLevel(logging.INFO)
    with pytest.raises(ZeroDivisionError), silenced("somebody.else"):  # noqa: PT012 - all within the context
        logger.error("said elsewhere")
        logger.critical("in any case")
        raise ZeroDivisionError
    logger.info("again")
    assert [record.message for record in caplog.records] == ["in any case", "again"]


@pytest.mark.parametrize("bars", [True, False])
def test_transformers_is_quiet_for_a_while(bars: bool) -> None:
    shown, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    set_bars = {True: transformers_logging.enable_progress_bar, False: transformers_logging.disable_progress_bar}
    set_bars[bars]()
    transformers_logging.set_verbosity_info()
    try:
        with quiet_transformers():
            assert not transformers_logging.is_progress_bar_enabled()
            assert transformers_logging.get_verbosity() == logging.ERROR
        assert transformers_logging.is_progress_bar_enabled() == bars
        assert transformers_logging.get_verbosity() == logging.INFO
    finally:
        set_bars[shown]()
        transformers_logging.set_verbosity(verbosity)
