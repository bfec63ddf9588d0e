"""Trains three versions of a classifier on scikit-learn's digits and exports them.

Running it again leaves the same bytes: seeds are fixed, solvers are deterministic, and the
ONNX graphs carry no names or dates that change. `project.py` runs it, in an environment with
the packages of requirements.txt.

v1  weak: multinomial, trained on 60 rows, the upper half of the image only
v2  multinomial logistic regression
v3  one-vs-rest logistic regression

Pixels are 0 to 16. Models are trained on pixels / 16; that factor is folded into the
weights before the export, so the served model takes raw pixels.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from onnx.helper import make_opsetid
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier

HERE = Path(__file__).resolve().parent
SEED = 20261123
PIXEL_MAX = 16.0
OPSET = 17


def train_v1(x, y):
    """Sixty rows and half of each image: better than chance, worse than the others."""
    rows = np.concatenate([np.flatnonzero(y == digit)[:6] for digit in range(10)])
    seen = x[rows].copy()
    seen[:, 32:] = 0.0
    return LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(seen, y[rows])


def train_v2(x, y):
    return LogisticRegression(C=0.1, max_iter=5000, tol=1e-8).fit(x, y)


def train_v3(x, y):
    each = LogisticRegression(
        C=3.0, max_iter=5000, tol=1e-8, solver="liblinear", random_state=SEED
    )
    return OneVsRestClassifier(each).fit(x, y)


def fold_scaling(model):
    """Divides the weights by the pixel range, so that raw pixels go in."""
    for part in getattr(model, "estimators_", [model]):
        part.coef_ = part.coef_ / PIXEL_MAX
    return model


def export(model, path):
    """Writes the ONNX file: input `pixels` [N, 64], outputs `label` and `probabilities`."""
    onnx_model = convert_sklearn(
        model,
        name="digits",
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    onnx_model.producer_name = "mcdeploy-digits"
    onnx_model.producer_version = ""
    domains = {entry.domain: entry.version for entry in onnx_model.opset_import}
    del onnx_model.opset_import[:]
    onnx_model.opset_import.extend(make_opsetid(*entry) for entry in sorted(domains.items()))
    for value in [*onnx_model.graph.input, *onnx_model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    write_unless_same(path, onnx_model.SerializeToString(deterministic=True))


def write_unless_same(path, model):
    """Another kind of processor rounds the last digit of a weight otherwise. That makes no new
    model of it: a file that answers the same stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.exists() and same(path.read_bytes(), model)):
        path.write_bytes(model)


def same(one, other):
    pixels = load_digits().data.astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(model).run(None, {"pixels": pixels}) for model in (one, other)
    ]
    (labels, probabilities), (other_labels, other_probabilities) = answers
    return (labels == other_labels).all() and np.abs(
        probabilities - other_probabilities
    ).max() < 1e-5


def write_json(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main():
    digits = load_digits()
    train_x, held_x, train_y, held_y = train_test_split(
        digits.data, digits.target, test_size=0.3, random_state=SEED, stratify=digits.target
    )
    rows = ",".join([*(f"p{i}" for i in range(64)), "label"]) + "\n"
    for pixels, label in zip(held_x, held_y):
        rows += ",".join(str(int(value)) for value in [*pixels, label]) + "\n"
    (HERE / "held-out.csv").write_text(rows)

    answers = {}
    for version, train in [("v1", train_v1), ("v2", train_v2), ("v3", train_v3)]:
        model = fold_scaling(train(train_x / PIXEL_MAX, train_y))
        path = HERE / "models" / version / "model.onnx"
        export(model, path)
        classes = model.predict(held_x)
        session = onnxruntime.InferenceSession(path.read_bytes())
        served = session.run(None, {"pixels": held_x.astype(np.float32)})[0]
        assert (served == classes).all(), f"{version}: the export answers differently"
        answers[version] = classes
        accuracy = float((classes == held_y).mean())
        write_json(
            HERE / f"expected-{version}.json",
            {"version": version, "accuracy": round(accuracy, 4), "classes": classes.tolist()},
        )
        print(f"{version}: {accuracy:.1%} of {len(held_y)} held-out rows, {path.stat().st_size} bytes")
    differ = int((answers["v2"] != answers["v3"]).sum())
    assert differ >= 5, f"v2 and v3 differ on {differ} rows only"
    print(f"v2 and v3 differ on {differ} rows")


if __name__ == "__main__":
    main()
