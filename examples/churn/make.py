"""Makes customers of whom one in fifty leaves, and what two models answer about them.

    python3 -m venv /tmp/churn-venv
    /tmp/churn-venv/bin/pip install -r requirements.txt
    /tmp/churn-venv/bin/python make.py

Customers are made up, from a seed: nothing is downloaded, and the same bytes come out again.
Both models learn from 10,000 customers; 5,000 others are judged and are in the files.

accurate  logistic regression that answers "yes" from a probability of 0.5 on
caller    the same with products of features, from the probability on that costs least
"""

import csv
import hashlib
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

HERE = Path(__file__).resolve().parent
SEED = 20261130
TRAINED_ON, JUDGED = 10_000, 5_000
SHARE_THAT_LEAVES = 0.02
# In calls: a customer who leaves unasked costs as much as twenty of them.
CALL, LOST = 1, 20
THRESHOLDS = [0.5, 0.3, 0.2, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01]


def customers(random, count):
    """Features of each customer, the contract, and whether the customer left."""
    tenure = random.gamma(2.0, 18.0, count)
    fee = random.normal(40.0, 12.0, count).clip(10.0)
    tickets = random.poisson(0.7, count)
    use = random.normal(0.0, 1.0, count)
    late = random.poisson(0.3, count)
    monthly = random.random(count) < 0.4
    leaning = (
        -0.03 * tenure
        + 0.02 * (fee - 40.0)
        + 0.7 * tickets
        + 0.6 * late
        - 1.2 * use
        # Falling use says little about those who are bound for a year.
        + monthly * (1.5 - 1.6 * use)
    )
    chance = 1.0 / (1.0 + np.exp(-(0.7 * leaning + level(leaning))))
    left = random.random(count) < chance
    features = np.column_stack([tenure, fee, tickets, use, late, monthly])
    return features, np.where(monthly, "monthly", "yearly"), left


def level(leaning):
    """What to add so that the wanted share leaves, by halving."""
    low, high = -30.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        share = (1.0 / (1.0 + np.exp(-(0.7 * leaning + middle)))).mean()
        low, high = (middle, high) if share < SHARE_THAT_LEAVES else (low, middle)
    return low


def accurate_model():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-8))


def caller_model():
    products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    return make_pipeline(
        StandardScaler(), products, LogisticRegression(C=0.1, max_iter=1000, tol=1e-8)
    )


def cost_of(threshold, probability, left):
    """Calls, customers lost, and what both cost on average, when calling from there on."""
    called = probability >= threshold
    lost = int((left & ~called).sum())
    return int(called.sum()), lost, (CALL * called.sum() + LOST * lost) / len(left)


def choose_threshold(probability, left):
    """Writes what each threshold would have cost; returns the cheapest."""
    rows = [(threshold, *cost_of(threshold, probability, left)) for threshold in THRESHOLDS]
    lines = [(t, calls, lost, f"{cost:.3f}") for t, calls, lost, cost in rows]
    write("thresholds.csv", ["threshold", "calls", "lost", "costPerCustomer"], lines)
    return min(rows, key=lambda row: row[3])[0]


def write(name, header, rows):
    with (HERE / name).open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def keep_checksums():
    """What made the files, and what was made, so that a test notices when one was changed alone."""
    names = ["make.py", "requirements.txt", *sorted(path.name for path in HERE.glob("*.csv"))]
    lines = [f"{hashlib.sha256((HERE / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (HERE / "SHA256SUMS").write_text("".join(lines))


def yes(flag):
    return "yes" if flag else "no"


def main():
    random = np.random.default_rng(SEED)
    learn_x, _, learn_left = customers(random, TRAINED_ON)
    x, contract, left = customers(random, JUDGED)
    ids = [f"c{number:04}" for number in range(JUDGED)]
    labels = zip(ids, map(yes, left), contract)
    write("labels.csv", ["id", "label", "contract"], labels)
    # Rows that the threshold is chosen on are neither those that the model learnt from, nor
    # those that it is judged on.
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    unseen = cross_val_predict(
        caller_model(), learn_x, learn_left, cv=folds, method="predict_proba"
    )
    threshold = choose_threshold(unseen[:, 1], learn_left)
    for name, model, at in [
        ("accurate", accurate_model(), 0.5),
        ("caller", caller_model(), threshold),
    ]:
        probability = model.fit(learn_x, learn_left).predict_proba(x)[:, 1]
        rows = [(one, yes(p >= at), f"{p:.4f}") for one, p in zip(ids, probability)]
        write(f"{name}.csv", ["id", "prediction", "probability"], rows)
        called = probability >= at
        print(
            f"{name}: from {at} on, {(called == left).mean():.1%} right, "
            f"{(called & left).sum()} of {left.sum()} found, {called.sum()} calls"
        )
    keep_checksums()


if __name__ == "__main__":
    main()
