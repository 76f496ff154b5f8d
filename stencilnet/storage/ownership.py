"""What this package wrote, by marks: only that is ever replaced.

The marks of the kinds of results:

store       the schema in its metadata, `stencilnet.KIND/VERSION`
report      a folder with the list of its files, `contents.json`
result      a JSON file with the key "schema"
signature   another one
table       a Markdown or LaTeX file with a comment at its end; a file of data beside
            one
page        an HTML file that names the package as its generator
code        source code of an operator, by its first comment
figure      a PNG, PDF, GIF or MP4 file that names the package as its creator
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

CREATOR = "stencilnet"
"""What figures name as the program that created them.

Example:
    >>> from matplotlib.figure import Figure
    >>> from stencilnet.report import save
    >>> from stencilnet.storage import CREATOR
    >>> png, pdf = save(Figure(figsize=(1, 1)), "empty")
    >>> f"/Creator ({CREATOR})".encode() in pdf.read_bytes()
    True
"""

RESULT_SCHEMA = "stencilnet.result/1"
"""The value of the key "schema" in JSON files that hold results.

Example:
    >>> import json
    >>> from stencilnet.report import write_json
    >>> from stencilnet.storage import RESULT_SCHEMA
    >>> path = write_json({"error": 0.25}, "error.json")
    >>> json.loads(path.read_text()) == {"error": 0.25, "schema": RESULT_SCHEMA}
    True
"""

SIGNATURE_SCHEMA = "stencilnet.signature/1"
"""That of JSON files that hold the signature of a store."""

TABLE_MARK = "<!-- stencilnet.table/1 -->\n"
r"""The last line of a Markdown file that the package wrote.

Example:
    >>> from stencilnet.report import write_table
    >>> from stencilnet.storage import TABLE_MARK
    >>> path = write_table("| error |\n", "errors.md")
    >>> path.read_text().removesuffix(TABLE_MARK)
    '| error |\n'
"""

LATEX_MARK = "% stencilnet.table/1\n"
"""The last line of a LaTeX table that the package wrote.

Example:
    >>> from stencilnet.report import write_table
    >>> from stencilnet.storage import LATEX_MARK, refuse_existing
    >>> table = write_table("", "errors.tex")
    >>> table.read_text() == LATEX_MARK
    True
    >>> refuse_existing(table, overwrite=True, kind="table")
    >>> _ = table.write_text("without the mark")
    >>> refuse_existing(table, overwrite=True, kind="table")
    Traceback (most recent call last):
    ...
    FileExistsError: errors.tex is no result of stencilnet, so it is not replaced: ...
"""
CODE_MARK = "A learned stencil: "
"""How the first comment of source code that the package wrote begins."""

STORES = ("trajectories", "operator", "dataset")
"""Kinds of stores, as they stand in the schema."""

_CONTENTS = "contents.json"
_REPORT_SCHEMA = "stencilnet.report/1"
# Metadata and marked files larger than that are none of the package's.
_LARGEST = 2**26


def refuse_foreign(path: Path, kind: str) -> None:
    """Raises unless a file or folder may be replaced by a result of some kind.

    Args:
        path: of what exists.
        kind: "trajectories", "operator", "dataset", "report", "result", "table",
            "page", "figure" or "signature".

    Raises:
        FileExistsError: if the package did not write `path`, if it is of another kind,
            or if there is a foreign file in it. An empty folder may be replaced.
    """
    found = kind_of(path)
    if found == "":
        raise FileExistsError(
            f"{path} is no result of stencilnet, so it is not replaced: choose another "
            f"place, or remove it yourself."
        )
    if found not in (kind, "empty"):
        raise FileExistsError(
            f"{path} is of another kind ({found}) than what would replace it ({kind}): "
            f"choose another place, or remove it yourself."
        )
    stranger = foreign_file(path, kind) if path.is_dir() else None
    if stranger is not None:
        raise FileExistsError(
            f"{path} is not replaced, as {stranger} in it is not of stencilnet: move "
            f"that file elsewhere, or choose another place."
        )


def kind_of(path: Path) -> str:
    """The kind of a result, "empty" for an empty folder, "" for anything foreign."""
    if path.is_dir():
        if not any(path.iterdir()):
            return "empty"
        if _json(path / _CONTENTS).get("schema") == _REPORT_SCHEMA:
            return "report"
        attributes = _json(path / "zarr.json").get("attributes")
        schema = attributes.get("schema") if isinstance(attributes, dict) else None
        name = str(schema).partition("/")[0].removeprefix("stencilnet.")
        return name if name in STORES else ""
    tests = _FILES.get(path.suffix, {})
    return next((kind for kind, marked in tests.items() if marked(path)), "")


def foreign_file(folder: Path, kind: str) -> Path | None:
    """The first file in a result's folder that does not belong to it."""
    if kind == "report":
        names = _json(folder / _CONTENTS).get("files")
        own = {_CONTENTS, *(names if isinstance(names, list) else [])}
        for path in sorted(folder.iterdir()):
            if path.name not in own:
                return path
            inner = foreign_file(path, "dataset") if path.is_dir() else None
            if inner is not None:
                return inner
        return None
    for path in sorted(folder.rglob("*")):
        chunk = re.search(r"/c(/\d+)*$", f"/{path.relative_to(folder).as_posix()}")
        if not path.is_dir() and not (path.name == "zarr.json" or chunk):
            return path
    return None


def mark_report(folder: Path) -> None:
    """Lists the files of a report's folder in it.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from stencilnet.storage import mark_report
        >>> folder = Path("comparison")
        >>> folder.mkdir()
        >>> (folder / "table.md").touch()
        >>> mark_report(folder)
        >>> json.loads((folder / "contents.json").read_text())["files"]
        ['table.md']
    """
    names = sorted(path.name for path in folder.iterdir())
    text = json.dumps({"schema": _REPORT_SCHEMA, "files": names}, indent=2)
    (folder / _CONTENTS).write_text(text + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    """The content of a JSON file of moderate size; empty for anything else."""
    try:
        value = json.loads(_content(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _content(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return b""
    return path.read_bytes()


def _is_result(path: Path) -> bool:
    return _json(path).get("schema") == RESULT_SCHEMA


def _is_signature(path: Path) -> bool:
    return _json(path).get("schema") == SIGNATURE_SCHEMA


def _is_table(path: Path) -> bool:
    marked = path.with_suffix(".md")
    return not marked.is_dir() and _content(marked).endswith(TABLE_MARK.encode())


def _is_latex(path: Path) -> bool:
    return _content(path).endswith(LATEX_MARK.encode())


def _is_page(path: Path) -> bool:
    return b'<meta name="generator" content="stencilnet">' in _content(path)[:4096]


def _is_image(path: Path) -> bool:
    return b"Software\x00" + CREATOR.encode() in _content(path)[:4096]


def _is_document(path: Path) -> bool:
    return f"/Creator ({CREATOR})".encode() in _content(path)


def _is_animation(path: Path) -> bool:
    comment = b"\x21\xfe" + bytes([len(CREATOR)]) + CREATOR.encode()
    return comment in _content(path)[:4096]


def _is_movie(path: Path) -> bool:
    return CREATOR.encode() in _content(path)


def _is_code(path: Path) -> bool:
    return CODE_MARK.encode() in _content(path)[:80]


_FILES: dict[str, dict[str, Callable[[Path], bool]]] = {
    ".json": {"result": _is_result, "signature": _is_signature},
    ".sig": {"signature": _is_signature},
    ".md": {"table": _is_table},
    # Exported trajectories lie beside their card, which is marked as tables are.
    **{
        suffix: {"table": _is_table}
        for suffix in (".csv", ".npz", ".mat", ".h5", ".hdf5", ".nc")
    },
    ".py": {"code": _is_code},
    ".h": {"code": _is_code},
    ".png": {"figure": _is_image},
    ".pdf": {"figure": _is_document},
    ".gif": {"figure": _is_animation},
    ".mp4": {"figure": _is_movie},
    ".tex": {"table": _is_latex},
    ".html": {"page": _is_page},
}
