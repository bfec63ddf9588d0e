"""The metrics of `cargo xtask bench eval` by scikit-learn, from answers in memory."""

import json
import sys
import time

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

CLASSES = 10


def metrics(truth, scores, said):
    return [
        accuracy_score(truth, said),
        f1_score(truth, said, average="macro"),
        roc_auc_score(truth, scores, multi_class="ovr", average="macro"),
        log_loss(truth, scores),
    ]


def main(file, draws):
    words = np.fromfile(file, dtype="<f8")
    rows = len(words) // (CLASSES + 1)
    scores = words[: rows * CLASSES].reshape(rows, CLASSES)
    truth = words[rows * CLASSES :].view("<i8")
    said = scores.argmax(axis=1)
    start = time.perf_counter()
    values = metrics(truth, scores, said)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        rows_of = random.integers(0, rows, rows)
        drawn.append(metrics(truth[rows_of], scores[rows_of], said[rows_of]))
    ends = np.percentile(drawn, [5, 95], axis=0).T.tolist() if draws else None
    seconds = time.perf_counter() - start
    json.dump({"seconds": seconds, "values": values, "intervals": ends}, sys.stdout)


main(sys.argv[1], int(sys.argv[2]))
