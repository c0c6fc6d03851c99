"""The tables, in Markdown, and all figures, in JSON."""

import json
import statistics

GROUPS = {
    "single": "One message a task",
    "batch": "Batches",
    "alone": "One at a time",
}

KINDS = {
    True: "On stable storage before it is acknowledged",
    False: "Acknowledged before it is on stable storage",
}

HEADINGS = [
    "system",
    "load",
    "tasks/s",
    "p50 ms",
    "p99 ms",
    "server CPU µs/task",
    "all CPU µs/task",
    "disk, syncs/s",
    "when the client has its acknowledgement",
    "when it sees the result",
]


def write(document, directory):
    """Writes comparison.md and comparison.json, and returns the path of the first."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "comparison.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path = directory / "comparison.md"
    path.write_text(markdown(document), "utf-8")
    return path


def markdown(document):
    lines = ["# TaskGrid+ beside other queues", "", *preface(document)]
    for group, title in GROUPS.items():
        rows = [row for row in document["rows"] if row["group"] == group]
        if rows:
            lines += ["", f"## {title}", ""]
        for durable, kind in KINDS.items():
            lines += table([row for row in rows if row["durable"] == durable], kind)
    return "\n".join(lines) + "\n"


def preface(document):
    machine = document["machine"]
    versions = "; ".join(f"{name}: {version}" for name, version in document["versions"].items())
    return [
        f"{document['began'][:10]}, `{document['command']}`",
        "",
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Linux {machine['kernel']}, {machine['file_system']}; servers, workers and load on it, over loopback.",
        f"{versions}.",
        "",
        f"Median of up to {document['rounds']} rounds of {document['seconds']:g} s each, with the least and the most in "
        "parentheses. Every result was compared. Server CPU is that of the processes that keep the queue; all CPU has "
        "workers and clients too. The disk is what appends of 4 KiB, each with fdatasync, reached in the second before.",
    ]


def table(rows, kind):
    if not rows:
        return []
    lines = [f"**{kind}**", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    return [*lines, *(f"| {' | '.join(cells(row))} |" for row in rows), ""]


def cells(row):
    system = f"{row['system']}, {row['setting']}"
    words = [row["acknowledged"], row["seen"]]
    if not row["measurements"]:
        return [system, row["load"], "; ".join(row["problems"]) or "not run: no time was left", *[""] * 5, *words]
    median = {key: spread(row, key) for key in ("tasks_per_second", "p50_ms", "p99_ms", "server_us", "all_us")}
    least, middle, most = median["tasks_per_second"]
    problems = f"; {'; '.join(row['problems'])}" if row["problems"] else ""
    return [
        system,
        row["load"],
        f"{middle:,.0f} ({least:,.0f}–{most:,.0f}){problems}",
        *(f"{median[key][1]:.2f}" for key in ("p50_ms", "p99_ms")),
        f"{median['server_us'][1]:.0f}" if median["server_us"][1] else "no server",
        f"{median['all_us'][1]:.0f}",
        f"{statistics.median(each['disk']['syncs_per_second'] for each in row['measurements']):,.0f}",
        *words,
    ]


def spread(row, key):
    """The least, the median and the most of all rounds."""
    values = [measurement[key] for measurement in row["measurements"]]
    return min(values), statistics.median(values), max(values)
