"""The tool `calculate`: plus, minus, times, divided by, powers and percentages of numbers."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.tools.toolbox import Services, ToolContext

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|(% ?of\b|[-+*/^()%]))")
_MOST_CHARACTERS = 200
_MOST_NESTED = 20
_LARGEST = 1e15  # beyond it a float no longer holds every whole number


class ExpressionError(ValueError):
    """The text is no expression that can be calculated."""


class OutOfRangeError(ArithmeticError):
    """A result is too large."""


def evaluate(expression: str) -> float | int:
    """Calculate `expression`: numbers, `+ - * / ^`, brackets, and `20 % of 50`.

    Powers bind first, then `% of`, then times and divided by, then plus and minus. Whole
    results are of type int. Raises `ExpressionError`, `ZeroDivisionError`, `OutOfRangeError`.
    """
    parser = _Parser(expression)
    value = parser.sum()
    if parser.token:
        raise ExpressionError(f"unexpected {parser.token!r}")
    return int(value) if float(value).is_integer() else value


class _Parser:
    """Recursive descent; `token` is what comes next, empty at the end."""

    def __init__(self, text: str) -> None:
        if len(text) > _MOST_CHARACTERS:
            raise ExpressionError("the expression is too long")
        self.text = text.strip()
        self.position = 0
        self.depth = 0
        self.token = ""
        self.advance()

    def advance(self) -> None:
        if self.position >= len(self.text):
            self.token = ""
            return
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise ExpressionError(f"unexpected {self.text[self.position :].strip()[:1]!r}")
        self.position = match.end()
        self.token = match[1] or match[2]

    def accept(self, *tokens: str) -> str:
        token = self.token
        if token not in tokens:
            return ""
        self.advance()
        return token

    def sum(self) -> float:
        value = self.product()
        while sign := self.accept("+", "-"):
            other = self.product()
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def product(self) -> float:
        value = self.percentage()
        while sign := self.accept("*", "/"):
            other = self.percentage()
            value = _bounded(value * other if sign == "*" else value / other)
        return value

    def percentage(self) -> float:
        value = self.signed()
        if self.accept("% of", "%of"):
            return _bounded(value * self.percentage() / 100)
        return value / 100 if self.accept("%") else value

    def signed(self) -> float:
        negative = False
        while sign := self.accept("-", "+"):
            negative ^= sign == "-"
        value = self.power()
        return -value if negative else value

    def power(self) -> float:
        base = self.atom()
        if not self.accept("^"):
            return base
        exponent = self.signed()
        try:
            value = math.pow(base, exponent)
        except OverflowError as error:
            raise OutOfRangeError from error
        except ValueError as error:  # 0 ^ -1, and roots of negative numbers
            raise (ZeroDivisionError() if base == 0 else ExpressionError()) from error
        return _bounded(value)

    def atom(self) -> float:
        if self.accept("("):
            self.depth += 1
            if self.depth > _MOST_NESTED:
                raise ExpressionError("too many brackets")
            value = self.sum()
            if not self.accept(")"):
                raise ExpressionError("a bracket is not closed")
            self.depth -= 1
            return value
        number = self.token
        if not number or not (number[0].isdigit() or number[0] == "."):
            raise ExpressionError(f"expected a number, found {number!r}" if number else "no number")
        self.advance()
        return _bounded(float(number) if "." in number else int(number))


def _bounded(value: float) -> float:
    if not abs(value) <= _LARGEST:
        raise OutOfRangeError
    return value


class Calculate:
    """Calculates."""

    name = "calculate"
    description = "Calculate an arithmetic expression, such as `7 * 8` or `20 % of 50 + 1.5`."
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "expression": {
                "type": "string",
                "description": "Numbers, + - * / ^, brackets, and `% of`",
                "maxLength": _MOST_CHARACTERS,
            }
        },
        "required": ["expression"],
        "additionalProperties": False,
    }

    def __init__(self, services: Services) -> None:
        """Needs no service."""

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `value`. Errors: division_by_zero, out_of_range, bad_expression."""
        try:
            return {"ok": True, "value": round(evaluate(arguments["expression"]), 10)}
        except ZeroDivisionError:
            return {"ok": False, "error": "division_by_zero", "message": "division by zero"}
        except OutOfRangeError:
            return {"ok": False, "error": "out_of_range", "message": "the result is too large"}
        except ExpressionError as error:
            return {"ok": False, "error": "bad_expression", "message": str(error)}
