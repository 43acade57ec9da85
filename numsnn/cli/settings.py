"""--set OPTION=VALUE of the command line."""

import re


def pairs(given):
    settings = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes OPTION=VALUE, such as v_threshold=0.1; got {pair!r}")
        settings[key] = value
    return settings


def values(given):
    """--set pairs as numbers, truth values, tuples of numbers (128x128) or text."""
    values = {}
    for key, text in pairs(given).items():
        if text.lower() in ("true", "false"):
            values[key] = text.lower() == "true"
        elif re.fullmatch(r"-?\d+", text):
            values[key] = int(text)
        elif re.fullmatch(r"\d+x\d+", text):
            values[key] = tuple(map(int, text.split("x")))
        else:
            try:
                values[key] = float(text)
            except ValueError:
                values[key] = text
    return values


def refuse_taken(settings, *taken, **instead):
    """Refuse a --set of what the command sets by itself; instead: option -> what to say in its place."""
    for name in settings:
        if name in taken or name in instead:
            raise ValueError(f"--set {name}=... is taken already; "
                             f"{instead.get(name, 'the command line gives it by other means')}")
