"""Tables on a terminal."""


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - len(str(int(abs(value)))) + 1)}f}"


def table(header, rows):
    """Lines of text; the first column is left-aligned, the others are numbers."""
    cells = [list(header), *[[row[0], *map(number, row[1:])] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]

    def line(cell_row):
        return "  ".join([cell_row[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(cell_row[1:], widths[1:])]]).rstrip()

    return "\n".join([line(cells[0]), "-" * len(line(["-" * w for w in widths])), *map(line, cells[1:])])


def summary_rows(summaries):
    """Rows for table(): name, median, p90, p99, max."""
    keys = ("median", "p90", "p99", "max")
    return [[name, *[(found or {}).get(key) for key in keys]] for name, found in summaries.items()]


def ratio_text(ratio):
    """'5.2 (4.8 to 5.9)'."""
    if ratio is None:
        return "-"
    return f"{number(ratio['median'])} ({number(ratio['p10'])} to {number(ratio['p90'])})"
