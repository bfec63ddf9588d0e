//! The confusion matrix, and what follows from it alone.
//!
//! **Source:** scikit-learn 1.9.1 (2026-11-30): `balanced_accuracy_score` leaves out classes
//! without rows; `matthews_corrcoef` is Gorodkin's `R_K`, whose undefined case is 0 there and
//! [`Undefined::Constant`] here; `cohen_kappa_score` without weights.

use crate::{
    counts::Counts,
    value::{Undefined, Value, mean, number},
};

/// Weights of rows by class and answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// By truth, then by answer.
    cells: Vec<f64>,
}

impl ConfusionMatrix {
    /// Counts rows. All three slices have one entry per row; classes are below `classes`.
    pub fn new(classes: usize, truth: &[usize], predicted: &[usize], weights: &[f64]) -> Self {
        let mut cells = vec![0.0; classes * classes];
        for ((truth, predicted), weight) in truth.iter().zip(predicted).zip(weights) {
            cells[truth * classes + predicted] += weight;
        }
        Self { classes, cells }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Weight of rows of the class `truth` that were answered as `predicted`.
    pub fn cell(&self, truth: usize, predicted: usize) -> f64 {
        self.cells[truth * self.classes + predicted]
    }

    /// Weight of rows of each class.
    pub fn supports(&self) -> Vec<f64> {
        let rows = self.cells.chunks(self.classes.max(1));
        rows.map(|row| row.iter().sum()).collect()
    }

    /// Weight of answers of each class.
    pub fn answers(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.classes];
        for row in self.cells.chunks(self.classes.max(1)) {
            for (sum, cell) in sums.iter_mut().zip(row) {
                *sum += cell;
            }
        }
        sums
    }

    fn total(&self) -> f64 {
        self.cells.iter().sum()
    }

    fn correct(&self) -> f64 {
        (0..self.classes).map(|class| self.cell(class, class)).sum()
    }

    /// Each class against all others, in order of classes.
    pub fn one_vs_rest(&self) -> Vec<Counts> {
        let total = self.total();
        let (supports, answers) = (self.supports(), self.answers());
        let counts = |class: usize| {
            let hit = self.cell(class, class);
            Counts {
                true_positive: hit,
                false_positive: (answers[class] - hit).max(0.0),
                false_negative: (supports[class] - hit).max(0.0),
                true_negative: (total - supports[class] - answers[class] + hit).max(0.0),
            }
        };
        (0..self.classes).map(counts).collect()
    }

    /// Share of rows that were answered rightly, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined::NoData`].
    pub fn accuracy(&self) -> Value {
        mean(self.correct(), self.total(), Undefined::NoData)
    }

    /// Mean recall of the classes that occur, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined::NoData`].
    pub fn balanced_accuracy(&self) -> Value {
        let (mut sum, mut present) = (0.0, 0);
        for (class, support) in self.supports().into_iter().enumerate() {
            if support > 0.0 {
                sum += self.cell(class, class) / support;
                present += 1;
            }
        }
        mean(sum, number(present), Undefined::NoData)
    }

    /// Correlation of labels and answers (Matthews), between -1 and 1.
    ///
    /// # Errors
    /// [`Undefined::NoData`], or [`Undefined::Constant`] when labels or answers are of one class.
    pub fn matthews(&self) -> Value {
        let total = self.total();
        if total <= 0.0 {
            return Err(Undefined::NoData);
        }
        let (supports, answers) = (self.supports(), self.answers());
        if only(&supports).is_some() || only(&answers).is_some() {
            return Err(Undefined::Constant);
        }
        // Shares, not weights: products of large weights would lose digits.
        let share = |sums: &[f64], others: &[f64]| -> f64 {
            let products = sums
                .iter()
                .zip(others)
                .map(|(a, b)| (a / total) * (b / total));
            products.sum()
        };
        let together = self.correct() / total - share(&supports, &answers);
        let alone = (1.0 - share(&supports, &supports)) * (1.0 - share(&answers, &answers));
        mean(together, alone.sqrt(), Undefined::Constant)
    }

    /// Agreement beyond chance (Cohen), at most 1.
    ///
    /// # Errors
    /// [`Undefined::NoData`], or [`Undefined::Constant`] when chance alone agrees on every row.
    pub fn kappa(&self) -> Value {
        let total = self.total();
        if total <= 0.0 {
            return Err(Undefined::NoData);
        }
        let (supports, answers) = (self.supports(), self.answers());
        if only(&supports).is_some() && only(&supports) == only(&answers) {
            return Err(Undefined::Constant);
        }
        let products = supports.iter().zip(&answers);
        let chance: f64 = products.map(|(a, b)| (a / total) * (b / total)).sum();
        let missed = 1.0 - self.correct() / total;
        mean(missed, 1.0 - chance, Undefined::Constant).map(|ratio| 1.0 - ratio)
    }

    /// Mean cost of a row. `costs` is by truth, then by answer, as large as the matrix.
    ///
    /// # Errors
    /// [`Undefined::NoData`].
    pub fn cost(&self, costs: &[Vec<f64>]) -> Value {
        let costs = costs.iter().flatten();
        let sum = self.cells.iter().zip(costs).map(|(cell, cost)| cell * cost);
        mean(sum.sum(), self.total(), Undefined::NoData)
    }
}

/// The only class with any weight.
fn only(sums: &[f64]) -> Option<usize> {
    let mut present = (0..sums.len()).filter(|class| sums[*class] > 0.0);
    let first = present.next()?;
    present.next().is_none().then_some(first)
}
