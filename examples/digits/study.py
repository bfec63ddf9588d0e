"""The questions that the project asks of the data, each a function with numbers for an answer.

Nothing here looks at held-out rows: they are for `mcdeploy evaluate` alone.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from one_vs_one import OneVsOne

STRENGTHS = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
SIZES = [100, 200, 400, 700]
FOLDS = 5


class Scores:
    """What five folds say of one way to make a model."""

    def __init__(self, right, surprise):
        self.right = np.array(right)
        self.surprise = float(np.mean(surprise))

    @property
    def mean(self):
        return float(self.right.mean())

    @property
    def spread(self):
        return float(self.right.std(ddof=1))

    @property
    def error(self):
        """Standard error of the mean."""
        return self.spread / FOLDS**0.5


def folds(seed):
    return StratifiedKFold(FOLDS, shuffle=True, random_state=seed)


def log_loss(probability, y):
    return float(-np.log(np.clip(probability[np.arange(len(y)), y], 1e-15, 1.0)).mean())


def cross_validate(make, prepare, x, y, seed, rows=None):
    """`prepare` gets the rows to learn from and those to answer, and changes both alike."""
    right, surprise = [], []
    for learn, answer in folds(seed).split(x, y):
        learn = learn[:rows]
        learn_x, answer_x = prepare(x[learn], x[answer])
        model = make().fit(learn_x, y[learn])
        right.append((model.predict(answer_x) == y[answer]).mean())
        if hasattr(model, "predict_proba"):
            surprise.append(log_loss(model.predict_proba(answer_x), y[answer]))
    return Scores(right, surprise or [np.nan])


def as_it_is(learn, answer):
    return learn, answer


def upper_half(learn, answer):
    return learn[:, :32], answer[:, :32]


def standardised(learn, answer):
    scaler = StandardScaler().fit(learn)
    return scaler.transform(learn), scaler.transform(answer)


def with_sums(learn, answer):
    """Ink in each row and column of the image beside the pixels."""

    def more(x):
        images = x.reshape(-1, 8, 8)
        return np.hstack([x, images.sum(axis=1) / 8.0, images.sum(axis=2) / 8.0])

    return more(learn), more(answer)


def with_neighbours(learn, answer):
    """Products of pixels that touch: whether a stroke goes on."""

    def more(x):
        images = x.reshape(-1, 8, 8)
        across = (images[:, :, 1:] * images[:, :, :-1]).reshape(len(x), -1)
        down = (images[:, 1:, :] * images[:, :-1, :]).reshape(len(x), -1)
        return np.hstack([x, across, down])

    return more(learn), more(answer)


def multinomial(strength):
    return LogisticRegression(C=strength, max_iter=5000, tol=1e-8)


def one_vs_rest(strength, seed):
    each = LogisticRegression(
        C=strength, max_iter=5000, tol=1e-8, solver="liblinear", random_state=seed
    )
    return OneVsRestClassifier(each)


def features(x, y, seed):
    """The same plain model on five views of an image."""
    views = [
        ("the upper half, 32 pixels", upper_half),
        ("64 pixels, divided by 16", as_it_is),
        ("64 pixels, each with mean 0 and deviation 1", standardised),
        ("64 pixels and 16 sums of rows and columns", with_sums),
        ("64 pixels and 112 products of neighbours", with_neighbours),
    ]
    return [
        (name, cross_validate(lambda: multinomial(0.1), view, x, y, seed)) for name, view in views
    ]


def baselines(x, y, seed):
    """What a model has to beat to be worth anything."""
    makers = [
        ("always the commonest digit", lambda: DummyClassifier(strategy="prior")),
        ("the digit whose mean image is nearest", NearestCentroid),
    ]
    return [(name, cross_validate(make, as_it_is, x, y, seed)) for name, make in makers]


def tuning(x, y, seed):
    """Scores of each strategy by strength of the fit (C: less is simpler)."""
    strategies = {
        "multinomial": multinomial,
        "one-vs-rest": lambda strength: one_vs_rest(strength, seed),
        "one-vs-one": lambda strength: OneVsOne(strength, seed),
    }
    return {
        name: {
            strength: cross_validate(lambda: make(strength), as_it_is, x, y, seed)
            for strength in STRENGTHS
        }
        for name, make in strategies.items()
    }


def simplest_good(scores):
    """The smallest C whose mean is within a standard error of the best one's."""
    best = max(scores.values(), key=lambda one: one.mean)
    return min(c for c, one in scores.items() if one.mean >= best.mean - best.error)


def learning_curve(make, x, y, seed):
    """Scores by number of rows learnt from; the last are all of them."""
    all_rows = len(x) - len(x) // FOLDS
    return {
        rows: cross_validate(make, as_it_is, x, y, seed, rows=rows) for rows in [*SIZES, all_rows]
    }


def two_directions(x):
    """Rows seen along the two directions in which they differ most, and the share of that."""
    pca = PCA(n_components=2, svd_solver="full").fit(x)
    return pca.transform(x), float(pca.explained_variance_ratio_.sum())
