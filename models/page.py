"""A report as a page: blocks of text, tables and pictures, written as Markdown or as one HTML file.

The HTML holds its pictures, runs no script and asks nothing of a network, so it can be mailed and read on a phone.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --line: #cfcfcf; --soft: #f3f4f6; --good: #00664b;
  --bad: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --line: #44484d; --soft: #22262b;
  --good: #4fd1a5; --bad: #ff9e66; } }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.lead { background: var(--soft); border-left: 4px solid var(--good); padding: .8rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; overflow-wrap: normal; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; vertical-align: top; }
th { background: var(--soft); } td.number, th.number { text-align: right; white-space: nowrap; }
td.text { min-width: 11rem; } td.name { white-space: nowrap; }
.bad { color: var(--bad); } .good { color: var(--good); }
img { max-width: 100%; height: auto; background: white; border-radius: 6px; }
.wide img { min-width: 36rem; }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    words: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `lead` is the one that a hurried reader must see."""

    words: str
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; columns of figures are set to the right, `long` ones hold sentences."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: frozenset[int] = frozenset()
    long: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG beside the page, with what it shows for who cannot see it; one with letters scrolls on a phone."""

    file: str
    words: str
    lettered: bool = True


Block = Heading | Text | Lines | Table | Picture


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown, pictures by name."""
    parts = [f"# {title}"]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"## {block.words}")
        elif isinstance(block, Text):
            parts.append(f"**{_plain(block.words)}**" if block.lead else _plain(block.words))
        elif isinstance(block, Lines):
            parts.append("\n".join(f"* {_plain(item)}" for item in block.items))
        elif isinstance(block, Picture):
            parts.append(f"![{_plain(block.words)}]({block.file})")
        else:
            rule = ["---:" if place in block.figures else "---" for place in range(len(block.head))]
            rows = [block.head, tuple(rule), *block.rows]
            parts.append("\n".join("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows))
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block], files: Mapping[str, bytes]) -> str:
    """Write blocks as one HTML file.

    Args:
        title: of the page.
        blocks: in order.
        files: PNG bytes of every picture.
    """
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h2>{html.escape(block.words)}</h2>")
        elif isinstance(block, Text):
            parts.append(f"<p{' class=lead' if block.lead else ''}>{html.escape(block.words)}</p>")
        elif isinstance(block, Lines):
            parts.append("<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "</ul>")
        elif isinstance(block, Picture):
            data = base64.b64encode(files[block.file]).decode()
            image = f'<img alt="{html.escape(block.words)}" src="data:image/png;base64,{data}">'
            parts.append(f"<p{' class=wide' if block.lettered else ''}>{image}</p>")
        else:
            parts.append(_html_table(block))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _html_table(table: Table) -> str:
    def kind(place: int) -> str:
        return "number" if place in table.figures else "text" if place in table.long else "name"

    head = "".join(f"<th class={kind(place)}>{html.escape(cell)}</th>" for place, cell in enumerate(table.head))
    rows = []
    for row in table.rows:
        cells = []
        for place, cell in enumerate(row):
            mark = {"written": " good", "passed": " good", "failed": " bad", "refused": " bad"}.get(cell, "")
            cells.append(f'<td class="{kind(place)}{mark}">{html.escape(cell)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _plain(words: str) -> str:
    """Keep a cell of Markdown in its cell."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*")
