"""Runs in a sandbox: calls a reference with each input and writes its outputs down as Python source."""

import sys

sys.path.insert(0, ".")
sys.setrecursionlimit(100_000)
sys.set_int_max_str_digits(0)

from literals import literal  # type: ignore[import-not-found]  # noqa: E402


def main(entry_point: str) -> None:
    """Read `reference.py` and `inputs.txt`, write `outputs.txt`: a list with one item for each input."""
    names: dict[str, object] = {"__name__": "reference"}
    with open("reference.py", encoding="utf-8") as file:  # noqa: PTH123
        exec(compile(file.read(), "reference.py", "exec"), names)
    function = names[entry_point]
    assert callable(function)
    with open("inputs.txt", encoding="utf-8") as file:  # noqa: PTH123
        inputs = eval(file.read())
    outputs = [literal(function(*arguments)) for arguments in inputs]
    with open("outputs.txt", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(",\n".join(outputs))


main(sys.argv[1])
