//! `mcdeploy evaluate`: is a version good enough, by its answers to rows whose truth is known.

mod artifact;
mod asking;
mod shown;

use std::path::{Path, PathBuf};

use mcdeploy_eval::{Confidence, Gate, MetricGate, Outcome, Truth, WhenInconclusive};
use mcdeploy_evaluate::{
    DataFile, DatasetArtifact, EvaluateError, EvaluationTemplate, Format, Inference, Judged,
    Parity, Plan, Sources, Table, answers, decode, evaluate as judge, junit, page, parse_template,
    read, read_as, rows, suggest, write_whole,
};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Bound, EvaluateArgs, EvaluateCommand, EvaluateFormat, SuggestArgs},
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    output::json,
    printer::Printer,
};

/// Runs the command.
pub(crate) async fn evaluate(
    args: &EvaluateArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    if let Some(EvaluateCommand::Suggest(args)) = &args.command {
        return suggested(args, printer);
    }
    let question = Question::of(args)?;
    let fetched = match &question.artifact {
        Some(one) => {
            Some(artifact::fetched(one, &question.place, args, environment, cancel).await?)
        }
        None => None,
    };
    let labels = question.labels(fetched.as_ref()).map_err(Failure::from)?;
    let whole = question.artifact.iter().map(|one| DataFile {
        role: "dataset",
        file: one.to_string(),
        sha256: one.digest.trim_start_matches("sha256:").to_owned(),
        rows: labels.rows(),
    });
    let mut sources = Sources {
        data: whole.chain(files("labels", &labels)).collect(),
        parity: question.parity,
        ..Sources::default()
    };
    let predictions = args.predictions.as_ref().map(|path| read(path, None));
    let predictions = predictions.transpose().map_err(Failure::from)?;
    let rows = rows(&question.plan, labels, predictions.as_ref()).map_err(Failure::from)?;
    check(&question, &rows.truth)?;
    let baseline = match &args.baseline {
        Some(path) => {
            let table = read(path, None).map_err(Failure::from)?;
            sources.data.extend(files("baseline", &table));
            Some(answers(&rows, table).map_err(Failure::from)?.answers)
        }
        None => None,
    };
    let (rows, judged) = match predictions {
        Some(predictions) => {
            sources.data.extend(files("predictions", &predictions));
            let candidate = answers(&rows, predictions).map_err(Failure::from)?.answers;
            let judged = Judged::new("", &rows, candidate, baseline).map_err(Failure::from)?;
            (rows, vec![judged])
        }
        None => asking::judged(args, &question, rows, baseline, &mut sources, printer).await?,
    };
    let evaluation = judge(&question.gate, &question.place, &rows, &judged, sources);
    let evaluation = evaluation.map_err(Failure::from)?;
    if let Some(path) = &args.report {
        write_whole(path, &page(&evaluation, &judged)).map_err(Failure::from)?;
        printer.notice(format!("wrote {}", path.display()));
    }
    match args.output {
        EvaluateFormat::Table => printer.data(shown::table(&evaluation))?,
        EvaluateFormat::Json => printer.data(json(&evaluation)?)?,
        EvaluateFormat::Junit => printer.data(junit(&evaluation))?,
    }
    for hint in &evaluation.next {
        printer.hint(hint);
    }
    Ok(match evaluation.outcome {
        Outcome::Proceed => ExitStatus::Success,
        Outcome::Fail => ExitStatus::Failed,
        Outcome::Hold => ExitStatus::Inconclusive,
    })
}

/// Prints a template to edit.
fn suggested(args: &SuggestArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let plan = Plan {
        task: args.task.map(Into::into),
        ..Plan::default()
    };
    let labels = read(&args.labels, None).map_err(Failure::from)?;
    let predictions = read(&args.predictions, None).map_err(Failure::from)?;
    let rows = rows(&plan, labels, Some(&predictions)).map_err(Failure::from)?;
    let given = answers(&rows, predictions).map_err(Failure::from)?.answers;
    let judged = Judged::new("", &rows, given, None).map_err(Failure::from)?;
    let files = [args.labels.display().to_string()];
    let text = suggest(&rows, &judged, &files).map_err(Failure::from)?;
    printer.data(text.trim_end())?;
    printer.hint("paths in it are relative to it; try it with: mcdeploy evaluate -f eval.yaml --predictions FILE");
    Ok(ExitStatus::Success)
}

/// What is asked, from a template or from flags.
struct Question {
    plan: Plan,
    gate: Gate,
    /// Within the artifact, where there is one.
    files: Vec<PathBuf>,
    artifact: Option<DatasetArtifact>,
    format: Option<Format>,
    inference: Inference,
    parity: Parity,
    /// Where it is written.
    place: String,
}

impl Question {
    fn of(args: &EvaluateArgs) -> Result<Self, Failure> {
        match (&args.file, &args.labels) {
            (Some(file), _) => Self::of_template(file),
            (None, Some(labels)) => Ok(Self {
                plan: Plan {
                    task: args.task.map(Into::into),
                    ..Plan::default()
                },
                gate: Gate {
                    metrics: bounds(args),
                    slices: vec![],
                    confidence: Confidence::default(),
                    inconclusive: WhenInconclusive::Hold,
                },
                files: vec![labels.clone()],
                artifact: None,
                format: None,
                inference: Inference::default(),
                parity: Parity::default(),
                place: "the command line".to_owned(),
            }),
            (None, None) => {
                let text = "give a template with -f, or labels with --labels";
                Err(Failure::new(ExitStatus::Usage, text))
            }
        }
    }

    fn of_template(path: &Path) -> Result<Self, Failure> {
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| {
            let file = place.clone();
            Failure::from(EvaluateError::Read { file, source })
        })?;
        let text = decode(&bytes).map_err(|why| {
            let problem = format!("expected text, found {why}");
            let place = place.clone();
            Failure::from(EvaluateError::Template { place, problem })
        })?;
        let template: EvaluationTemplate = parse_template(&place, &text).map_err(Failure::from)?;
        let dataset = &template.spec.dataset;
        let base = match dataset.artifact {
            Some(_) => Path::new(""),
            None => path.parent().unwrap_or(Path::new("")),
        };
        Ok(Self {
            plan: Plan::of(&template),
            gate: template.spec.gate(),
            files: dataset.files.iter().map(|file| base.join(file)).collect(),
            artifact: dataset.artifact.clone(),
            format: dataset.format,
            inference: template.spec.inference.clone(),
            parity: template.spec.parity,
            place: format!("{place}, in `spec`"),
        })
    }

    /// All files of labels, one below the other.
    fn labels(&self, fetched: Option<&artifact::Directory>) -> Result<Table, EvaluateError> {
        let mut tables = self.files.iter().map(|path| match fetched {
            Some(fetched) => read_as(&fetched.join(path), &fetched.name(path), self.format),
            None => read(path, self.format),
        });
        let Some(first) = tables.next() else {
            // Neither a template nor the flags are without a file.
            let problem = "no file of labels is named".to_owned();
            let place = self.place.clone();
            return Err(EvaluateError::Template { place, problem });
        };
        let mut all = first?;
        for table in tables {
            all.append(&table?)?;
        }
        Ok(all)
    }
}

/// Metrics of flags, each with its one bound.
fn bounds(args: &EvaluateArgs) -> Vec<MetricGate> {
    let min = args.min.iter().map(|Bound { metric, bound }| MetricGate {
        lower_bound: Some(*bound),
        ..MetricGate::new(*metric)
    });
    let max = args.max.iter().map(|Bound { metric, bound }| MetricGate {
        upper_bound: Some(*bound),
        ..MetricGate::new(*metric)
    });
    let decreases = args.max_decrease.iter();
    let decreases = decreases.map(|Bound { metric, bound }| MetricGate {
        max_decrease: Some(*bound),
        ..MetricGate::new(*metric)
    });
    min.chain(max).chain(decreases).collect()
}

/// What the judge would refuse is told before answers are looked at.
fn check(question: &Question, truth: &Truth) -> Result<(), Failure> {
    if question.gate.metrics.is_empty() {
        return Ok(());
    }
    let place = question.place.clone();
    let wrong = |source| Failure::from(EvaluateError::Judge { place, source });
    question.gate.check(truth).map_err(wrong)
}

fn files(role: &'static str, table: &Table) -> Vec<DataFile> {
    let files = table.sources().map(|(file, sha256, rows)| DataFile {
        role,
        file: file.to_owned(),
        sha256: sha256.to_owned(),
        rows,
    });
    files.collect()
}

impl From<EvaluateError> for Failure {
    /// One sentence, and the exit code for it.
    fn from(error: EvaluateError) -> Self {
        let status = match error {
            EvaluateError::Write { .. } => ExitStatus::Failed,
            EvaluateError::Unanswered { .. } => ExitStatus::Inconclusive,
            EvaluateError::Input(_)
            | EvaluateError::Read { .. }
            | EvaluateError::Template { .. }
            | EvaluateError::Judge { .. }
            | EvaluateError::Endpoint { .. }
            | EvaluateError::Data(_) => ExitStatus::Usage,
        };
        Self::new(status, chain(&error))
    }
}
