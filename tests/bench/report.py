"""docs/performance.md and its plots, from what was measured (docs/performance.json)."""

import html
import json
import math

from servers import ROOT

DATA = ROOT / "docs/performance.json"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 80, 40, 20, 50
COLORS = ("#2563eb", "#d97706", "#059669", "#9333ea")

HEAD = """# Performance

What the binary of releases does, next to what bounds it and next to rivals that do the same job. Written by `tests/bench/run`, which
repeats it on your machine; figures of different machines cannot be compared, ratios can.

{machine}

The load generator (wrk with one thread and 32 connections; pgbench with 16 clients and prepared statements) shares the machine with
gate, Postgres and nginx. Gate, yardstick and nginx have one worker each. The gate is built with a profile
(`deploy/package/profiled`), yardstick and rivals as anybody builds them. Both sides of a row are measured in turn, {rounds} times for
{seconds} seconds each; rates are medians, and the ratio is the median of the ratios of the pairs, with the lowest and the highest.
Commits reach the disk. When a run of logins begins, no user has a `last_login` or is in the gate's cache. The plugin runs in Label
Studio's development server (`runserver`, one process) and gets 8 connections.
"""
# How a row was measured.
HOW = ("machine", "rounds", "seconds")


def load():
    if not DATA.exists():
        return {"rows": {}, "plots": {}, "footprint": {}}
    measured = json.loads(DATA.read_text())
    # Older files say once for all rows how they were measured.
    before = measured.pop("run", {})
    measured["rows"] = {name: {**before, **row} for name, row in measured["rows"].items()}
    return measured


def save(measured):
    DATA.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def latency(side):
    return f", p50 {side['p50']:.2f} ms, p99 {side['p99']:.2f} ms" if "p50" in side else ""


def head(rows):
    """How most rows were measured, and which were measured otherwise."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in HOW), []).append(f"“{row['title']}” next to “{row['sides'][1]['name']}”")
    if not groups:
        return "# Performance\n"
    common = max(groups, key=lambda how: len(groups[how]))
    others = [f"{', '.join(names)} ({rounds} times for {seconds} seconds; {machine.rstrip('.')})"
              for (machine, rounds, seconds), names in groups.items() if (machine, rounds, seconds) != common]
    otherwise = f"Measured otherwise: {'; '.join(others)}.\n" if others else ""
    return HEAD.format(**dict(zip(HOW, common))) + otherwise


def write(measured, order):
    rows = [measured["rows"][name] for name in order if name in measured["rows"]]
    lines = [head(rows), "## Side by side\n", "| path | gate | compared with | ratio | goal |", "|---|---|---|---|---|"]
    for row in rows:
        own, other = row["sides"]
        low, high = row["ratios"]
        shown = number(row["ratio"]) if row["ratio"] >= 10 else f"{row['ratio']:.2f}"
        spread = f"{low:.2f} to {high:.2f}" if high < 10 else f"{number(low)} to {number(high)}"
        lines.append(f"| {row['title']} | {number(own['rate'])}/s{latency(own)} | {other['name']}: {number(other['rate'])}/s | {shown} ({spread}) | {row['goal']} |")
    foot = measured["footprint"]
    if foot:
        rows_mib, signed_mib = (", ".join(f"{it:.1f}" for it in foot[key]) for key in ("memory_mib", "memory_signed_mib"))
        lines += ["", "## Footprint\n", "| | measured | goal |", "|---|---|---|",
                  f"| start to ready, median | {foot['start_ms']:.0f} ms | ≤ 100 ms |",
                  f"| resident memory after the start | {foot['memory_fresh_mib']:.1f} MiB | |",
                  f"| after 60,000 live sessions, three times over: session rows | {rows_mib} MiB | ≤ 32 MiB, flat |",
                  f"| the same: signed cookies | {signed_mib} MiB | ≤ 32 MiB, flat |",
                  f"| with `database.cache_capacity` = 100,000 and as many live sessions | {foot['memory_large_cache_mib']:.1f} MiB | |",
                  f"| binary | {foot['binary_mb']:.1f} MB | ≤ 10 MB |"]
    if measured["plots"]:
        lines += ["", "## How cost grows\n", "Each point is the median of three runs; with several gates, the sum of one.\n"]
        for name, plot in measured["plots"].items():
            (ROOT / "docs/performance").mkdir(exist_ok=True)
            (ROOT / f"docs/performance/{name}.svg").write_text(svg(plot))
            lines.append(f"![{plot['title']}](performance/{name}.svg)\n")
    (ROOT / "docs/performance.md").write_text("\n".join(lines).rstrip() + "\n")


def svg(plot):
    """Lines over a logarithmic or linear x axis; y begins at zero."""
    points = [point for line in plot["lines"] for point in line["points"]]
    scale = (lambda x: math.log10(max(x, 1))) if plot["logarithmic"] else (lambda x: x)
    low, high = min(scale(x) for x, _ in points), max(scale(x) for x, _ in points)
    top = max(y for _, y in points) * 1.1
    x_of = lambda x: LEFT + (scale(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)
    y_of = lambda y: HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)
    text = lambda x, y, value, anchor="middle", more="": f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>{html.escape(value)}</text>'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#475569">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', text(WIDTH / 2, 20, plot["title"], more=' font-size="14" fill="#0f172a"')]
    step = 10 ** math.floor(math.log10(top))
    step = next(it for it in (step / 5, step / 2, step, step * 2) if top / it <= 6)
    for n in range(int(top / step) + 1):
        y = y_of(n * step)
        out += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e2e8f0"/>', text(LEFT - 8, y + 4, number(n * step), "end")]
    for x in sorted({x for x, _ in points}):
        out.append(text(x_of(x), HEIGHT - BOTTOM + 18, f"{x:,}"))
    out += [text(WIDTH / 2, HEIGHT - 12, plot["x"]), text(LEFT, TOP - 8, plot["y"])]
    for n, line in enumerate(plot["lines"]):
        color = COLORS[n % len(COLORS)]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line["points"])
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{color}"/>' for x, y in line["points"]]
        out.append(text(WIDTH - RIGHT, HEIGHT - BOTTOM - 8 - 16 * (len(plot["lines"]) - 1 - n), line["name"], "end", f' fill="{color}"'))
    return "\n".join([*out, "</svg>"]) + "\n"
