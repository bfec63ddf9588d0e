#!/usr/bin/env python3
"""The whole project of the digits classifier, made again from a seed by one command:

    python3 examples/digits/project.py

It makes a virtual environment beside itself (`.venv`, a minute the first time), trains v1 to v5,
writes what each answers to held-out rows, draws the pictures of `docs/digits.md`, and puts the
numbers into it by the repository's own test. `--no-page` leaves that last step out.

Running it again leaves the same bytes. `SHA256SUMS` has them, and those of what made them, so
that a test notices when one of both was changed alone.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PICTURES = REPOSITORY / "docs" / "digits"
VENV = HERE / ".venv"
SOURCES = [
    "project.py", "train.py", "study.py", "one_vs_one.py", "pictures.py", "requirements.txt",
]  # fmt: skip


def enter_environment():
    """Starts this program again with the packages of requirements.txt."""
    python = VENV / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text()
    mark = VENV / "requirements.txt"
    if not mark.exists() or mark.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([python, *words, "-r", HERE / "requirements.txt"], check=True)
        mark.write_text(wanted)
    os.execv(python, [str(python), "-W", "ignore", str(HERE / "project.py"), *sys.argv[1:]])


def percent(share):
    return f"{share * 100:.1f} %"


def table(headers, rows):
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def explore(data, train_x, train_y, values):
    import pictures
    import study

    counts = [int((data.target == digit).sum()) for digit in range(10)]
    distinct = len({image.tobytes() for image in data.data})
    values |= {
        "rows": str(len(data.data)),
        "fewest": str(min(counts)),
        "most": str(max(counts)),
        "duplicates": str(len(data.data) - distinct),
        "empty_pixels": str(int((train_x.max(axis=0) == 0).sum())),
        "train_rows": str(len(train_x)),
        "held_rows": str(len(data.data) - len(train_x)),
    }
    rows = []
    for digit in range(10):
        own = train_x[train_y == digit]
        shown = [(image, "", pictures.grey) for image in own[:6]]
        rows.append((digit, [(own.mean(axis=0), "mean", pictures.grey), *shown]))
    title = "The mean image of each digit, and six images of it"
    pictures.images(title, rows, side=32, gap=4).save(PICTURES / "samples.svg")

    places, share = study.two_directions(train_x / 16.0)
    values["two_directions"] = percent(share)
    ticks = [(value, str(value)) for value in (-2, -1, 0, 1, 2)]
    chart = pictures.Chart(
        "Training rows along the two directions in which they differ most",
        (-2.3, 2.3), (-2.3, 2.3), ticks, ticks, "first direction", "second direction",
    )  # fmt: skip
    for digit in range(10):
        chart.dots(digit, places[train_y == digit])
    chart.picture.save(PICTURES / "directions.svg")


def select(x, y, seed, values):
    """Chooses the strategy and its strength on training rows; returns the strength."""
    import math

    import pictures
    import study
    from one_vs_one import OneVsOne

    def row(name, one):
        surprise = "–" if math.isnan(one.surprise) else f"{one.surprise:.3f}"
        return [name, percent(one.mean), f"± {one.spread * 100:.1f}", surprise]

    headers = ["right, mean of 5 folds", "deviation", "log loss"]
    compared = study.features(x, y, seed)
    values["features"] = table(["what the model sees", *headers], [row(*one) for one in compared])
    compared = study.baselines(x, y, seed)
    values["baselines"] = table(["baseline", *headers], [row(*one) for one in compared])

    tuned = study.tuning(x, y, seed)
    ticks = [(share, percent(share)) for share in (0.92, 0.94, 0.96, 0.98)]
    chart = pictures.Chart(
        "Share of right answers by strength of the fit, for three strategies",
        (0, len(study.STRENGTHS) - 1), (0.91, 0.985),
        [(at, f"{c:g}") for at, c in enumerate(study.STRENGTHS)], ticks,
        "C (to the left: simpler)", "right, mean of 5 folds",
    )  # fmt: skip
    rows, chosen = [], {}
    for name, scores in tuned.items():
        chosen[name] = study.simplest_good(scores)
        rows.append([name, f"{chosen[name]:g}", *row("", scores[chosen[name]])[1:]])
        chart.line(name, [(at, scores[c].mean) for at, c in enumerate(study.STRENGTHS)])
    values["tuned"] = table(["strategy", "C", *headers], rows)
    chart.picture.save(PICTURES / "tuning.svg")

    strength = chosen["one-vs-one"]
    values["v5_strength"] = f"{strength:g}"
    curve = study.learning_curve(lambda: OneVsOne(strength, seed), x, y, seed)
    values["curve"] = table(
        ["rows learnt from", *headers], [row(rows, one) for rows, one in curve.items()]
    )
    return strength


def learn_from_wrong_labels(train, x, y, values):
    """v4: v3 again, after four in ten of the eights were labelled as ones by mistake."""
    import numpy as np

    wrong = y.copy()
    eights = np.flatnonzero(y == 8)
    taken = eights[: len(eights) * 2 // 5]
    wrong[taken] = 1
    values["mislabelled"] = f"{len(taken)} of {len(eights)}"
    return train.train_v3(x, wrong)


def answer(models, held_x, held_y, values):
    """Writes what the exported models answer; returns labels and probabilities by version."""
    import numpy as np
    import onnxruntime

    answers = {}
    (HERE / "answers").mkdir(exist_ok=True)
    for version, path in models.items():
        session = onnxruntime.InferenceSession(path.read_bytes())
        labels, probabilities = session.run(None, {"pixels": held_x.astype(np.float32)})
        header = ",".join(["prediction", *(f"probability_{digit}" for digit in range(10))])
        lines = [
            ",".join([str(label), *(f"{p:.5f}".rstrip("0").rstrip(".") for p in row)])
            for label, row in zip(labels, probabilities)
        ]
        (HERE / "answers" / f"{version}.csv").write_text("\n".join([header, *lines]) + "\n")
        values[f"{version}_right"] = percent((labels == held_y).mean())
        values[f"{version}_bytes"] = f"{path.stat().st_size:,}"
        answers[version] = labels
    differ = int((answers["v3"] != answers["v5"]).sum())
    values["v3_v5_differ"] = str(differ)
    return answers


def interpret(v3, v5, held_x, held_y, said, values):
    import numpy as np
    import pictures
    from one_vs_one import PAIRS

    colour = pictures.signed(float(np.abs(v3.estimators_[0].coef_).max() * 0.8))
    weights = [(part.coef_[0], digit, colour) for digit, part in enumerate(v3.estimators_)]
    rows = [("", weights[:5]), ("", weights[5:])]
    title = "Weights of v3: which pixels speak for each digit (blue), and which against (orange)"
    pictures.images(title, rows, side=64, gap=10).save(PICTURES / "weights.svg")

    shown = [(1, 8), (3, 8), (4, 9), (5, 9), (3, 5)]
    columns = [v5.weights[:, PAIRS.index(pair)] for pair in shown]
    colour = pictures.signed(float(max(np.abs(column).max() for column in columns) * 0.8))
    row = [(column, f"{a} against {b}", colour) for (a, b), column in zip(shown, columns)]
    title = "Weights of five pairs of v5: blue speaks for the first digit, orange for the second"
    pictures.images(title, [("", row)], side=64, gap=10).save(PICTURES / "pairs.svg")

    wrong = np.flatnonzero(said != held_y)
    shown = [
        (held_x[row], f"{held_y[row]} → {said[row]}", pictures.grey) for row in wrong[:16]
    ]
    rows = [("", shown[at : at + 8]) for at in range(0, len(shown), 8)]
    values["v5_wrong"] = str(len(wrong))
    pictures.images("Held-out rows that v5 gets wrong", rows, side=48, gap=8).save(
        PICTURES / "mistakes.svg"
    )


def keep_checksums():
    """What made everything, and what was made."""
    made = [
        *sorted((HERE / "answers").glob("*.csv")),
        *sorted((HERE / "models").glob("*/model.onnx")),
        *sorted((HERE / "candidates").glob("*/model.onnx")),
        *sorted(HERE.glob("expected-*.json")),
        HERE / "held-out.csv",
        HERE / "results.json",
        *sorted(PICTURES.glob("*.svg")),
    ]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {os.path.relpath(path, HERE)}\n"
        for path in [*(HERE / name for name in SOURCES), *made]
    ]
    (HERE / "SHA256SUMS").write_text("".join(lines))


def main():
    import one_vs_one
    import train
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    train.main()
    values = {}
    PICTURES.mkdir(exist_ok=True)
    data = load_digits()
    # The same rows as in train.py.
    train_x, held_x, y, held_y = train_test_split(
        data.data, data.target, test_size=0.3, random_state=train.SEED, stratify=data.target
    )
    x = train_x / train.PIXEL_MAX
    values["overlap"] = str(
        len({one.tobytes() for one in train_x} & {one.tobytes() for one in held_x})
    )
    explore(data, train_x, y, values)
    strength = select(x, y, train.SEED, values)

    paths = {f"v{n}": HERE / "models" / f"v{n}" / "model.onnx" for n in (1, 2, 3)}
    paths |= {f"v{n}": HERE / "candidates" / f"v{n}" / "model.onnx" for n in (4, 5)}
    v3 = train.train_v3(x, y)
    v4 = train.fold_scaling(learn_from_wrong_labels(train, x, y, values))
    train.export(v4, paths["v4"])
    v5 = one_vs_one.OneVsOne(strength, train.SEED).fit(x, y)
    train.write_unless_same(paths["v5"], one_vs_one.graph(v5, train.PIXEL_MAX))

    answers = answer(paths, held_x, held_y, values)
    assert (answers["v4"] == v4.predict(held_x)).all(), "v4: the export answers differently"
    expected = v5.predict(held_x / train.PIXEL_MAX)
    assert (answers["v5"] == expected).all(), "v5: the graph answers differently"
    interpret(v3, v5, held_x, held_y, answers["v5"], values)
    (HERE / "results.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    keep_checksums()
    for name in ("v1_right", "v2_right", "v3_right", "v4_right", "v5_right"):
        print(name, values[name])


def write_page():
    """Numbers and outputs get into docs/digits.md by the test that compares them."""
    words = ["test", "--workspace", "--locked", "--test", "documented_outputs"]
    subprocess.run(
        [os.environ.get("CARGO", "cargo"), *words],
        cwd=REPOSITORY, env=os.environ | {"UPDATE_DOCS": "1"}, check=True,
    )  # fmt: skip


if __name__ == "__main__":
    if Path(sys.prefix).resolve() != VENV:
        enter_environment()
    main()
    if "--no-page" not in sys.argv[1:]:
        write_page()
