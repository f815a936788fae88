"""The measurements of tests/bench/run."""

import argparse
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import growth
import report
import rows
from servers import Postgres


def machine(postgres):
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.M))
    version = subprocess.run([postgres.bin / "postgres", "--version"], capture_output=True, text=True).stdout.split()[2]
    return f"{cores} cores ({model[1] if model else platform.machine()}), Linux {platform.release().split('-')[0]}, PostgreSQL {version}."


def main():
    # So that the servers end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    names = [*rows.ROWS, "footprint", *growth.PLOTS]
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    tell = lambda name, what: print(f"{name}: {what}", file=sys.stderr, flush=True)
    postgres = Postgres()
    measured = report.load()
    for name in options.names or names:
        if name in rows.ROWS:
            how = {"machine": machine(postgres), "rounds": options.rounds, "seconds": options.seconds}
            measured["rows"][name] = {**rows.compare(name, postgres, options.seconds, options.rounds, tell), **how}
        elif name == "footprint":
            measured["footprint"] = rows.footprint(postgres)
            tell(name, measured["footprint"])
        else:
            title, x, y, logarithmic, function = growth.PLOTS[name]
            lines = [{"name": line, "points": points} for line, points in function(postgres, options.seconds)]
            measured["plots"][name] = {"title": title, "x": x, "y": y, "logarithmic": logarithmic, "lines": lines}
            tell(name, lines)
        rows.stop_all_but_postgres()
        report.save(measured)
        report.write(measured, list(rows.ROWS))


main()
