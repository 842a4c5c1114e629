"""Whether what one function gives can be what another one takes, as far as their types tell."""

from __future__ import annotations

from batchwasm.functions.types import U8, Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type


def may_fit(given: Type, taken: Type) -> bool:
    """False where no value of `given` that has something in it is taken as `taken`: numbers may still be too large."""
    match given, taken:
        case Option(item), _:
            return may_fit(item, taken)
        case _, Option(item):
            return may_fit(given, item)
        case (Bool(), Bool()) | (String(), String()) | (Bytes(), Bytes()) | (Float() | Int(), Float()) | (Int(), Int()):
            return True
        case List(item), Bytes():
            return may_fit(item, U8)
        case List(item), List(wanted):
            return may_fit(item, wanted)
        case List(item), Tuple(parts):
            return all(may_fit(item, part) for part in parts)
        case Tuple(parts), List() | Bytes():
            return all(may_fit(part, U8 if isinstance(taken, Bytes) else taken.item) for part in parts)
        case Tuple(parts), Tuple(wanted_parts):
            return len(parts) == len(wanted_parts) and all(map(may_fit, parts, wanted_parts))
        case Map(value), Map(wanted):
            return may_fit(value, wanted)
        case Map(value), Record(_, fields):
            return all(may_fit(value, kind) for _, kind in fields)
        case Record(_, fields), Map(wanted):
            return all(may_fit(kind, wanted) for _, kind in fields)
        case Record(_, fields), Record(_, wanted_fields):
            kinds = dict(wanted_fields)
            return len(fields) == len(kinds) and all(
                name in kinds and may_fit(kind, kinds[name]) for name, kind in fields
            )
        case _:
            return False
