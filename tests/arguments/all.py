"""Makes every call that must be refused, and prints what became of it.

    KERAS_BACKEND=jax python -m tests.arguments.all
    python -m tests.arguments.all layers.ViT         # Of some names.
    python -m tests.arguments.all --show taken raw   # All of these outcomes.

Runs in a process that is started again where it crashes or stands still.
"""

import collections
import json
import re
import select
import subprocess
import sys

# The imports, and the first call, take their time.
PATIENCE = 120


def work(first, name):
    """Makes the calls from the one numbered `first` on, and tells of each."""
    from tests.arguments import walk

    trials = [x for x in walk.wrong_trials() if name in x.call]
    trials += [x for x in walk.right_trials() if name in x.call]
    wrong = sum(name in x.call for x in walk.wrong_trials())
    for number, trial in enumerate(trials[first:], first):
        tell(number, wrong, str(trial), None, "")
        tell(number, wrong, str(trial), *walk.run(trial))
    tell(-1, wrong, "", "end", "")


def tell(*content):
    print("FUZZ " + json.dumps(content), flush=True)


def outcomes(name):
    """Yields every call: whether it is wrong, its text, outcome, message."""
    first, done = 0, False
    while not done:
        command = [sys.executable, "-m", "tests.arguments.all", "--work"]
        process = subprocess.Popen(
            [*command, str(first), name], stdout=subprocess.PIPE
        )
        begun, buffer = None, b""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            chunk = process.stdout.read1() if ready else b""
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if not line.startswith(b"FUZZ "):
                    continue
                number, wrong, trial, outcome, message = json.loads(line[5:])
                done = done or outcome == "end"
                if outcome is None:
                    begun = number, number < wrong, trial
                elif not done:
                    yield number < wrong, trial, outcome, message
                    first, begun = number + 1, None
            if not chunk:
                break
        process.kill()
        process.wait()
        if done:
            return
        if begun is None:
            raise SystemExit("The calls could not be made.")
        number, wrong, trial = begun
        yield wrong, trial, "crash" if ready else "hang", ""
        first = number + 1


def main():
    arguments = sys.argv[1:]
    shown = ["crash", "hang", "taken", "raw"]
    if "--show" in arguments:
        place = arguments.index("--show")
        shown, arguments = arguments[place + 1 :], arguments[:place]
    table = collections.defaultdict(collections.Counter)
    refused = []
    for wrong, trial, outcome, message in outcomes("".join(arguments[:1])):
        if wrong:
            table[re.split(r"[.(]", trial)[0]][outcome] += 1
            if outcome in shown:
                print(f"{outcome}: {trial} {message[:200]!r}", flush=True)
        elif outcome != "taken":
            refused.append(f"{trial} {message[:200]!r}")
    for trial in refused:
        print(f"refused, though right: {trial}")
    columns = "named", "unnamed", "raw", "taken", "hang", "crash"
    print(f"\n{'':14}" + "".join(f"{c:>9}" for c in columns))
    total = sum(table.values(), collections.Counter())
    for package, counts in [*sorted(table.items()), ("all", total)]:
        row = "".join(f"{counts[c]:>9}" for c in columns)
        print(f"{package:14}{row}")
    of_all = total["named"] + total["unnamed"] + total["raw"]
    print(
        f"\n{total['named'] / max(of_all, 1):.1%} of what is refused names it"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), sys.argv[3])
    else:
        main()
