"""What scikit-learn says: cases as JSON on stdin, answers as JSON on stdout.

An answer is a number, or null where scikit-learn warns that the metric is undefined, raises, or
gives no number. Where it silently gives 0 for an undefined value, `silent` says so.
"""

import json
import sys
import warnings

import numpy as np
from sklearn import metrics as m
from sklearn.exceptions import UndefinedMetricWarning

RATES = {"precision", "recall", "sensitivity", "f1", "fBeta", "specificity"}
DIVISION = {"Undefined": np.nan, "Zero": 0.0, "One": 1.0}


def rate(case, gate, truth, said, weights):
    """Precision, recall, F and specificity, for classes and for labels."""
    several = truth.ndim == 2
    count = len(case["labels"])
    name = gate["name"]
    average = gate.get("average")
    one = gate.get("class")
    if one is None and average is None:
        one, average = (case["labels"][1], None) if count == 2 and not several else (None, "Macro")
    if name == "specificity":
        return specificity(case, one, average, truth, said, weights, DIVISION[gate["zeroDivision"]])
    options = dict(
        labels=list(range(count)),
        average=None if one is not None else average.lower(),
        sample_weight=weights,
        zero_division=DIVISION[gate["zeroDivision"]],
    )
    if name == "precision":
        value = m.precision_score(truth, said, **options)
    elif name in ("recall", "sensitivity"):
        value = m.recall_score(truth, said, **options)
    else:
        beta = gate["beta"] if name == "fBeta" else 1.0
        value = m.fbeta_score(truth, said, beta=beta, **options)
    return value[case["labels"].index(one)] if one is not None else value


def specificity(case, one, average, truth, said, weights, division):
    """Recall of all that is not of a class."""
    count = len(case["labels"])
    if truth.ndim == 1:
        truth = truth[:, None] == np.arange(count)
        said = said[:, None] == np.arange(count)
    options = dict(sample_weight=weights, zero_division=division)
    values = [m.recall_score(~truth[:, c], ~said[:, c], **options) for c in range(count)]
    if one is not None:
        return values[case["labels"].index(one)]
    if average == "Micro":
        options["sample_weight"] = None if weights is None else np.repeat(weights, count)
        return m.recall_score(~truth.ravel(), ~said.ravel(), **options)
    shares = np.ones(count) if average == "Macro" else (truth * np.atleast_2d(1.0 if weights is None else weights).T).sum(0)
    there = ~np.isnan(values)
    if not shares[there].any():
        shares = np.ones(count)
    return np.average(np.array(values)[there], weights=shares[there])


def ordered(case, gate, truth, scores, weights):
    """Areas and average precision."""
    count = len(case["labels"])
    area = gate["name"] == "rocAuc"
    score = m.roc_auc_score if area else m.average_precision_score
    one = gate.get("class")
    average = (gate.get("average") or "Macro").lower()
    several = truth.ndim == 2
    if one is None and gate.get("average") is None and count == 2 and not several:
        one = case["labels"][1]
    if one is not None:
        index = case["labels"].index(one)
        positive = truth[:, index] if several else truth == index
        if not area and not positive.any():
            return None  # silent
        return score(positive, scores[:, index], sample_weight=weights)
    if area and not several:
        kind = "ovo" if gate.get("multiClass") == "OneVsOne" else "ovr"
        if kind == "ovo" and weights is not None:
            times = weights.astype(int)
            assert (times == weights).all()
            truth, scores, weights = np.repeat(truth, times), np.repeat(scores, times, 0), None
        options = dict(multi_class=kind, average=average, labels=list(range(count)))
        if count == 2:  # scikit-learn takes two classes for the binary case, whatever is asked
            positive = truth[:, None] == np.arange(2)
            return score(positive, scores, average=average, sample_weight=weights)
        return score(truth, scores, sample_weight=weights, **options)
    positive = truth if several else truth[:, None] == np.arange(count)
    if not area and not positive.any(0).all():
        return None  # silent
    return score(positive, scores, average=average, sample_weight=weights)


def calibration(truth, said, scores, weights):
    """scikit-learn has none; Guo et al. (2017), bins open below."""
    weights = np.ones(len(truth)) if weights is None else weights
    confidence = scores[np.arange(len(truth)), said]
    bins = np.clip(np.digitize(confidence, np.arange(1, 16) / 15, right=True), 0, 14)
    gaps = [abs((weights * ((truth == said) - confidence))[bins == b].sum()) for b in range(15)]
    return sum(gaps) / weights.sum()


def of_classes(case, gate, truth, said, scores, weights):
    name = gate["name"]
    labels = list(range(len(case["labels"])))
    if name == "accuracy":
        return m.accuracy_score(truth, said, sample_weight=weights)
    if name == "balancedAccuracy":
        return m.balanced_accuracy_score(truth, said, sample_weight=weights)
    if name == "mcc":
        if len(set(truth)) < 2 or len(set(said)) < 2:
            return None  # silent
        return m.matthews_corrcoef(truth, said, sample_weight=weights)
    if name == "cohenKappa":
        return m.cohen_kappa_score(truth, said, labels=labels, sample_weight=weights)
    if name == "logLoss":
        return m.log_loss(truth, scores, labels=labels, sample_weight=weights)
    if name == "brier":
        proba = scores[:, 1] if len(labels) == 2 else scores
        return m.brier_score_loss(truth, proba, labels=labels, sample_weight=weights)
    if name == "topK":
        return m.top_k_accuracy_score(truth, scores, k=gate["k"], labels=labels, sample_weight=weights)
    if name == "calibrationError":
        return calibration(truth, said, scores, weights)
    matrix = m.confusion_matrix(truth, said, labels=labels, sample_weight=weights)
    return (matrix * np.array(gate["costs"])).sum() / matrix.sum()


def of_numbers(gate, truth, said, weights):
    name = gate["name"]
    if name == "mae":
        return m.mean_absolute_error(truth, said, sample_weight=weights)
    if name == "rmse":
        return m.root_mean_squared_error(truth, said, sample_weight=weights)
    if name == "mape":
        return m.mean_absolute_percentage_error(truth, said, sample_weight=weights)
    return m.r2_score(truth, said, sample_weight=weights, force_finite=False)


def answer(case, gate):
    truth, said = np.array(case["truth"]), np.array(case["predicted"])
    scores = np.array(case["scores"]) if case["scores"] is not None else None
    weights = np.array(case["weights"]) if case["weights"] is not None else None
    if len(truth) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", UndefinedMetricWarning)
        try:
            if not case["labels"]:
                value = of_numbers(gate, truth, said, weights)
            elif gate["name"] in RATES:
                value = rate(case, gate, truth, said, weights)
            elif gate["name"] in ("rocAuc", "averagePrecision"):
                value = ordered(case, gate, truth, scores, weights)
            else:
                value = of_classes(case, gate, truth, said, scores, weights)
        except (UndefinedMetricWarning, ZeroDivisionError):
            return None
        except ValueError as error:
            # Told apart from mistakes of this script: these are about undefined values.
            known = ("Only one class", "class", "empty")
            if not any(word in str(error) for word in known):
                raise
            return None
    return float(value) if value is not None and np.isfinite(value) else None


cases = json.load(sys.stdin)
json.dump([[answer(case, gate) for gate in case["metrics"]] for case in cases], sys.stdout)
