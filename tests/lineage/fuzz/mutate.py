"""Texts that somebody may have written in place of sound ones."""

import copy
import json
import random
import unicodedata
from collections.abc import Callable
from typing import Any

MD5 = "0123456789abcdef0123456789abcdef"

PATHS = [
    *("", ".", "..", "/", "//", "\\", "../x", "../../victim/kept.txt", "a/../../secret.txt"),
    *("/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/environ", "~/x", "$HOME/x", "%00"),
    *(
        "C:\\x",
        "c:x",
        "\\\\server\\share",
        "//server/share",
        "..\\..\\x",
        "a\\b",
        "a//b",
        "a/",
        "./a",
    ),
    *(
        "a.",
        "a ",
        " a",
        "a...",
        "CON",
        "nul.txt",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\tb",
        "\x1b[31ma",
        "\x9b3",
    ),
    *(
        "é",
        "e\u0301",
        "É",
        "A.TXT",
        "a.txt",
        "\u017f",
        "İ",
        "ﬁ",
        "\u202egpj",
        "\u200b",
        "\ud800",
        "\udcff",
    ),
    *(".git", ".git/config", ".git/hooks/pre-commit", ".GIT/x", ".git./x", "GIT~1", ".dvc/config"),
    *(
        ".dvc",
        ".dvcignore",
        ".gitignore",
        ".gitmodules",
        "x" * 300,
        "x/" * 300 + "x",
        "-rf",
        "--help",
    ),
    *("http://me:secret@h/a?token=1", "s3://b/k", "file:///etc/passwd", "raw", "raw/a.txt", "sub"),
    *("${x}", "{{x}}", "$(id)", "`id`", "a;b", "a'b", 'a"b', "a%b", "a_b", "[/a]", ":100:", "<b>"),
]
HASHES = [
    *(
        "",
        MD5,
        MD5 + ".dir",
        MD5.upper(),
        MD5[:-1],
        MD5 + "0",
        "../" + MD5,
        MD5 + "/../x",
        MD5 + "\n",
    ),
    *(MD5 + ".dir.dir", ".dir", "../../../../secret", "d751713988987e9331980363e24189ce.dir"),
    *("d751713988987e9331980363e24189ce", "d41d8cd98f00b204e9800998ecf8427e", '"etag"', "%" * 32),
    *("'" * 32, "_" * 32, MD5 + "' OR '1'='1", "0" * 40, "f" * 64, "h", "\0" * 32, "\u0660" * 32),
]
TEXTS = [
    *(
        "' OR 1=1 --",
        '"; DROP TABLE runs; --',
        "%",
        "_",
        "\\",
        "a`b",
        "tags.`x` = 'y'",
        "null",
        "true",
    ),
    *(
        "\x1b]0;title\x07",
        "two\nlines",
        "two\r\nlineage: forged",
        "[red]x[/red]",
        "| a | b |",
        "]]>",
    ),
    *(
        "x" * 7000,
        "a" * 100_000,
        "\u3164",
        "\ufeff",
        "&amp;",
        "<script>alert(1)</script>",
        "models:/odd/1",
    ),
    *(
        "models:/odd/2",
        "models:/toy/1",
        "m-" + MD5,
        "1970-01-01",
        "9" * 400,
        "HEAD",
        "v1",
        "@",
        "x@y",
    ),
]
RAW = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1",
        "0",
        "1",
        "2.5",
        "true",
        "false",
        "null",
        "[]",
        "{}",
    ),
    *("9" * 40, "1" + "0" * 5000, "-0.0", "1e-400", "[[]]", '{"a": 1}', "18446744073709551616"),
    *("[null]", '[{"a": []}]', '{"": ""}', "1.7976931348623157e308", '"\\ud800"', '"\\u0000"'),
]


class Raw:
    """JSON that no Python value writes."""

    def __init__(self, text: str) -> None:
        self.text = text


def value(rng: random.Random) -> Any:
    """Anything in the place of a value."""
    pool = rng.choice([PATHS, HASHES, TEXTS, RAW])
    return Raw(rng.choice(pool)) if pool is RAW else rng.choice(pool)


def as_json(whole: Any) -> str:
    raw: list[str] = []

    def plain(each: Any) -> Any:
        match each:
            case Raw():
                raw.append(each.text)
                return f"@raw{len(raw) - 1}@"
            case dict():
                return {name: plain(inside) for name, inside in each.items()}
            case list() | tuple():
                return [plain(inside) for inside in each]
            case _:
                return each

    text = json.dumps(plain(whole))
    for number, each in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', each)
    return text


def places(whole: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        for key in keys:
            found.append((each, key))
            if isinstance(each[key], dict | list):
                waiting.append(each[key])
    return found


def structure(rng: random.Random, whole: Any) -> Any:
    """One to three changes of a value's structure."""
    changed = copy.deepcopy(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        found = places(changed) if isinstance(changed, dict | list) else []
        if not found or rng.random() < 0.03:
            changed = value(rng)
            continue
        inside, key = rng.choice(found)
        match rng.randrange(10):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, dict):
                inside[str(value(rng))[:200]] = inside.pop(key)
            case 2 if isinstance(inside, list):
                inside.append(copy.deepcopy(inside[key]))
            case 3:
                other, its = rng.choice(found)
                if its in (other if isinstance(other, dict) else range(len(other))):
                    swapped = copy.deepcopy(other[its])
                    inside[key] = swapped
            case 4:
                inside[key] = [inside[key]]
            case 5:
                inside[key] = {"a": inside[key]}
            case 6 if isinstance(inside[key], str):
                inside[key] = edited(rng, inside[key])
            case 7 if isinstance(inside[key], str):
                inside[key] = rng.choice(HASHES if "." not in inside[key][:8] else PATHS)
            case 8 if isinstance(inside, dict):
                inside[rng.choice(PATHS + TEXTS)] = value(rng)
            case _:
                inside[key] = value(rng)
    return changed


def edited(rng: random.Random, text: str) -> str:
    """A small edit of a text, such as only a normal form or case."""
    return rng.choice(
        [
            lambda: text.upper(),
            lambda: unicodedata.normalize("NFD", text + "é"),
            lambda: (
                text + rng.choice(["/", ".", " ", "\0", "\n", ".dir", "/..", "/../x", "%", "'"])
            ),
            lambda: rng.choice(["../", "/", "./", " ", "-", "C:", "\\", ".git/"]) + text,
            lambda: text[: rng.randrange(len(text) + 1)],
            lambda: text * rng.choice([2, 50]),
        ]
    )()


def json_text(rng: random.Random, whole: Any) -> bytes:
    """JSON of a spoilt value, or a value as spoilt JSON."""
    match rng.randrange(12):
        case 0:
            return broken(rng, as_json(whole).encode("utf-8", "surrogatepass"))
        case 1:
            return rng.choice(JSON_TRICKS)(as_json(whole)).encode("utf-8", "surrogatepass")
        case 2:
            text = as_json(whole)
            return rng.choice(
                [
                    lambda: text.encode("utf-16"),
                    lambda: b"\xef\xbb\xbf" + text.encode(),
                    lambda: text.encode("utf-32"),
                    lambda: text.encode() + b"\xff",
                    lambda: b"",
                    lambda: b"\0" * 100,
                ]
            )()
        case _:
            return as_json(structure(rng, whole)).encode("utf-8", "surrogatepass")


JSON_TRICKS: list[Callable[[str], str]] = [
    lambda text: text + text,
    lambda text: text + " x",
    lambda text: f"[{text}]",
    lambda text: f'{{"a": {text}, "a": {text}}}',
    lambda text: "[" * 100_000,
    lambda text: '{"a":' * 100_000,
    lambda text: "[" * 900 + "]" * 900,
    lambda text: '{"a":' * 900 + "1" + "}" * 900,
    lambda text: "[" * 50_000 + text + "]" * 50_000,
    lambda text: text.replace('"', "'"),
    lambda text: text.replace(":", ": NaN, "),
    lambda text: text.replace("{", "{/**/"),
    lambda text: text.replace('": "', '": "\\ud800'),
    lambda text: text.replace("{", '{"path": "x", "path": "y", ', 1),
    lambda text: "1" * 100_000,
    lambda text: "1e" + "9" * 5000,
    lambda text: '"' + "x" * 3_000_000 + '"',
    lambda text: "[" + ",".join(["null"] * 300_000) + "]",
    lambda text: "{" + ",".join(f'"k{n}": {n}' for n in range(50_000)) + "}",
]


def broken(rng: random.Random, text: bytes) -> bytes:
    """Bytes of it cut, turned, doubled or put elsewhere."""
    found = bytearray(text)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0:
                del found[at:]
            case 1 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 2:
                found[at:at] = bytes([rng.randrange(256)])
            case 3:
                end = rng.randrange(at, len(found) + 1)
                del found[at:end]
            case 4:
                end = rng.randrange(at, len(found) + 1)
                found[at:at] = found[at:end]
            case _:
                found[at:at] = rng.choice(
                    [b"\0", b"\xff", b"\t", b"\r\n", b"'", b'"', b"&a ", b"*a "]
                )
    return bytes(found)


YAML_TRICKS: list[Callable[[str], str]] = [
    lambda text: bomb(9, 9) + text,
    lambda text: bomb(6, 10) + text,
    lambda text: bomb(20, 3),
    lambda text: "a: &a [*a, *a]\n" + text,
    lambda text: "a: &a {b: *a}\nstages: *a\n",
    lambda text: "&top\n" + text + "again: *top\n",
    lambda text: "!!python/object/apply:os.system ['touch ../../victim/x']",
    lambda text: "a: !!python/object:os.system {}\n" + text,
    lambda text: "a: !!python/name:os.system\n" + text,
    lambda text: "!!set {a, b}",
    lambda text: "a: !!binary AAAA\n" + text,
    lambda text: "a: !unknown x\n" + text,
    lambda text: "<<: {outs: 1, stages: 2, deps: x}\n" + text,
    lambda text: "a: &a {x: 1}\nb: {<<: [*a, *a]}\n" + text,
    lambda text: text.replace("  ", "\t", 1),
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: "\ufeff" + text,
    lambda text: "%YAML 1.1\n---\n" + text,
    lambda text: "%YAML 9.9\n---\n" + text,
    lambda text: "---\n" + text + "---\n" + text,
    lambda text: text + text,
    lambda text: "a: " + "9" * 5000 + "\n" + text,
    lambda text: "a: 0o777\nb: 017\nc: 0x1F\nd: 1_000\ne: 190:20:30\nf: .inf\ng: .nan\n" + text,
    lambda text: "a: 2026-02-30\n" + text,
    lambda text: "2026-01-01: 2026-01-01T00:00:00+99:99\n" + text,
    lambda text: "? [a, b]\n: c\n" + text,
    lambda text: "? {a: b}\n: c\n" + text,
    lambda text: "null: 1\n1: 2\ntrue: 3\n1.5: 4\n" + text,
    lambda text: "a: " + "[" * 2000 + "]" * 2000,
    lambda text: "a: " + "[" * 100_000,
    lambda text: "a: " + "{a: " * 20_000,
    lambda text: "- " * 3000 + "a",
    lambda text: "\n".join(" " * depth + "a:" for depth in range(3000)),
    lambda text: "a: |\n" + "  x\n" * 100_000,
    lambda text: "<<<<<<< HEAD\n" + text + "=======\n" + text + ">>>>>>> other\n",
    lambda text: "schema: '1.0'\n" + text,
    lambda text: text.replace("md5:", "etag:"),
    lambda text: text.replace("md5:", "checksum:"),
    lambda text: text.replace("path:", "path: ../"),
    lambda text: text.replace("size: ", "size: -"),
    lambda text: text.replace("size: ", "size: 1e400 #"),
    lambda text: text.replace("size: ", "size: .nan #"),
    lambda text: text.replace("nfiles: ", "nfiles: x"),
    lambda text: text.replace("hash: md5", "hash: md5-dos2unix"),
    lambda text: text.replace("hash: md5", "hash: ../../x"),
    lambda text: "#" + "x" * 1_000_000 + "\n" + text,
]


def bomb(levels: int, width: int) -> str:
    """A few lines that stand for more than any memory holds."""
    lines = ["z0: &z0 [lol, lol]"]
    for level in range(1, levels):
        inside = ", ".join([f"*z{level - 1}"] * width)
        lines.append(f"z{level}: &z{level} [{inside}]")
    return "\n".join(lines) + "\n"


def yaml_text(rng: random.Random, text: str) -> bytes:
    """A YAML file spoilt: in what it says, in how it says it, or in its bytes."""
    from ruamel.yaml import YAML

    match rng.randrange(6):
        case 0:
            return broken(rng, text.encode())
        case 1 | 2:
            return rng.choice(YAML_TRICKS)(text).encode("utf-8", "surrogatepass")
        case _:
            # JSON is YAML, but for what is no text in it.
            whole = YAML(typ="safe").load(text)
            spoilt = as_json(structure(rng, whole))
            return spoilt.replace("\\u0000", "\\0").encode("utf-8", "surrogatepass")
