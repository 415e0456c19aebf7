"""Pictures by gnuplot, as SVG."""

import json
import subprocess


def _gnuplot(path, script):
    head = f"set terminal svg size 900,420 font 'sans,13' background 'white'\nset output {json.dumps(str(path))}\n"
    subprocess.run(["gnuplot"], input=head + script, text=True, check=True)


def _data(name, rows):
    return f"${name} << EOD\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\nEOD\n"


def distribution(path, title, unit, series):
    """The share of all values that is at most x.  `series`: values by name."""
    script = f"set title {json.dumps(title)}\nset xlabel {json.dumps(unit)}\nset ylabel 'share'\n"
    script += "set logscale x\nset yrange [0:1]\nset key bottom right\nset grid\n"
    plots = []
    for number, (name, values) in enumerate(series.items()):
        ordered = sorted(value for value in values if value is not None and value > 0)
        if not ordered:
            continue
        script += _data(f"d{number}", [(value, (i + 1) / len(ordered)) for i, value in enumerate(ordered)])
        plots.append(f"$d{number} using 1:2 with steps linewidth 2 title {json.dumps(name)}")
    if plots:
        _gnuplot(path, script + "plot " + ", ".join(plots) + "\n")


def time_line(path, title, phases):
    """One hand-over: a bar for each of its phases, from the top in the order of time."""
    rows = [(phase["start-us"] / 1e3, (phase["start-us"] + phase["duration-us"]) / 1e3, -i, phase["name"])
            for i, phase in enumerate(phases)]
    if not rows:
        return
    script = f"set title {json.dumps(title)}\nset xlabel 'ms since the command migrate'\nset grid x\nunset key\n"
    ticks = ", ".join(f"{json.dumps(name)} {height}" for _, _, height, name in rows)
    script += f"set ytics ({ticks})\nset yrange [{-len(rows)}:1]\nset style fill solid 0.8\n"
    script += _data("d", [(begin, height, begin, end, height - 0.35, height + 0.35) for begin, end, height, _ in rows])
    _gnuplot(path, script + "plot $d using 1:2:3:4:5:6 with boxxyerror linecolor rgb '#2060a0'\n")


def curve(path, title, x_label, y_label, series, style="linespoints linewidth 2"):
    """Lines with points.  `series`: (x, y) pairs by name."""
    script = f"set title {json.dumps(title)}\nset xlabel {json.dumps(x_label)}\nset ylabel {json.dumps(y_label)}\n"
    script += "set yrange [0:*]\nset grid\nset key top left\n"
    plots = []
    for number, (name, points) in enumerate(series.items()):
        script += _data(f"d{number}", points)
        plots.append(f"$d{number} using 1:2 with {style} title {json.dumps(name)}")
    if plots:
        _gnuplot(path, script + "plot " + ", ".join(plots) + "\n")
