"""Makes the models that the tests of mcserve serve, or see refused.

    python -m venv /tmp/mcserve-data
    /tmp/mcserve-data/bin/pip install -r requirements.txt
    /tmp/mcserve-data/bin/python make.py

`served/<case>/1/model.onnx` with `served/<case>/case.json`: a request and the outputs that
scikit-learn, or onnxruntime where there is no trained model, gives for it. Seeds are fixed.
"""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from lightgbm import LGBMClassifier
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as MlFloat
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

warnings.filterwarnings("ignore")
HERE = Path(__file__).resolve().parent
SEED = 20261130
ROWS = 12

iris_x, iris_y = load_iris(return_X_y=True)
iris_x = iris_x.astype(np.float32)
species = np.array(["setosa", "versicolor", "virginica"])[iris_y]
cancer_x, cancer_y = load_breast_cancer(return_X_y=True)
cancer_x = cancer_x[:, :4].astype(np.float32)
sugar_x, sugar_y = load_diabetes(return_X_y=True)
sugar_x = sugar_x[:, :4].astype(np.float32)


def sample(x):
    return x[:: max(1, len(x) // ROWS)][:ROWS]


def datatype(values):
    words = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "i4": "INT32", "f2": "FP16"}
    return words.get(values.dtype.str[1:], "BYTES")


def shown(value):
    """As mcserve takes and gives it: JSON has no word for NaN and infinity."""
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, (float, int)) else str(value)


def listed(values):
    return [shown(value) for value in values.ravel().tolist()]


def tensor(name, values):
    return {
        "name": name,
        "datatype": datatype(values),
        "shape": list(values.shape),
        "data": listed(values),
    }


def plain(model):
    """Without what differs between two runs or releases of the exporters."""
    model.producer_name, model.producer_version = "mcserve-data", ""
    model.graph.name = "graph"
    domains = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*entry) for entry in sorted(domains.items()))
    return model.SerializeToString(deterministic=True)


def save(case, model, inputs, outputs, labels=None, tolerance=1e-5):
    """`outputs`: name to values. `labels`: output to what its columns stand for."""
    directory = HERE / "served" / case
    (directory / "1").mkdir(parents=True)
    (directory / "1" / "model.onnx").write_bytes(plain(model))
    document = {
        "inputs": [tensor(*entry) for entry in inputs.items()],
        "outputs": [tensor(*entry) for entry in outputs.items()],
        "labels": labels or {},
        "tolerance": tolerance,
    }
    text = json.dumps(document, indent=None, separators=(",", ":"))
    (directory / "case.json").write_text(text + "\n")


def classifier(case, model, x, y, tolerance=1e-5, **options):
    """As it is exported by default: ZipMap at the end, the batch neither number nor name."""
    model.fit(x, y)
    exported = to_onnx(model, x[:1], **options)
    rows = sample(x)
    names = [output.name for output in exported.graph.output]
    outputs = {names[0]: model.predict(rows)}
    labels = {}
    if len(names) > 1:
        outputs[names[1]] = model.predict_proba(rows).astype(np.float32)
        if options.get("options") is None:
            labels[names[1]] = model.classes_.tolist()
    save(case, exported, {"X": rows}, outputs, labels, tolerance)


def regressor(case, model, x, y, tolerance=1e-5):
    model.fit(x, y)
    rows = sample(x)
    exported = to_onnx(model, x[:1])
    predicted = model.predict(rows).astype(np.float32)
    name = exported.graph.output[0].name
    save(case, exported, {"X": rows}, {name: predicted.reshape(len(rows), -1)}, tolerance=tolerance)


def scikit_learn():
    logistic = LogisticRegression(max_iter=1000)
    forest = dict(n_estimators=5, max_depth=3, random_state=SEED)
    classifier("logistic", logistic, iris_x, iris_y)
    classifier("logistic_text_labels", logistic, iris_x, species)
    classifier("logistic_binary", logistic, cancer_x, cancer_y)
    model = LogisticRegression(max_iter=1000)
    classifier("logistic_no_zipmap", model, iris_x, iris_y, options={id(model): {"zipmap": False}})
    classifier("forest", RandomForestClassifier(**forest), iris_x, iris_y)
    classifier("forest_text_labels", RandomForestClassifier(**forest), iris_x, species)
    classifier("forest_binary", RandomForestClassifier(**forest), cancer_x, cancer_y)
    classifier("extra_trees", ExtraTreesClassifier(**forest), iris_x, iris_y)
    few = dict(n_estimators=4, max_depth=2, random_state=SEED)
    classifier("boosting", GradientBoostingClassifier(**few), iris_x, iris_y)
    classifier("boosting_binary", GradientBoostingClassifier(**few), cancer_x, cancer_y)
    gaps = cancer_x.copy()
    gaps[::3, 0] = np.nan
    model = HistGradientBoostingClassifier(max_iter=4, max_depth=3, random_state=SEED)
    classifier("histogram_binary_missing", model, gaps, cancer_y)
    for name, step in {
        "standard_scaler": StandardScaler(),
        "min_max_scaler": MinMaxScaler(),
        "robust_scaler": RobustScaler(),
        "normalizer": Normalizer(),
        "binarizer": Binarizer(threshold=2.5),
    }.items():
        classifier(name, make_pipeline(step, LogisticRegression(max_iter=1000)), iris_x, iris_y)
    gaps = iris_x.copy()
    gaps[::3, 1] = np.nan
    classifier("imputer", make_pipeline(SimpleImputer(), logistic), gaps, iris_y)
    classifier("naive_bayes", GaussianNB(), iris_x, iris_y, tolerance=1e-3)
    network = MLPClassifier((5,), max_iter=300, random_state=SEED)
    classifier("network", network, iris_x, iris_y)
    network = MLPClassifier((5,), max_iter=300, random_state=SEED)
    classifier("network_text_labels", network, iris_x, species)
    calibrated = CalibratedClassifierCV(LogisticRegression(max_iter=1000), cv=2)
    classifier("calibrated", calibrated, iris_x, iris_y)
    powers = make_pipeline(PolynomialFeatures(2), LinearRegression())
    regressor("polynomial", powers, sugar_x, sugar_y, tolerance=1e-3)
    regressor("linear", LinearRegression(), sugar_x, sugar_y)
    regressor("linear_scaled", make_pipeline(StandardScaler(), LinearRegression()), sugar_x, sugar_y)
    regressor("forest_values", RandomForestRegressor(**forest), sugar_x, sugar_y)
    regressor("boosting_values", GradientBoostingRegressor(**few), sugar_x, sugar_y)
    model = HistGradientBoostingRegressor(max_iter=4, max_depth=3, random_state=SEED)
    regressor("histogram_values", model, sugar_x, sugar_y)
    both = np.stack([sugar_y, -sugar_y], 1)
    regressor("tree_two_targets", DecisionTreeRegressor(max_depth=3, random_state=SEED), sugar_x, both)
    boosted = LGBMClassifier(n_estimators=3, max_depth=3, random_state=SEED, verbose=-1, n_jobs=1)
    boosted.fit(cancer_x, cancer_y)
    model = convert_lightgbm(boosted, initial_types=[("X", MlFloat([None, 4]))])
    rows = sample(cancer_x)
    outputs = {
        "label": boosted.predict(rows),
        "probabilities": boosted.predict_proba(rows).astype(np.float32),
    }
    save("lightgbm_binary", model, {"X": rows}, outputs, {"probabilities": [0, 1]})


def columns():
    """A pipeline over columns of a table: texts, whole numbers and floats, each an input."""
    random = np.random.default_rng(SEED)
    count = 200
    color = random.choice(["red", "green", "blue"], count)
    size = random.integers(1, 4, count)
    weight = random.normal(size=count).astype(np.float32)
    y = (weight + (color == "red") + 0.3 * size > 1.2).astype(np.int64)
    import pandas

    table = pandas.DataFrame({"color": color, "size": size, "weight": weight})
    for case, encoder in {
        "columns_one_hot": OneHotEncoder(handle_unknown="ignore"),
        "columns_one_hot_strict": OneHotEncoder(),
        "columns_ordinal": OrdinalEncoder(),
    }.items():
        parts = [("c", encoder, ["color"]), ("s", OneHotEncoder(handle_unknown="ignore"), ["size"])]
        transform = ColumnTransformer([*parts, ("w", StandardScaler(), ["weight"])])
        model = make_pipeline(transform, LogisticRegression()).fit(table, y)
        kinds = [
            ("color", StringTensorType([None, 1])),
            ("size", Int64TensorType([None, 1])),
            ("weight", FloatTensorType([None, 1])),
        ]
        exported = convert_sklearn(model, initial_types=kinds, target_opset={"": 18, "ai.onnx.ml": 3})
        rows = table[:ROWS]
        inputs = {
            "color": rows["color"].to_numpy(dtype=object).reshape(-1, 1),
            "size": rows["size"].to_numpy(dtype=np.int64).reshape(-1, 1),
            "weight": rows["weight"].to_numpy(dtype=np.float32).reshape(-1, 1),
        }
        outputs = {
            "output_label": model.predict(rows),
            "output_probability": model.predict_proba(rows).astype(np.float32),
        }
        save(case, exported, inputs, outputs, {"output_probability": [0, 1]})


def info(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def graph(nodes, inputs, outputs, weights=(), opset=17, ml=3, domains=()):
    made = helper.make_graph(list(nodes), "graph", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def by_onnxruntime(case, model, inputs, **kwargs):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    save(case, model, inputs, dict(zip(names, session.run(names, inputs))), **kwargs)


def ensemble(operator, votes, targets, mode="BRANCH_LEQ", **attributes):
    """One split at 0.5 for each tree; `votes`: for each tree, leaf, target and weight."""
    trees = sorted({tree for tree, *_ in votes})
    node = {
        "nodes_treeids": [tree for tree in trees for _ in range(3)],
        "nodes_nodeids": [0, 1, 2] * len(trees),
        "nodes_featureids": [0] * 3 * len(trees),
        "nodes_values": [0.5, 0.0, 0.0] * len(trees),
        "nodes_modes": [mode, "LEAF", "LEAF"] * len(trees),
        "nodes_truenodeids": [1, 0, 0] * len(trees),
        "nodes_falsenodeids": [2, 0, 0] * len(trees),
    }
    prefix = "class" if operator == "TreeEnsembleClassifier" else "target"
    for index, what in enumerate(["treeids", "nodeids", "ids", "weights"]):
        node[f"{prefix}_{what}"] = [vote[index] for vote in votes]
    if prefix == "class":
        node["classlabels_int64s"] = list(range(targets))
        names = ["label", "scores"]
    else:
        node["n_targets"] = targets
        names = ["scores"]
    made = helper.make_node(operator, ["x"], names, domain="ai.onnx.ml", **node, **attributes)
    outputs = [info("scores", TensorProto.FLOAT, [None, targets])]
    if prefix == "class":
        outputs.insert(0, info("label", TensorProto.INT64, [None]))
    return graph([made], [info("x", TensorProto.FLOAT, [None, 1])], outputs, ml=1)


def trees():
    """Modes, aggregates and layouts that no exporter writes by default."""
    x = {"x": np.array([[0.0], [0.5], [1.0], [np.inf], [-np.inf]], np.float32)}
    x = {"x": x["x"][:3]}
    two = [(0, 1, 0, 0.25), (0, 2, 0, 0.75), (1, 1, 0, -0.5), (1, 2, 0, 2.0)]
    for mode in ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"]:
        model = ensemble("TreeEnsembleRegressor", two, 1, f"BRANCH_{mode}")
        by_onnxruntime(f"trees_mode_{mode.lower()}", model, x)
    for how in ["SUM", "AVERAGE", "MIN", "MAX"]:
        model = ensemble("TreeEnsembleRegressor", two, 1, aggregate_function=how, base_values=[0.5])
        by_onnxruntime(f"trees_{how.lower()}", model, x)
    positive = [(0, 1, 0, 0.25), (0, 2, 0, 0.75)]
    for name, votes in {"margin": two, "probability": positive}.items():
        for transform in ["NONE", "LOGISTIC"]:
            for base in [None, [0.1]]:
                model = ensemble(
                    "TreeEnsembleClassifier",
                    votes,
                    2,
                    post_transform=transform,
                    **({"base_values": base} if base else {}),
                )
                case = f"trees_one_score_{name}_{transform.lower()}{'_base' if base else ''}"
                by_onnxruntime(case, model, x)
    # A tree that is one leaf, as boosting writes when nothing is left to learn.
    model = ensemble("TreeEnsembleClassifier", [(0, 1, 0, 0.2), (0, 2, 0, 0.2)], 2)
    leaf = {
        "nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0], "nodes_values": [0.0],
        "nodes_modes": ["LEAF"], "nodes_truenodeids": [0], "nodes_falsenodeids": [0],
        "class_treeids": [0], "class_nodeids": [0], "class_ids": [0], "class_weights": [0.7],
        "classlabels_int64s": [0, 1], "post_transform": "LOGISTIC",
    }
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", **leaf)
    del model.graph.node[:]
    model.graph.node.append(node)
    score = 1 / (1 + np.exp(-0.7))
    scores = np.array([[1 - score, score]] * 3, np.float32)
    save("trees_one_leaf", model, x, {"label": np.array([1, 1, 1]), "scores": scores})

    three = [(0, leaf, label, 0.1 * leaf + 0.2 * label - 0.3 * leaf * label) for leaf in (1, 2) for label in range(3)]
    for transform in ["NONE", "LOGISTIC", "SOFTMAX"]:
        model = ensemble("TreeEnsembleClassifier", three, 3, post_transform=transform, base_values=[0.1, 0.25, 0.15])
        by_onnxruntime(f"trees_three_{transform.lower()}", model, x)


def plain_graphs():
    random = np.random.default_rng(SEED)
    half = random.normal(size=(3, 2)).astype(np.float16)
    x = info("x", TensorProto.FLOAT16, [None, 3])
    y = info("y", TensorProto.FLOAT16, [None, 2])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = graph(nodes, [x], [y], [numpy_helper.from_array(half, "w")])
    values = random.normal(size=(2, 3)).astype(np.float16)
    by_onnxruntime("half", model, {"x": values}, tolerance=5e-3)

    table = numpy_helper.from_array(random.normal(size=(5, 3)).astype(np.float32), "table")
    ids = info("ids", TensorProto.INT64, [None, None])
    y = info("y", TensorProto.FLOAT, [None, None, 3])
    model = graph([helper.make_node("Gather", ["table", "ids"], ["y"])], [ids], [y], [table])
    by_onnxruntime("embedding", model, {"ids": np.array([[0, 4], [-5, -1]])})

    table = numpy_helper.from_array(np.arange(10, dtype=np.float32).reshape(2, 5), "table")
    y = info("y", TensorProto.FLOAT, [2, None])
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"], axis=1)]
    ids = info("ids", TensorProto.INT32, [None])
    model = graph(nodes, [ids], [y], [table])
    by_onnxruntime("pick_columns", model, {"ids": np.array([4, 0], np.int32)})

    a, b = (info(name, TensorProto.FLOAT, [None, 2]) for name in "ab")
    y = info("y", TensorProto.FLOAT, [None, 2])
    model = graph([helper.make_node("Add", ["a", "b"], ["y"])], [a, b], [y])
    two = random.normal(size=(2, 3, 2)).astype(np.float32)
    by_onnxruntime("two_inputs", model, {"a": two[0], "b": two[1]})
    a, b = (info(name, TensorProto.FLOAT, [f"n_{name}", 2]) for name in "ab")
    model = graph([helper.make_node("Add", ["a", "b"], ["y"])], [a, b], [y])
    by_onnxruntime("two_batches_by_name", model, {"a": two[0], "b": two[1]})

    # A size whose name is no name, one that is 0, one that is -1.
    for case, size in {"batch_odd_name": "batch size", "batch_minus_one": -1, "batch_zero": 0}.items():
        x, y = info("x", TensorProto.FLOAT, [size, 2]), info("y", TensorProto.FLOAT, [size, 2])
        model = graph([helper.make_node("Neg", ["x"], ["y"])], [x], [y])
        rows = random.normal(size=(3, 2)).astype(np.float32)
        save(case, model, {"x": rows}, {"y": -rows})

    x, y = info("x", TensorProto.FLOAT, [None, 2]), info("y", TensorProto.FLOAT, [None, 2])
    model = graph([helper.make_node("Log", ["x"], ["y"])], [x], [y])
    rows = np.array([[1.0, np.e]], np.float32)
    by_onnxruntime("logarithm", model, {"x": rows})

    # A batch of one baked into a Reshape, and a size that is declared free.
    shape = numpy_helper.from_array(np.array([1, 2]), "shape")
    model = graph([helper.make_node("Reshape", ["x", "shape"], ["y"])], [x], [y], [shape])
    by_onnxruntime("batch_of_one", model, {"x": rows})


def refused():
    def keep(case, model):
        directory = HERE / "refused" / case
        directory.mkdir(parents=True)
        (directory / "model.onnx").write_bytes(plain(model))

    x = info("x", TensorProto.FLOAT, [None, 2])
    y = info("y", TensorProto.FLOAT, [None, 2])
    svc = SVC(probability=False, kernel="rbf", max_iter=3).fit(iris_x[::10], iris_y[::10])
    keep("support_vectors", to_onnx(svc, iris_x[:1], options={id(svc): {"zipmap": False}}))
    node = helper.make_node("Frobnicate", ["x"], ["y"], name="n1", domain="com.example")
    keep("own_domain", graph([node], [x], [y], domains=["com.example"]))
    keep("no_operator", graph([helper.make_node("Frobnicate", ["x"], ["y"], name="n1")], [x], [y]))
    open_x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    keep("no_shape", graph([helper.make_node("Neg", ["x"], ["y"])], [open_x], [y]))
    big = info("x", TensorProto.BFLOAT16, [None, 2])
    keep("bfloat16", graph([helper.make_node("Neg", ["x"], ["y"])], [big], [y]))
    both = [(0, 1, 1, 0.25), (0, 2, 1, 0.75)]
    keep("votes_for_the_second", ensemble("TreeEnsembleClassifier", both, 2))
    inner = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model = graph([helper.make_node("F", ["x"], ["y"], domain="own")], [x], [y], domains=["own"])
    model.functions.append(inner)
    keep("own_function", model)
    loop = ensemble("TreeEnsembleRegressor", [(0, 1, 0, 0.25), (0, 2, 0, 0.75)], 1)
    for attribute in loop.graph.node[0].attribute:
        if attribute.name == "nodes_truenodeids":
            attribute.ints[0] = 0
    keep("tree_that_never_ends", loop)


def external():
    """Weights beside the model, as PyTorch writes them by default."""
    directory = HERE / "external"
    directory.mkdir()
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    x, y = info("x", TensorProto.FLOAT, [None, 2]), info("y", TensorProto.FLOAT, [None, 3])
    tensor = numpy_helper.from_array(weights, "w")
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], [tensor])
    model.producer_name = "mcserve-data"
    onnx.save_model(
        model,
        str(directory / "model.onnx"),
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )


if __name__ == "__main__":
    for name in ["served", "refused", "external"]:
        shutil.rmtree(HERE / name, ignore_errors=True)
    scikit_learn()
    columns()
    trees()
    plain_graphs()
    refused()
    external()
