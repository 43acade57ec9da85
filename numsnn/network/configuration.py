"""The configuration of a network as plain data, which files hold and which are compared by `==`."""

from typing import Any

import numpy as np

ELSEWHERE = ("device", "chunk", "seed")     # what a network computes does not depend on them


def plain_data(value: Any) -> Any:
    """`value` with dicts, lists, numbers and text only, as JSON gives it back."""
    if isinstance(value, dict):
        return {key: plain_data(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(part) for part in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def made_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two configurations make networks that compute the same."""
    return {**one, **dict.fromkeys(ELSEWHERE)} == {**other, **dict.fromkeys(ELSEWHERE)}
