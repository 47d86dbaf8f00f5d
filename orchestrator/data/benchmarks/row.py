"""A row of a data set, whose values are asked for by key and by kind.

A row comes from a file that anybody may have written or damaged. Whatever a key holds in place of what its format has is a
`RowError` that names the key and the shape. Null is nothing: a table has every column in every row.

Left out: which keys make a format (`formats.py`), and the shapes of tests (`hidden.py`).
"""

from __future__ import annotations

from typing import Any, TypeVar

from orchestrator.data.benchmarks.hidden import described, held_in, plain

T = TypeVar("T")


class RowError(ValueError):
    """A row that is not a task: one phrase."""


class Row(dict[str, Any]):
    """The keys and values of a row."""

    def has(self, key: str) -> bool:
        """Whether something stands under a key."""
        return self.get(key) is not None

    def text(self, *keys: str) -> str:
        """The text under the first of these keys that holds something.

        Raises:
            RowError: none does, or it is no text.
        """
        key = next(filter(self.has, keys), keys[0])
        return self._as(key, self._there(key), str, "text")

    def any_text(self, *keys: str) -> str:
        """The first text under these keys that is not empty; empty where there is none.

        Raises:
            RowError: another value stands before it.
        """
        return next(filter(None, (self.text(key) for key in filter(self.has, keys))), "")

    def name(self, *keys: str, otherwise: str = "") -> str:
        """What a row is called: the text or number under the first of these keys that holds something.

        Raises:
            RowError: none does and there is no other name, or it can be no name.
        """
        key = next(filter(self.has, keys), keys[0])
        if otherwise and not self.has(key):
            return otherwise
        found = plain(self._there(key))
        if isinstance(found, bool) or not isinstance(found, str | int | float) or found == "":
            raise self._wrong(key, found, "a text or a number")
        return str(found)

    def texts(self, key: str) -> list[str]:
        """A list of texts, which tables without lists hold as one text; empty where there is none.

        Raises:
            RowError: it is something else.
        """
        value = plain(self.get(key))
        held = held_in(value) if isinstance(value, str) else value
        found = [value] if held is None and value else held or []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self._wrong(key, found, "texts")
        return found

    def listed(self, key: str, kind: type[T], words: str) -> list[T]:
        """A list of one kind, or the one that JSON in a text holds; empty where there is none. `words` say the kind.

        Raises:
            RowError: it is something else.
        """
        found = self._held(key, list, f"a list of {words}")
        if not all(isinstance(item, kind) for item in found):
            raise self._wrong(key, found, f"a list of {words}")
        return found

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping, or the one that JSON in a text holds; empty where there is none.

        Raises:
            RowError: it is something else.
        """
        return self._held(key, dict, "a mapping")

    def shape(self) -> str:
        """What stands under which key, for a message."""
        return "; ".join(f"{str(key)[:40]!r} is {described(value)}" for key, value in list(self.items())[:12])[:500]

    def _held(self, key: str, kind: type[T], words: str) -> T:
        value = plain(self.get(key))
        if isinstance(value, str) and value:
            held = held_in(value)
            value = value if held is None else held
        return kind() if value in (None, "") else self._as(key, value, kind, words)

    def _as(self, key: str, value: object, kind: type[T], words: str) -> T:
        if not isinstance(value, kind):
            raise self._wrong(key, value, words)
        return value

    def _there(self, key: str) -> Any:
        if key not in self:
            raise RowError(f"the row has no {key!r}")
        return self[key]

    @staticmethod
    def _wrong(key: str, value: object, words: str) -> RowError:
        return RowError(f"its {key!r} is {described(value)}, where this format has {words}")
