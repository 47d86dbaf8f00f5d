"""Runs in a sandbox: calls a reference with each input and writes its outputs down as Python source, if they are not large."""

import sys

sys.path.insert(0, ".")
sys.setrecursionlimit(100_000)
sys.set_int_max_str_digits(0)

from literals import literal  # type: ignore[import-not-found]  # noqa: E402


def main(entry_point: str, rule: str, most: int) -> None:
    """Read `reference.py` and `inputs.txt`, write `outputs.txt`: an item for each input.

    Nothing where that is over `most` characters; whether there is one where that is the rule, whatever object it is.
    """
    names: dict[str, object] = {"__name__": "reference"}
    with open("reference.py", encoding="utf-8") as file:  # noqa: PTH123
        exec(compile(file.read(), "reference.py", "exec"), names)
    function = names[entry_point]
    assert callable(function)
    with open("inputs.txt", encoding="utf-8") as file:  # noqa: PTH123
        inputs = eval(file.read())
    outputs = []
    for arguments in inputs:
        output = function(*arguments)
        outputs.append(literal(output is not None if rule == "truth" and not isinstance(output, bool) else output))
        if sum(map(len, outputs)) > most:
            outputs.clear()
            break
    with open("outputs.txt", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(",\n".join(outputs))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
