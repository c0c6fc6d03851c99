"""The chart: one SVG that needs nothing else, and follows the reader's light or dark."""

import html

from report import GROUPS, KINDS, spread

WIDTH = 980
# Where bars begin, and where the longest ends.
LEFT = 470
RIGHT = 860
ROW = 22
BAR = 12

# Without variables, which not every program that shows SVG knows.
STYLE = """
  svg { color-scheme: light dark; font: 12px system-ui, sans-serif; }
  text { fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .kind { font-weight: 600; }
  .kind, .soft { fill: #59636e; }
  .own { fill: #0969da; }
  .peer { fill: #818b98; }
  .early { opacity: 0.55; }
  .axis { stroke: #d1d9e0; }
  .whisker { stroke: #1f2328; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .kind, .soft { fill: #9198a1; }
    .own { fill: #4493f8; }
    .peer { fill: #656c76; }
    .axis { stroke: #3d444d; }
    .whisker { stroke: #f0f6fc; }
  }
"""


class Panel:
    """One group: what its bars show, and how it is said."""

    def __init__(self, key, unit, form):
        self.key = key
        self.unit = unit
        self.form = form


RATE = Panel("tasks_per_second", "tasks a second, longer is better", "{:,.0f}")
PANELS = {
    "single": RATE,
    "batch": RATE,
    "alone": Panel("p50_ms", "ms from submission to result, median; shorter is better", "{:.2f}"),
}


def write(document, directory):
    """Writes comparison.svg and returns its path."""
    path = directory / "comparison.svg"
    path.write_text(svg(document), "utf-8")
    return path


def svg(document):
    machine = document["machine"]
    about = (
        f"{document['began'][:10]}, {machine['cores']} cores of {machine['processor']}, all on one machine. "
        f"Bars: median of up to {document['rounds']} rounds of {document['seconds']:g} s; lines: least to most."
    )
    parts = [text(16, 28, "TaskGrid+ beside other queues", "title"), text(16, 48, about, "soft")]
    y = 64
    for group, title in GROUPS.items():
        rows = [row for row in document["rows"] if row["group"] == group and row["measurements"]]
        if rows:
            drawn, y = panel(rows, title, PANELS[group], y + 24)
            parts += drawn
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 16}" width="{WIDTH}" role="img">'
    return f"{head}\n<title>TaskGrid+ beside other queues</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"


def panel(rows, title, shown, y):
    """Draws a group from `y` on, and returns what it drew and where it ended."""
    most = max(spread(row, shown.key)[2] for row in rows)
    scale = (RIGHT - LEFT) / most
    parts = [text(16, y, title, "title"), text(LEFT, y, shown.unit, "soft")]
    top = y + 8
    for durable, kind in KINDS.items():
        chosen = [row for row in rows if row["durable"] == durable]
        if not chosen:
            continue
        y += ROW
        parts.append(text(16, y, kind, "kind"))
        # The best of each kind first.
        chosen.sort(key=lambda row: spread(row, shown.key)[1], reverse=shown is RATE)
        for row in chosen:
            y += ROW
            parts += bar(row, shown, scale, y)
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{top}" y2="{y + 6}"/>')
    return parts, y + 6


def bar(row, shown, scale, y):
    least, middle, most = spread(row, shown.key)
    kind = ("own" if row["system"] == "TaskGrid+" else "peer") + ("" if row["durable"] else " early")
    height = y - 4
    ends = LEFT + least * scale, LEFT + most * scale
    load = "" if row["group"] == "alone" else f"; {row['load']}".replace("`", "")
    return [
        text(LEFT - 8, y, f"{row['system']}, {row['setting']}{load}", anchor="end", size=11),
        f'<rect class="{kind}" x="{LEFT}" y="{height - BAR / 2}" width="{middle * scale:.1f}" height="{BAR}" rx="2"/>',
        f'<path class="whisker" d="M{ends[0]:.1f} {height}H{ends[1]:.1f}M{ends[0]:.1f} {height - 4}v8'
        f'M{ends[1]:.1f} {height - 4}v8"/>',
        text(f"{ends[1] + 8:.1f}", y, shown.form.format(middle)),
    ]


def text(x, y, words, kind="", anchor="start", size=None):
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in (("class", kind), ("font-size", size), ("text-anchor", anchor))
        if value and value != "start"
    )
    return f'<text x="{x}" y="{y}"{attributes}>{html.escape(words, quote=False)}</text>'
