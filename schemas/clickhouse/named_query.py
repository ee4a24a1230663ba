"""What a named query is: text with typed, checked parameters, and the columns it answers with."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from schemas.errors import KbwatchError

ParamType = Literal["String", "Int64", "UInt32"]
Value = str | int

_RANGES = {"Int64": (-(2**63), 2**63 - 1), "UInt32": (0, 2**32 - 1)}
_MAX_TEXT = 4096


class Param(Struct, frozen=True):
    """One parameter; without a default it must be given."""

    type: ParamType
    default: Value | None = None


class NamedQuery(Struct, frozen=True):
    """One read-only query. Times are Unix milliseconds UTC, in parameters and in rows."""

    name: str
    doc: str
    params: dict[str, Param]
    columns: tuple[str, ...]
    sql: str

    def bind(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Checked values for every parameter. Raises KbwatchError that names the parameter."""
        unknown = sorted(set(given) - set(self.params))
        if unknown:
            known = ", ".join(self.params) or "none"
            raise KbwatchError(f"query {self.name}: no parameter {unknown[0]!r} (it has: {known})")
        bound: dict[str, Value] = {}
        for name, param in self.params.items():
            value = given.get(name, param.default)
            if value is None:
                raise KbwatchError(f"query {self.name}: parameter {name!r} is missing")
            bound[name] = self._checked(name, param, value)
        return bound

    def _checked(self, name: str, param: Param, value: object) -> Value:
        where = f"query {self.name}: parameter {name!r}"
        if param.type == "String":
            if not isinstance(value, str) or len(value) > _MAX_TEXT:
                raise KbwatchError(f"{where} must be text of at most {_MAX_TEXT} characters")
            return value
        low, high = _RANGES[param.type]
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise KbwatchError(f"{where} must be a whole number ({param.type}), not {value!r}")
        return number
