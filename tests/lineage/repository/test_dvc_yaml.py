"""What is read is what DVC reads, types included; what it cannot read is said in a sentence."""

import random
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import ParseError, dumps_yaml, parse_yaml

from lineage.errors import LineageError
from lineage.repository import dvc_yaml

ROOT = Path(__file__).resolve().parents[3]

SCALARS = re.split(
    r"\s{2,}",
    r"""on  off  On  yes  no  Yes  y  n  true  True  TRUE  tRUE  false  False  FALSE
    ~  null  Null  NULL  nULL  0  -0  +1  12  -12  017  08  0o17  0O17  0x1F  0X1F  0b101
    1_000  1__0  _1  190:20:30  12:30:45  1,000  123456789012345678901234567890
    1e-07  1E5  1e5  1.0e+3  1.0e3  1.e+3  .5  .5e3  .5e+3  5.  -.5  1_0.5  1e  1e400  1 000
    .inf  -.INF  +.Inf  .nan  .NaN  -.nan  inf  nan  .  ..  -  --  -a  1.2.3  v1
    e5  00000000e12  12e34567  2026-01-01  2026-1-1  2026-01  2026-01-01 10:20:30
    2026-01-01T10:20:30Z  2026-01-01T10:20:30.123456789+02:00
    a:b  a: b  http://host:80/x?y=z#w  C:\x  a#b  a #b  a'b  a"b  x,y  x]y  =  ==  <<<
    @x`y  é  日本語  😀  ${a.b}  %x  *.py  why ? :x
    "on"  "1"  ""  "a: b # c"  "\u00e9\x41\n\/\U0001F600"  "\ud83d\ude00"  "\q"
    'single'  'it''s'  ''  '2026-01-01'  '~'  'a: b # c'
    {}  []  [1, 2.0, on, '1', ~, .5, [], {}]  {a:1}  {a: {b: [1, {c: yes}], d: 1e-07}, "e":2}
    [a: 1]  [?x]  [? x]  ["a":b]  [:x]  [a, b,]  {a, b}  [http://x:80/a?b]""",
)

MAPPINGS = [
    "",
    "\n\n# only a comment\n",
    "---\na: 1\n",
    "---\n",
    "a: 1\n...\n",
    "a:\nb: \nc: # nothing\nd:\n  - \n  -\n  - x\n",
    "1: int\ntrue: bool\nnull: none\n1.5: float\n2026-01-01: date\non: str\n'2': quoted\n",
    "a: |\n  x: 1\n    y\n\n  z\nb: |-\n  strip\nc: |+\n  keep\n\nd: end\n",
    "a: >\n  folded\n  text\n\n  end\nb: >-\n  x\n   more\n  y\nc: >+\n  keep\n\n",
    "a: |\n\n    late\nb: |2\n   indented\nc: >-\n  x\n",
    "cmd: python train.py --a 1\n  --b 2\n  --c 'x'\nnext: 'two\n\n  lines'\nlast: \"a\\\n  b\"\n",
    "- a: 1",
    "a:\n- b\n- - c\n  - d\n-   e: 1\n    f: 2\n",
    "a: {b: 1, c: [x, {y: on}], 'd': ~,\n  e: [1,\n 2]}\n",
    "a: &id001\n  b: 1\nc: *id001\nd: &id002 []\ne:\n- *id002\n- *id001\n",
    "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
    "a: &x 1\nb: &x 2\nc: *x\n",
    "a: [&x:y, *x:y]\nb: &x:y 1\n*x : 2\n",
    "<<: {a: 1}\nb: 2\n",
    "=: 1\n",
    "a: !!str 1\nb: ! 2\nc: !!float 1\nd: !!set {x, y}\n",
    "%YAML 1.1\n---\na: on\nb: 017\nc: 1:30\n",
    "? a\n: b\n? [c, d]\n: e\n",
    "a: |#comment\n  x\n",
    "a: |\n \n  x\n",
    ": empty key\n",
    "a:\tb\n",
    "a: b\t\n",
    "a: 1\r\nb: 2\r\n",
    "a: b\x85c: d\n",
    "\ufeffa: 1\n",
    "a: '\u2028'\n",
    "0",
    "false",
    "[]",
    "''",
]

MALFORMED = [
    "a: [1",
    "a: b: c",
    "a: 1\n b: 2\n",
    "a: 'x\n",
    "a: 1\na: 2\n",
    "1: a\n1.0: b\n",
    "a: 1\n---\nb: 2\n",
    "a: *unknown",
    "a: !unknown x",
    "a: =",
    "a: <<",
    "a: 2026-06-31",
    "a: !!bool maybe",
    "a: 0b_",
    "%YAML 1.3\n---\na: 1",
    "? {a: 1}\n: 2",
    "? [[a]]\n: 2",
    "a: \x00",
    "a: \ud800",
    "a: " + "9" * 5000,
    "- 1\n",
    "text",
    "1",
]


def typed(value: Any) -> Any:
    """A value in which 1, 1.0, True and "1" differ, as do keys in another order; NaN is NaN."""
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    return type(value), repr(value)


def answer(read: Callable[[Any, str], Any], text: str | bytes) -> Any:
    """What a reader makes of a text; "refused" if it does not return a mapping."""
    try:
        with warnings.catch_warnings(action="ignore"):
            value = read(text, "dvc.lock")
    except (LineageError, ParseError, ValueError, TypeError, LookupError, AssertionError):
        return "refused"
    return typed(value) if isinstance(value, dict) else "refused"


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_scalar_has_dvcs_type(scalar: str) -> None:
    for text in (f"a: {scalar}\n", f"a:\n- {scalar}\n- {scalar} # x\n", f"{scalar}: b\n"):
        assert answer(dvc_yaml.parse, text) == answer(parse_yaml, text), text


@pytest.mark.parametrize("text", MAPPINGS + MALFORMED, ids=lambda text: ascii(text)[:30])
def test_any_text_is_read_or_refused_as_dvc_does(text: str) -> None:
    expected = answer(parse_yaml, text)
    assert answer(dvc_yaml.parse, text) == expected
    if "\ud800" not in text:
        assert answer(dvc_yaml.parse, text.encode()) == expected


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: ascii(text)[:30])
def test_what_cannot_be_read_is_an_error_in_one_sentence(text: str) -> None:
    with pytest.raises(LineageError, match=r"^sub/dvc\.lock cannot be read .*: correct it, .*\.$"):
        dvc_yaml.parse(text, "sub/dvc.lock")


def test_a_mapping_inside_itself_is_what_dvc_makes_of_it() -> None:
    mapping = dvc_yaml.parse("a: &x {b: [*x]}\n", "params.yaml")["a"]
    assert mapping["b"][0] is mapping


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000 + "]" * 100_000,
        "a: " + "{b: " * 100_000 + "}" * 100_000,
        "a:\n" + "- " * 100_000 + "x\n",
        "".join(" " * level + "a:\n" for level in range(3000)),
        "x: '" + "]" * 30_000 + "'\na: " + "[" * 30_000 + "]" * 30_000,
        "a: \n" + " [ #]\n" * 30_000,
    ],
    ids=["lists", "mappings", "dashes", "levels", "quoted", "comments"],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    """In a process of its own: the loader in C would end it with a signal."""
    program = "import sys; from lineage.repository import dvc_yaml\n"
    program += "try: dvc_yaml.parse(sys.stdin.read(), 'dvc.lock')\n"
    program += "except dvc_yaml.LineageError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"dvc\.lock cannot be read .*\.$", done.stdout)


def test_what_is_too_deep_is_refused_soon() -> None:
    sys.setrecursionlimit(20_000)  # as the command has it
    for text in ("[" * 100_000, '["]",' * 100_000, "a: " + "[" * 2000 + "]" * 2000):
        started = time.process_time()
        with pytest.raises(LineageError, match="more than 1000 levels of it lie in each other"):
            dvc_yaml.parse(text, "dvc.lock")
        assert time.process_time() - started < 2


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(LineageError, match=r"dvc\.lock cannot be read"):
        dvc_yaml.parse(("- " * 30_000).encode("utf-16"), "dvc.lock")
    with pytest.raises(LineageError, match=r"params\.yaml cannot be read"):
        dvc_yaml.parse(b"a: \xff\n", "params.yaml")


def test_an_error_names_the_line_and_keeps_secrets() -> None:
    text = "a: 1\nb: 2\nb: https://user:secret@host/x\n"
    with pytest.raises(LineageError, match=r"line 3: found duplicate key \"b\"") as error:
        dvc_yaml.parse(text, "params.yaml")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "stages:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> other\n",
        "<<<<<<< ours\n=======\na: 1\n>>>>>>> theirs\n",
        "<<<<<<< HEAD\n=======\n>>>>>>> other\n",
    ],
)
def test_merge_conflicts_are_named_with_the_way_out(text: str) -> None:
    for content in (text, text.encode()):
        with pytest.raises(
            LineageError, match=r"^dvc\.lock has git merge conflict markers"
        ) as error:
            dvc_yaml.parse(content, "dvc.lock")
        for command in ("checkout --ours dvc.lock", "checkout --theirs dvc.lock", "dvc repro"):
            assert command in str(error.value)


def test_conflict_markers_inside_a_text_are_text() -> None:
    text = "a: |\n  <<<<<<< HEAD\n"
    assert dvc_yaml.parse(text, "dvc.lock") == {"a": "<<<<<<< HEAD\n"}


@pytest.mark.parametrize(
    "path", [ROOT / "dvc.yaml", ROOT / "params.yaml", *sorted(ROOT.glob(".github/workflows/*.yml"))]
)
def test_files_of_this_repository(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert typed(dvc_yaml.parse(text, str(path))) == typed(parse_yaml(text, str(path)))


def test_whatever_dvc_writes() -> None:
    pick = random.Random(0)
    words = [
        *SCALARS,
        "a b",
        " x",
        "x ",
        "a\nb",
        "a\n\n b\n",
        "a: b",
        "- a",
        "word " * 40,
        "x" * 99,
    ]
    leaves = [*words, 0, -1, 10**30, 1e-07, 1.0, -0.0, float("inf"), float("nan"), True, None]

    def value(depth: int) -> Any:
        kind = pick.random()
        if depth == 0 or kind < 0.4:
            return pick.choice(leaves)
        if kind < 0.6:
            return [value(depth - 1) for _ in range(pick.randrange(4))]
        return mapping(depth)

    def mapping(depth: int) -> dict[Any, Any]:
        keys = [*words, 1, 2.5, True, None]
        return {pick.choice(keys): value(depth - 1) for _ in range(pick.randrange(5))}

    for _ in range(150):
        text = dumps_yaml(mapping(4))
        assert answer(dvc_yaml.parse, text) == answer(parse_yaml, text), text
