"""`python -m scripts.proto [generate|lint|breaking|check]`; `check` is lint, breaking and drift."""

import sys
from collections.abc import Callable

from scripts.proto import checks
from scripts.proto.generate import ProtocError, drift, generate


def _generate() -> bool:
    print(f"gen/ has the stubs of {generate()} files")
    return True


def _lint() -> bool:
    return _told("lint", checks.lint())


def _breaking() -> bool:
    base = checks.find_base()
    if base is None:
        print(f"breaking: none of {', '.join(checks.BASES)} has protos, so there is nothing to compare with")
        return True
    return _told(f"breaking against {base}", checks.breaking(base))


def _drift() -> bool:
    stale = drift()
    hint = "gen/ is not what proto/ says; run `python -m scripts.proto generate`:"
    return _told("drift", "\n".join([hint, *stale]) if stale else "")


def _check() -> bool:
    return all([_lint(), _breaking(), _drift()])


def _told(name: str, complaint: str) -> bool:
    print(f"{name}: {complaint or 'ok'}")
    return not complaint


COMMANDS: dict[str, Callable[[], bool]] = {
    "generate": _generate,
    "lint": _lint,
    "breaking": _breaking,
    "check": _check,
}


def main(arguments: list[str]) -> int:
    """Run one command, `generate` when none is named; return 1 for a finding, 2 for no such command."""
    name = arguments[0] if arguments else "generate"
    if name not in COMMANDS or len(arguments) > 1:
        print(f"usage: python -m scripts.proto [{'|'.join(COMMANDS)}]", file=sys.stderr)
        return 2
    try:
        return 0 if COMMANDS[name]() else 1
    except ProtocError as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
