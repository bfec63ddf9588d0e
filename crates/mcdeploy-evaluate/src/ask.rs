//! Asks an endpoint about every row, by protocol v2: at a stated rate, whatever the answers
//! take, so that a slow server is seen and not waited for. Requests that failed are repeated
//! in slots of the same rate. It judges nothing.

mod clock;
mod decode;
mod encode;
mod metadata;
mod pace;
mod wire;

use std::{collections::BinaryHeap, sync::Arc, time::Duration};

use mcdeploy_eval::{Answers, random::Random};
use tokio::{task::JoinSet, time::Instant};

pub(crate) use self::decode::collected;
pub use self::encode::{Questions, questions};
use self::{
    clock::now,
    decode::{Decoder, RowAnswer},
    pace::Pace,
};
use crate::{
    error::EvaluateError,
    inference::{Budget, Inference},
    rows::Rows,
};

/// Requests under way at most: a server that hangs must not take all sockets.
const MOST_UNDER_WAY: usize = 512;
/// Wait before the first repetition; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Where a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Short, for reports: `aws`.
    pub name: String,
    /// Of the server or of the model.
    pub url: String,
}

/// How far the asking is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskProgress {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Rows that have an answer.
    pub done: usize,
    /// Rows in all.
    pub total: usize,
    /// Requests that were sent again.
    pub repeats: usize,
    /// Since the first request.
    pub elapsed: Duration,
}

/// What an endpoint answered, one entry per row asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Name of the endpoint.
    pub endpoint: String,
    pub(crate) answers: Vec<Option<RowAnswer>>,
    /// The model's version, as the server says.
    pub version: String,
    /// Requests sent, repeated ones too.
    pub requests: usize,
    /// Of those, repeated ones.
    pub repeats: usize,
    /// From the first request to the last.
    pub sending: Duration,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Asked {
    /// Rows that have an answer.
    pub fn answered(&self) -> Vec<bool> {
        self.answers.iter().map(Option::is_some).collect()
    }

    /// Answers to the rows of `keep`, which have one.
    pub fn answers(&self, rows: &Rows, keep: &[usize]) -> Answers {
        let kept = keep.iter().filter_map(|row| self.answers[*row].clone());
        collected(rows, kept.collect())
    }

    /// Requests a second, from the first to the last one.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.sending.as_secs_f64();
        let gaps = f64::from(u32::try_from(self.requests).ok()?) - 1.0;
        (seconds > 0.0 && gaps > 0.0).then(|| gaps / seconds)
    }
}

/// Rows to ask about: all, or as many as the budget has, drawn by `seed`, in their order.
pub fn rows_to_ask(budget: &Budget, rows: usize, seed: u64) -> Vec<usize> {
    let most = budget.rows.unwrap_or(rows).min(rows);
    let mut all: Vec<usize> = (0..rows).collect();
    if most < rows {
        // The first rows of a file that is sorted by class are of one class.
        let mut random = Random::new(seed);
        for place in 0..most {
            all.swap(place, place + random.below(rows - place));
        }
        all.truncate(most);
        all.sort_unstable();
    }
    all
}

/// Asks one endpoint. Dropping it stops asking.
///
/// # Errors
/// [`EvaluateError::Endpoint`] when it answers something else than it was asked for,
/// [`EvaluateError::Unanswered`] when a request had no answer after all repetitions.
pub async fn ask(
    endpoint: &Endpoint,
    inference: &Inference,
    rows: &Rows,
    questions: &Questions<'_>,
    progress: &(dyn Fn(&AskProgress) + Sync),
) -> Result<Asked, EvaluateError> {
    let server = wire::Server::new(endpoint, inference)?;
    let model = server.metadata().await?;
    let encoder = encode::Encoder::new(&model, inference, questions, &server)?;
    let decoder = Decoder::new(&model, inference, rows, &server)?;
    let batch = inference.batch.max(1);
    let batches: Vec<(usize, usize)> = (0..questions.len())
        .step_by(batch)
        .map(|start| (start, questions.len().min(start + batch)))
        .collect();
    let mut run = Run {
        budget: &inference.budget,
        retries: inference.retries,
        pace: Pace::new(now(), inference.requests_per_second),
        start: now(),
        server: Arc::new(server),
        batches,
        next: 0,
        waiting: BinaryHeap::new(),
        under_way: JoinSet::new(),
        asked: Asked {
            endpoint: endpoint.name.clone(),
            answers: vec![None; questions.len()],
            version: String::new(),
            requests: 0,
            repeats: 0,
            sending: Duration::ZERO,
            elapsed: Duration::ZERO,
        },
        jitter: Random::new(0),
    };
    run.finish(&encoder, &decoder, questions, progress).await?;
    Ok(run.asked)
}

/// A batch that failed, and when it may go again. The earliest is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting(std::cmp::Reverse<Instant>, usize, u32);

struct Run<'a> {
    budget: &'a Budget,
    retries: u32,
    pace: Pace,
    start: Instant,
    server: Arc<wire::Server>,
    batches: Vec<(usize, usize)>,
    /// First batch that was never sent.
    next: usize,
    waiting: BinaryHeap<Waiting>,
    under_way: JoinSet<(usize, u32, Result<serde_json::Value, wire::Failure>)>,
    asked: Asked,
    jitter: Random,
}

impl Run<'_> {
    async fn finish(
        &mut self,
        encoder: &encode::Encoder,
        decoder: &Decoder,
        questions: &Questions<'_>,
        progress: &(dyn Fn(&AskProgress) + Sync),
    ) -> Result<(), EvaluateError> {
        loop {
            let slot = self.next_slot();
            if slot.is_none() && self.under_way.is_empty() {
                return Ok(());
            }
            let at = slot.unwrap_or(self.start);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(at), if slot.is_some() => {
                    if let Some((batch, attempt)) = self.take() {
                        self.send(batch, attempt, encoder, questions)?;
                    }
                }
                Some(ended) = self.under_way.join_next() => {
                    let Ok((batch, attempt, answer)) = ended else {
                        continue; // cancelled with the runtime
                    };
                    self.take_answer(batch, attempt, answer, decoder)?;
                    self.tell(progress);
                }
            }
        }
    }

    /// When the next request may go; none where there is none to send.
    fn next_slot(&self) -> Option<Instant> {
        let spent = self
            .budget
            .most_requests()
            .is_some_and(|most| self.asked.requests >= most);
        let late = self
            .budget
            .time()
            .is_some_and(|time| now() >= self.start + time);
        if spent || late || self.under_way.len() >= MOST_UNDER_WAY {
            return None;
        }
        let slot = self.pace.slot();
        if self.next < self.batches.len() {
            return Some(slot);
        }
        self.waiting
            .peek()
            .map(|Waiting(ready, ..)| slot.max(ready.0))
    }

    /// A batch whose wait is over, else a new one.
    fn take(&mut self) -> Option<(usize, u32)> {
        let ready = self
            .waiting
            .peek()
            .is_some_and(|waiting| waiting.0.0 <= now());
        if ready {
            return self
                .waiting
                .pop()
                .map(|Waiting(_, batch, attempt)| (batch, attempt));
        }
        if self.next < self.batches.len() {
            self.next += 1;
            return Some((self.next - 1, 0));
        }
        None
    }

    fn send(
        &mut self,
        batch: usize,
        attempt: u32,
        encoder: &encode::Encoder,
        questions: &Questions<'_>,
    ) -> Result<(), EvaluateError> {
        let (start, end) = self.batches[batch];
        let body = encoder.body(questions, start, end)?;
        self.pace.sent(now());
        self.asked.requests += 1;
        self.asked.repeats += usize::from(attempt > 0);
        self.asked.sending = self.start.elapsed();
        let server = Arc::clone(&self.server);
        self.under_way
            .spawn(async move { (batch, attempt, server.infer(body).await) });
        Ok(())
    }

    fn take_answer(
        &mut self,
        batch: usize,
        attempt: u32,
        answer: Result<serde_json::Value, wire::Failure>,
        decoder: &Decoder,
    ) -> Result<(), EvaluateError> {
        let (start, end) = self.batches[batch];
        match answer {
            Ok(answer) => {
                let rows = decoder.rows(&answer, start, end, &mut self.asked.version)?;
                for (row, answer) in (start..end).zip(rows) {
                    self.asked.answers[row] = Some(answer);
                }
                self.asked.elapsed = self.start.elapsed();
                Ok(())
            }
            Err(failure) if failure.again && attempt < self.retries => {
                let wait = FIRST_WAIT * 2_u32.saturating_pow(attempt.min(8));
                let wait = wait.mul_f64(0.75 + 0.5 * self.jitter.unit());
                let ready = now() + failure.after.map_or(wait, |after| after.max(wait));
                let ready = std::cmp::Reverse(ready);
                self.waiting.push(Waiting(ready, batch, attempt + 1));
                Ok(())
            }
            Err(failure) => Err(self.server.refused(&failure, start, attempt)),
        }
    }

    fn tell(&self, progress: &(dyn Fn(&AskProgress) + Sync)) {
        let done = self.asked.answers.iter().filter(|answer| answer.is_some());
        progress(&AskProgress {
            endpoint: self.asked.endpoint.clone(),
            done: done.count(),
            total: self.asked.answers.len(),
            repeats: self.asked.repeats,
            elapsed: self.start.elapsed(),
        });
    }
}
