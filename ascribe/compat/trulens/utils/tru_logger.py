"""``trulens.utils.tru_logger``: its functions over Python's logging. It adds no handler; the facade itself logs nothing."""

from __future__ import annotations

import logging
from typing import Any


def get_logger() -> logging.Logger:
    """Returns the logger ``trulens``."""
    return logging.getLogger("trulens")


def log(level: int, msg: str, *args: Any, **kwargs: Any) -> None:
    get_logger().log(level, msg, *args, **kwargs)


def debug(msg: str, *args: Any, **kwargs: Any) -> None:
    get_logger().debug(msg, *args, **kwargs)


def info(msg: str, *args: Any, **kwargs: Any) -> None:
    get_logger().info(msg, *args, **kwargs)


def warning(msg: str, *args: Any, **kwargs: Any) -> None:
    get_logger().warning(msg, *args, **kwargs)


def error(msg: str, *args: Any, **kwargs: Any) -> None:
    get_logger().error(msg, *args, **kwargs)


fatal, deprecate = error, warning
