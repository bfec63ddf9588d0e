"""One-vs-one from plain parts: a classifier per pair of classes, and the ONNX graph of it.

scikit-learn's own one-vs-one only votes. Here each pair says how probable its first class is,
and a class is as probable as the product of what its nine pairs say: the logarithms are added
up, and a softmax makes them sum to one.
"""

from itertools import combinations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

CLASSES = 10
PAIRS = list(combinations(range(CLASSES), 2))
OPSET = 17


class OneVsOne:
    """45 logistic regressions of two digits each."""

    def __init__(self, strength, seed):
        self.strength = strength
        self.seed = seed

    def fit(self, x, y):
        weights, biases = [], []
        for first, second in PAIRS:
            rows = (y == first) | (y == second)
            pair = LogisticRegression(
                C=self.strength, max_iter=5000, tol=1e-8, solver="liblinear", random_state=self.seed
            ).fit(x[rows], y[rows] == first)
            weights.append(pair.coef_[0])
            biases.append(pair.intercept_[0])
        self.weights = np.array(weights).T
        self.biases = np.array(biases)
        return self

    def predict_proba(self, x):
        margins = x @ self.weights + self.biases
        is_first, is_second = sides()
        logs = -(np.logaddexp(0, -margins) @ is_first + np.logaddexp(0, margins) @ is_second)
        powers = np.exp(logs - logs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, x):
        return self.predict_proba(x).argmax(axis=1)


def sides():
    """Which class each pair speaks for when its margin is above zero, and which below."""
    is_first, is_second = np.zeros((2, len(PAIRS), CLASSES))
    for row, (first, second) in enumerate(PAIRS):
        is_first[row, first] = 1.0
        is_second[row, second] = 1.0
    return is_first, is_second


def graph(model, pixel_max):
    """The bytes of an ONNX file that takes raw pixels, of operators that every runtime has."""
    is_first, is_second = sides()
    constants = {
        "weights": model.weights / pixel_max,
        "biases": model.biases,
        "is_first": is_first,
        "is_second": is_second,
    }
    nodes = [
        helper.make_node("MatMul", ["pixels", "weights"], ["products"]),
        helper.make_node("Add", ["products", "biases"], ["margins"]),
        helper.make_node("Neg", ["margins"], ["opposite"]),
        # softplus(-margin) is what the logarithm of the pair's probability lacks to zero.
        helper.make_node("Softplus", ["opposite"], ["against_first"]),
        helper.make_node("Softplus", ["margins"], ["against_second"]),
        helper.make_node("MatMul", ["against_first", "is_first"], ["of_first"]),
        helper.make_node("MatMul", ["against_second", "is_second"], ["of_second"]),
        helper.make_node("Add", ["of_first", "of_second"], ["against"]),
        helper.make_node("Neg", ["against"], ["logs"]),
        helper.make_node("Softmax", ["logs"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "digits",
        [value("pixels", TensorProto.FLOAT, ["N", 64])],
        [
            value("label", TensorProto.INT64, ["N"]),
            value("probabilities", TensorProto.FLOAT, ["N", CLASSES]),
        ],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mcdeploy-digits"
    )
    # Of the version of ONNX that brought this opset: older runtimes read no newer one.
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
