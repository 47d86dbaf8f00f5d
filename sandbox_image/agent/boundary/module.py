"""The module that the tests import in the place of the candidate's.

Left out: what its names are. `handles.py` stands for them.
"""

from __future__ import annotations

import opcode
import sys
import types
from typing import TYPE_CHECKING, Any

from .exceptions import mark
from .handles import Function, HandleMeta, is_ours

if TYPE_CHECKING:
    from .link import Link


_ABOUT = frozenset(
    f"__{name}__"
    for name in (
        "all",
        "annotations",
        "author",
        "copyright",
        "credits",
        "date",
        "doc",
        "email",
        "license",
        "maintainer",
        "status",
        "title",
        "url",
        "version",
    )
)
"""Special names by which modules tell something of themselves."""
_IMPORT_STAR = opcode.opmap["IMPORT_STAR"]


class Module(types.ModuleType):
    """What the tests import instead of the candidate."""

    def __init__(self, link: Link, names: set[str]) -> None:
        super().__init__(link.module)
        own = self.__dict__
        own["_fumehood_link"] = link
        own["_fumehood_id"] = 0
        own["_fumehood_names"] = names
        for name in ("__spec__", "__loader__", "__package__"):
            own[name] = None

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.__dict__["_fumehood_link"].ask("get", self, "__doc__")

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        link: Link = own["_fumehood_link"]
        if name == "__all__" and _is_star(sys._getframe(1)):
            return self._star()
        if name not in _ABOUT and (is_ours(name) or (name.startswith("__") and name.endswith("__"))):
            raise AttributeError(f"module {link.module!r} has no attribute {name!r}")
        try:
            value = link.ask("get", self, name)
        except BaseException:
            link.used += 1
            raise
        link.used += type(value) is not Function and type(value) is not HandleMeta
        return link.named(name, value)

    def _star(self) -> list[str]:
        """Names for `from module import *`: those that the tests use and have from nowhere else.

        A candidate that defines `sorted` or `math` must not replace those of the tests.
        """
        link: Link = self.__dict__["_fumehood_link"]
        names = link.ask("names")
        if type(names) is not list:
            raise mark(ImportError(f"{link.module} has no names"))
        return [n for n in names if type(n) is str and n in self.__dict__["_fumehood_names"]]

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_fumehood_link"].ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self.__dict__["_fumehood_link"].ask("delete", self, name)

    def __dir__(self) -> list[str]:
        return list(self.__dict__["_fumehood_link"].ask("names"))


def _is_star(frame: types.FrameType) -> bool:
    """Whether a frame is at `from module import *`."""
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_STAR
