"""What the demo shows: a table that grows by a row a step. On a terminal the running step is redrawn in place."""

import shutil
import sys
import textwrap

INDENT = "  "
STEP = 40


class Screen:
    def __init__(self, replicas):
        self.replicas = replicas
        self.live = sys.stdout.isatty()

    def head(self):
        names = "".join(f"{name:>13}" for name in self.replicas)
        line = f"{INDENT}{'step':<{STEP}}{'requests':>9}{'failed':>8}{names}   what was seen"
        print(f"\n{line}\n{INDENT}{'-' * (len(line) + 40)}", flush=True)

    def cells(self, mark, step, good, failed, by_replica):
        counts = "".join(f"{by_replica[name]:>13}" for name in self.replicas)
        return f"{mark:<2}{step:<{STEP}}{good:>9}{failed:>8}{counts}   "

    def running(self, step, good, failed, by_replica):
        """The step goes on; what it shows so far is overwritten by the next call."""
        if self.live:
            width = shutil.get_terminal_size().columns
            print("\r\033[K" + self.cells("…", step, good, failed, by_replica)[:width - 1], end="", flush=True)

    def done(self, well, step, good, failed, by_replica, seen):
        """The step's last word: one row, `seen` continued under itself when the terminal is narrow."""
        cells = self.cells("√" if well else "×", step, good, failed, by_replica)
        width = max(40, (shutil.get_terminal_size().columns if self.live else 200) - len(cells) - 1)
        lines = [part for line in seen.splitlines() for part in textwrap.wrap(line, width, break_on_hyphens=False)] or [""]
        if self.live:
            print("\r\033[K", end="")
        for line in lines:
            print((cells + line).rstrip(), flush=True)
            cells = " " * len(cells)

    def status(self, text):
        """A line under the table that is redrawn in place."""
        if self.live:
            print("\r\033[K" + text[:shutil.get_terminal_size().columns - 1], end="", flush=True)
