# What a handler returned, as JSON, or the place of what has no JSON form.
import json
import re

RESULT_MAX = int(sys.argv[2])
# Arrays and objects inside each other: as many as a task may have.
DEPTH_MAX = 32


class NoForm(TypeError):
    pass


def form_of(value):
    """What stands in JSON for a value of some well-known types. They are known by name: importing them takes its time."""
    for kind in type(value).__mro__:
        name = kind.__module__, kind.__qualname__
        if name in {("datetime", "datetime"), ("datetime", "date"), ("datetime", "time")}:
            return value.isoformat()
        if name in {("uuid", "UUID"), ("decimal", "Decimal")}:
            return str(value)
        if name == ("enum", "Enum"):
            return value.value
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise NoForm


def without_doubles(pairs):
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("two keys are one")
    return entries


encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=form_of).encode
decode = json.JSONDecoder(object_pairs_hook=without_doubles).decode


def answer_of(value):
    """What a returned value makes of its task: a letter and a body, as runner.py explains them."""
    try:
        text = encode(value)
        body = text.encode()
        if len(body) > RESULT_MAX:
            return b"L", str(len(body)).encode()
        # Only a second look finds keys that have become one, and what is too deep.
        may_be_deep = text.count("[") + text.count("{") > DEPTH_MAX
        if "{" in text or may_be_deep:
            again = decode(text)
            if may_be_deep and is_deep(again, DEPTH_MAX):
                raise ValueError("too deep")
        return b"R", body
    except Exception as error:
        where = trouble(value) or f"$: {type(value).__qualname__} ({type(error).__qualname__}: {error})"
        return b"P", f"the result has no JSON form at {where}".encode(errors="replace")


def is_deep(value, levels):
    if not isinstance(value, (list, dict)):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deep(part, levels - 1) for part in parts)


def trouble(value, place="$", depth=0, around=frozenset()):
    """The first place of a value that has no JSON form, and what is there."""
    if value is None or isinstance(value, (bool, int, float, str)):
        what = trouble_with_leaf(value)
        return what and f"{place}: {what}"
    if id(value) in around:
        return f"{place}: {type(value).__qualname__} that holds itself"
    around |= {id(value)}
    if isinstance(value, dict):
        parts = named(value, place)
    elif isinstance(value, (list, tuple)):
        parts = ((f"{place}[{index}]", part, None) for index, part in enumerate(value))
    else:
        try:
            return trouble(form_of(value), place, depth, around)
        except NoForm:
            return f"{place}: {type(value).__qualname__}"
        except Exception as error:
            return f"{place}: {type(value).__qualname__} ({type(error).__qualname__}: {error})"
    if depth == DEPTH_MAX:
        return f"{place}: nested deeper than {DEPTH_MAX} levels"
    for inner, part, what in parts:
        found = f"{place}: {what}" if what else trouble(part, inner, depth + 1, around)
        if found:
            return found
    return None


def trouble_with_leaf(value):
    if isinstance(value, str):
        return "a lone surrogate" if any("\ud800" <= sign <= "\udfff" for sign in value) else None
    if isinstance(value, float):
        return None if value - value == 0 else repr(float(value))
    # What is larger is infinite for whoever reads it into a double.
    return "int of more than 308 digits" if isinstance(value, int) and value.bit_length() > 1023 else None


def named(entries, place):
    """The parts of a dict with their places, or with what is wrong with a key."""
    seen = set()
    for key, part in entries.items():
        what = None
        if isinstance(key, str):
            what = trouble_with_leaf(key) and f"a lone surrogate in the key {ascii(key):.60}"
            name = key
        elif key is None or isinstance(key, (bool, int, float)):
            name = encode(key)
        else:
            name, what = "", f"a key of type {type(key).__qualname__}"
        if name in seen:
            what = what or f"two keys that are both {name[:60]!r} in JSON"
        seen.add(name)
        short = name if len(name) <= 40 else name[:40] + "…"
        inner = f"{place}.{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}", name) else f"{place}[{short!r}]"
        yield inner, part, what
