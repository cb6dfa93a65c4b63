"""Words that no file of the repository holds, and the few escapes that must say why."""

from __future__ import annotations

import re

import pytest

from tests.support.tracked import read, tracked

HERE = "tests/architecture/test_words.py"
GENERATED = ("gen/", "proto/buf/", "web/src/gen/")
ANYWHERE = {
    "a path of one machine": re.compile(r"(?<![\w.}/-])/(?:work|home/[a-z]\w*|Users/\w+|root)/[\w.-]"),
    "a package registry": re.compile(
        r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|yarnpkg|maven|golang|crates|rubygems)[\w.-]*[/\"]"
    ),
    "work left for later": re.compile(r"\b(?:TODO|FIXME|XXX)\b"),
}
IN_PYTHON = {
    "a type error passed over without its code": re.compile(r"#\s*type:\s*ignore(?!\[)"),
    "a lint passed over without its code": re.compile(r"#\s*noqa(?!: [A-Z]+\d+)"),
    "everything caught without a reason": re.compile(
        r"except Exception(?: as \w+)?:(?!  # (?:noqa: [A-Z]+\d+ — )?(?!noqa)\w)|except:"
    ),
}


def found(rules: dict[str, re.Pattern[str]], text: str) -> list[str]:
    """The rules that some line breaks, each with that line."""
    lines = text.splitlines()
    return [
        f"{rule}: {line.strip()}" for line in lines for rule, shape in rules.items() if shape.search(line)
    ]


@pytest.mark.parametrize(
    "path", [path for path in tracked() if path != HERE and not path.startswith(GENERATED)]
)
def test_a_file_holds_none_of_the_words(path: str) -> None:
    """Nothing ties it to a machine, a mirror or a day that never came."""
    rules = ANYWHERE | (IN_PYTHON if path.endswith(".py") else {})
    assert found(rules, read(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "see /home/alice/polychat",
        "https://files." + "pythonhosted" + ".test/packages/x",
        '"resolved": "https://registry.' + "npmjs" + '.test/x"',
        "# TODO later",
        "x = f()  # type: ignore",
        "x = f()  # noqa",
        "    except Exception:",
        "    except Exception as error:  # noqa: BLE001",
        "except:",
    ],
)
def test_a_bad_line_is_noticed(line: str) -> None:
    """Each rule can fail."""
    assert len(found(ANYWHERE | IN_PYTHON, line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "x = f()  # type: ignore[misc]",
        "x = f()  # noqa: S311 — jitter",
        "    except Exception as error:  # noqa: BLE001 — it becomes a status",
        "    except Exception:  # whatever it was, the process ends",
        "    except BaseException:",
        "GET /users/me",
    ],
)
def test_a_good_line_passes(line: str) -> None:
    """What is explained is allowed."""
    assert found(ANYWHERE | IN_PYTHON, line) == []
