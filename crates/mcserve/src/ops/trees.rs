//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.

use std::sync::Arc;

#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "tract's macros name what is in there"
    )
)]
use tract_onnx::tract_hir::internal::*;
use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::NodeProto,
};

mod finish;
mod forest;
mod parse;

use finish::{Aggregate, Layout, Transform};
use forest::Forest;
use parse::Kind;

pub(super) fn register(register: &mut OnnxOpRegister) {
    register.insert("TreeEnsembleClassifier", classifier);
    register.insert("TreeEnsembleRegressor", regressor);
}

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

fn classifier(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let whole: Vec<i64> = node
        .get_attr_opt_vec("classlabels_int64s")?
        .unwrap_or_default();
    let texts: Vec<String> = node
        .get_attr_opt_vec("classlabels_strings")?
        .unwrap_or_default();
    let (labels, classes) = if texts.is_empty() {
        (tensor1(&whole), whole.len())
    } else {
        (tensor1(&texts), texts.len())
    };
    ensure!(classes > 0, "a classifier has no labels");
    let forest = parse::forest(ctx, node, Kind::Classes, classes)?;
    let layout = Layout::of(&forest.votes, classes)
        .context("two classes and all votes for the second: servers differ on what that means")?;
    let base = parse::numbers(ctx, node, "base_values")?;
    ensure!(
        layout.takes(base.len(), classes),
        "{} base values for {classes} classes",
        base.len()
    );
    let finish = Finish::Classes {
        labels: labels.into_arc_tensor(),
        layout,
        transform: transform(node)?,
    };
    Ok((expand(Trees::new(forest, base, finish)), vec![]))
}

fn regressor(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let targets: usize = node.get_attr_opt("n_targets")?.unwrap_or(1);
    ensure!(targets > 0, "a regressor has no targets");
    let forest = parse::forest(ctx, node, Kind::Values, targets)?;
    let base = parse::numbers(ctx, node, "base_values")?;
    ensure!(
        base.is_empty() || base.len() == targets,
        "{} base values for {targets} targets",
        base.len()
    );
    ensure!(
        transform(node)? == Transform::None,
        "post_transform of a regressor is not served: servers differ on it"
    );
    let aggregate = match node
        .get_attr_opt::<&str>("aggregate_function")?
        .unwrap_or("SUM")
    {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => bail!("aggregate_function {other:?} is not served"),
    };
    let finish = Finish::Values { aggregate };
    Ok((expand(Trees::new(forest, base, finish)), vec![]))
}

fn transform(node: &NodeProto) -> TractResult<Transform> {
    Ok(
        match node
            .get_attr_opt::<&str>("post_transform")?
            .unwrap_or("NONE")
        {
            "NONE" => Transform::None,
            "LOGISTIC" => Transform::Logistic,
            "SOFTMAX" => Transform::Softmax,
            other => bail!("post_transform {other:?} is not served"),
        },
    )
}

/// What becomes of the votes.
#[derive(Clone, Debug)]
enum Finish {
    /// A label and a score for each class.
    Classes {
        labels: Arc<Tensor>,
        layout: Layout,
        transform: Transform,
    },
    /// A value for each target.
    Values { aggregate: Aggregate },
}

/// A tree ensemble as an operator of tract.
#[derive(Clone, Debug)]
struct Trees(Arc<Ensemble>);

#[derive(Debug)]
struct Ensemble {
    forest: Forest,
    base: Vec<f64>,
    finish: Finish,
}

impl PartialEq for Trees {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Trees {}

impl Trees {
    fn new(forest: Forest, base: Vec<f64>, finish: Finish) -> Self {
        Self(Arc::new(Ensemble {
            forest,
            base,
            finish,
        }))
    }

    fn run<T: Datum + Copy + Into<f64>>(&self, input: &Tensor) -> TractResult<TVec<TValue>> {
        let Ensemble {
            forest,
            base,
            finish,
        } = &*self.0;
        let &[rows, columns] = input.shape() else {
            bail!(
                "tree ensembles take rows of features, not shape {:?}",
                input.shape()
            );
        };
        ensure!(
            columns >= forest.features,
            "rows have {columns} features; the trees ask for {}",
            forest.features
        );
        let view = input.try_as_plain_ram()?;
        let values = view.as_slice::<T>()?;
        let mut sums = vec![0.0; forest.targets];
        let mut scores = Vec::with_capacity(rows * forest.targets);
        let mut best = Vec::with_capacity(rows);
        for row in values.chunks_exact(columns) {
            match finish {
                Finish::Classes {
                    layout, transform, ..
                } => {
                    finish::aggregate(forest, row, Aggregate::Sum, base, &mut sums);
                    best.push(finish::classify(&mut sums, *layout, *transform));
                }
                Finish::Values { aggregate } => {
                    finish::aggregate(forest, row, *aggregate, base, &mut sums);
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "scores are FP32")]
            scores.extend(sums.iter().map(|sum| *sum as f32));
        }
        let scores = Tensor::from_shape(&[rows, forest.targets], &scores)?.into_tvalue();
        Ok(match finish {
            Finish::Classes { labels, .. } => tvec!(chosen(labels, &best)?.into_tvalue(), scores),
            Finish::Values { .. } => tvec!(scores),
        })
    }
}

/// The label of each row.
fn chosen(labels: &Tensor, best: &[usize]) -> TractResult<Tensor> {
    let view = labels.try_as_plain_ram()?;
    if labels.datum_type() == String::datum_type() {
        let labels = view.as_slice::<String>()?;
        let chosen: Vec<String> = best.iter().map(|column| labels[*column].clone()).collect();
        return Ok(tensor1(&chosen));
    }
    let labels = view.as_slice::<i64>()?;
    let chosen: Vec<i64> = best.iter().map(|column| labels[*column]).collect();
    Ok(tensor1(&chosen))
}

impl Expansion for Trees {
    fn name(&self) -> StaticName {
        "TreeEnsemble".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(match self.0.finish {
            Finish::Classes { .. } => 2,
            Finish::Values { .. } => 1,
        })
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, Expansion::nboutputs(self)?)?;
        s.equals(&inputs[0].rank, 2)?;
        if let Finish::Classes { labels, .. } = &self.0.finish {
            s.equals(&outputs[0].datum_type, labels.datum_type())?;
            s.equals(&outputs[0].rank, 1)?;
            s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        }
        let scores = &outputs[outputs.len() - 1];
        s.equals(&scores.datum_type, f32::datum_type())?;
        s.equals(&scores.rank, 2)?;
        s.equals(&scores.shape[0], &inputs[0].shape[0])?;
        s.equals(&scores.shape[1], self.0.forest.targets.to_dim())?;
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Trees {
    fn name(&self) -> StaticName {
        "TreeEnsemble".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Trees {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        if input.datum_type() == f32::datum_type() {
            return self.run::<f32>(&input);
        }
        self.run::<f64>(&*input.cast_to::<f64>()?)
    }
}

impl TypedOp for Trees {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let input = inputs[0];
        ensure!(input.rank() == 2, "tree ensembles take rows of features");
        if let Ok(columns) = input.shape[1].to_usize() {
            ensure!(
                columns >= self.0.forest.features,
                "rows have {columns} features; the trees ask for {}",
                self.0.forest.features
            );
        }
        let rows = input.shape[0].clone();
        let scores = f32::fact([rows.clone(), self.0.forest.targets.to_dim()]);
        Ok(match &self.0.finish {
            Finish::Classes { labels, .. } => tvec!(labels.datum_type().fact([rows]), scores),
            Finish::Values { .. } => tvec!(scores),
        })
    }

    as_op!();
}
