"""Shows what pre-training is worth on your images: one page and one picture.

    python examples/report.py                               # bundled photos
    python examples/report.py --data flowers --seeds 1 \\
        --pretrain_flags "--image_size=224 --patch_size=16 --encoder=vit_small"

For each seed it runs pretrain.py, then linear_probe.py on the encoder and on an
untrained one, then finetune.py with and without pre-training, for the same
number of epochs; and, if asked, on the last blocks alone. --data needs classes
and a split to judge on. Runs that are finished stay as they are: the same
command goes on where it was interrupted.

Writes to --output_dir: report.md, report.png (the curves), and a folder per
run.
"""

import csv
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
from concurrent import futures

from absl import app
from absl import flags

from support import checks

FLAGS = flags.FLAGS
flags.DEFINE_string("data", "clothing64", "As pretrain.py has it.")
SPLITS = "train_split", "validation_split", "test_split"
for split in SPLITS:
    flags.DEFINE_string(split, None, "As pretrain.py has it.")
flags.DEFINE_string("output_dir", "runs/report", "Folder for the results.")
flags.DEFINE_integer("seeds", 3, "Number of seeds.")
flags.DEFINE_integer(
    "parallel", 1, "Runs at the same time: 1 on a GPU, one per core on a CPU."
)
flags.DEFINE_string(
    "pretrain_flags",
    None,
    "Flags of pretrain.py; None: the recipe for clothing64, if --data is that.",
)
flags.DEFINE_string(
    "probe_flags", "--pooling=mean", "Flags of linear_probe.py."
)
flags.DEFINE_string(
    "finetune_flags", None, "Flags of finetune.py; None: likewise."
)
flags.DEFINE_string(
    "scratch_flags",
    "--layer_decay=1",
    "Of finetune.py without pre-training, beside --finetune_flags: there is "
    "no reason to hold earlier layers back.",
)

flags.DEFINE_list(
    "last_blocks",
    [],
    "Fine-tune so many blocks too, and no others; finetune.py explains it.",
)

EXAMPLES = pathlib.Path(__file__).parent
RUNS = "probe", "probe_untrained", "finetune", "scratch"


def run_once(script, folder, product, *arguments):
    """Runs an example, or goes on with it, unless it is finished."""
    if (folder / product).exists():
        return
    # An interrupted run holds the flags it had.
    resume = ["--resume"] if (folder / "config.json").exists() else []
    command = [EXAMPLES / script, f"--output_dir={folder}", *arguments, *resume]
    print(" ".join(map(str, command)), flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.log", "a") as log:
        code = subprocess.run(
            [sys.executable, *command], stdout=log, stderr=log
        ).returncode
    if code:
        raise SystemExit(f"{script} failed; see {folder}.log")


def flags_for(name):
    given = getattr(FLAGS, f"{name}_flags")
    if given is None:
        recipe = EXAMPLES / f"recipes/{FLAGS.data}_{name}.txt"
        return [f"--flagfile={recipe}"] if recipe.exists() else []
    return shlex.split(given)


def data_flags():
    """Returns the flags that tell every script what to read."""
    given = [(name, getattr(FLAGS, name)) for name in ("data", *SPLITS)]
    return [f"--{name}={value}" for name, value in given if value is not None]


def pretrain(folder, seed):
    run_once(
        "pretrain.py",
        folder / "pretrain",
        "encoder/saved_model.pb",
        *flags_for("pretrain"),
        *data_flags(),
        f"--seed={seed}",
    )


def transfers(folder, seed):
    """Returns the arguments of `run_once` for what follows pre-training."""
    common = [
        *data_flags(),
        f"--seed={seed}",
        f"--encoder={folder}/pretrain",
    ]
    probe = [*flags_for("probe"), *common]
    tune = [*flags_for("finetune"), *common]
    scratch = ["--from_scratch", *flags_for("scratch")]
    runs = [
        ("finetune.py", "finetune", tune),
        ("finetune.py", "scratch", [*tune, *scratch]),
        ("linear_probe.py", "probe", probe),
        ("linear_probe.py", "probe_untrained", [*probe, "--from_scratch"]),
    ]
    for k in FLAGS.last_blocks:
        runs.append(("finetune.py", f"last_{k}", [*tune, f"--last_blocks={k}"]))
    return [
        (script, folder / name, "report.json", *arguments)
        for script, name, arguments in runs
    ]


def read_reports(folders):
    """Returns the reports of all seeds, by run."""
    return {
        name: [
            json.loads((f / name / "report.json").read_text()) for f in folders
        ]
        for name in (*RUNS, *(f"last_{k}" for k in FLAGS.last_blocks))
    }


def partial(reports):
    """Returns the accuracies of all seeds by how many blocks are fine-tuned."""
    return {
        "0": [report["probe"]["top1"] for report in reports["probe"]],
        **{
            k: [report["top1"] for report in reports[f"last_{k}"]]
            for k in FLAGS.last_blocks
        },
        "all": [report["top1"] for report in reports["finetune"]],
    }


def table_rows(reports):
    """Yields what is judged, and the accuracies with and without."""
    first = reports["probe"][0]
    for number in first["knn"]:
        yield f"{number} nearest neighbours", "knn", number
    for share, found in first["logistic"].items():
        yield (
            f"logistic regression, {found['images']} labels",
            "logistic",
            share,
        )
    yield "linear probe", "probe", None


def accuracies(reports, kind, key):
    """Returns the accuracies of the pre-trained and the untrained encoder."""
    return [
        [(r[kind][key] if key else r[kind])["top1"] for r in reports[name]]
        for name in ("probe", "probe_untrained")
    ]


def describe(values):
    """Returns the mean of all seeds in percent, and their deviation."""
    mean = f"{100 * statistics.mean(values):.1f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {100 * statistics.stdev(values):.1f}"


def epochs_of(run_folder):
    config = json.loads((run_folder / "config.json").read_text())
    return config["flags"]["epochs"]


def write_page(folder, folders, reports):
    split = reports["probe"][0]["split"]
    epochs = [epochs_of(folders[0] / name) for name in ("pretrain", "finetune")]
    lines = [
        "# What pre-training is worth",
        "",
        f"{FLAGS.data}, {epochs[0]} epochs of pre-training without labels, "
        f"{FLAGS.seeds} seeds. Top-1 accuracy on the {split} split in percent"
        + (", mean ± standard deviation." if FLAGS.seeds > 1 else "."),
        "",
        "| | pre-trained | not pre-trained | gain |",
        "|---|---|---|---|",
    ]
    rows = {
        name: accuracies(reports, kind, key)
        for name, kind, key in table_rows(reports)
    }
    tuned = partial(reports)
    rows[f"fine-tuned whole, {epochs[1]} epochs"] = [
        tuned["all"],
        [report["top1"] for report in reports["scratch"]],
    ]
    for name, (trained, untrained) in rows.items():
        gains = [a - b for a, b in zip(trained, untrained)]
        cells = [name, *map(describe, (trained, untrained, gains))]
        lines.append(f"| {' | '.join(cells)} |")
    for k in FLAGS.last_blocks:
        lines.append(
            f"| last blocks fine-tuned: {k} | {describe(tuned[k])} | | |"
        )
    lines += ["", "![Curves](report.png)", "", "Made by:", "", "```bash"]
    lines += [f"python {shlex.join(sys.argv)}", "```", ""]
    (folder / "report.md").write_text("\n".join(lines))
    print("\n".join(line for line in lines if line.startswith("|")))


def curve(path, column):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    # Without a validation split, what there is.
    column = column if column in rows[0] else column.removeprefix("val_")
    return column, [float(row[column]) for row in rows]


def draw(folder, folders, reports):
    from matplotlib.figure import Figure

    plots = 3 if FLAGS.last_blocks else 2
    figure = Figure(figsize=(5 * plots, 4), dpi=120, layout="constrained")
    left, right, *further = figure.subplots(1, plots)
    for runs, axes, column in (
        ({"pretrain": ("pre-training", "C0")}, left, "val_loss"),
        (
            {
                "finetune": ("pre-trained", "C0"),
                "scratch": ("from scratch", "C1"),
            },
            right,
            "val_accuracy",
        ),
    ):
        for name, (label, color) in runs.items():
            found = [curve(f / name / "history.csv", column) for f in folders]
            epochs = range(1, len(found[0][1]) + 1)
            for _, values in found:
                axes.plot(epochs, values, color=color, alpha=0.3, linewidth=1)
            means = [statistics.mean(v) for v in zip(*(v for _, v in found))]
            axes.plot(epochs, means, color=color, label=label)
            axes.set_ylabel(found[0][0].replace("val_", "validation "))
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    for axes in further:
        by_blocks = partial(reports)
        places = range(len(by_blocks))
        means = [statistics.mean(values) for values in by_blocks.values()]
        axes.plot(places, means, color="C0")
        for place, values in zip(places, by_blocks.values()):
            at = [place] * len(values)
            axes.plot(at, values, "o", color="C0", alpha=0.4)
        axes.set_xticks(places, list(by_blocks))
        axes.set_xlabel("blocks fine-tuned")
        axes.set_ylabel("accuracy")
    figure.savefig(folder / "report.png", bbox_inches="tight")


def main(arguments):
    checks.check(arguments)
    folder = pathlib.Path(FLAGS.output_dir)
    folders = [folder / f"seed{seed}" for seed in range(FLAGS.seeds)]
    with futures.ThreadPoolExecutor(FLAGS.parallel) as pool:
        seeds = range(FLAGS.seeds)
        list(pool.map(pretrain, folders, seeds))
        runs = [run for pair in zip(folders, seeds) for run in transfers(*pair)]
        list(pool.map(lambda run: run_once(*run), runs))
    reports = read_reports(folders)
    write_page(folder, folders, reports)
    draw(folder, folders, reports)
    print(f"See {folder}/report.md and report.png.")


if __name__ == "__main__":
    app.run(main)
