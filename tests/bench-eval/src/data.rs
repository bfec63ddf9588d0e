//! Rows of ten classes: probabilities as 64-bit floats, row by row, then each row's class as a
//! 64-bit number, little end first. Python reads it without parsing.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::ensure;
use mcdeploy_eval::random::Random;

pub(crate) const CLASSES: usize = 10;
const BYTES_A_ROW: usize = (CLASSES + 1) * 8;

/// Writes `rows` of them from a seed. About three of four are answered rightly.
pub(crate) fn write(rows: usize, file: &Path) -> anyhow::Result<()> {
    let mut random = Random::new(15);
    let mut out = BufWriter::new(File::create(file)?);
    let mut truth = Vec::with_capacity(rows);
    for _ in 0..rows {
        let class = random.below(CLASSES);
        let mut scores = [0.0; CLASSES];
        for (other, score) in scores.iter_mut().enumerate() {
            // Sums of evenly spread numbers are nearly normal.
            let noise: f64 = (0..6).map(|_| random.unit()).sum::<f64>() - 3.0;
            *score = (2.0 * noise + if other == class { 3.5 } else { 0.0 }).exp();
        }
        let sum: f64 = scores.iter().sum();
        for score in scores {
            out.write_all(&(score / sum).to_le_bytes())?;
        }
        truth.push(class as u64);
    }
    for class in truth {
        out.write_all(&class.to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}

/// Probabilities and classes of all rows.
pub(crate) fn read(file: &Path) -> anyhow::Result<(Vec<Vec<f64>>, Vec<usize>)> {
    let bytes = fs::read(file)?;
    ensure!(
        bytes.len().is_multiple_of(BYTES_A_ROW),
        "{} is cut short",
        file.display()
    );
    let rows = bytes.len() / BYTES_A_ROW;
    let (words, _) = bytes.as_chunks::<8>();
    let (scores, truth) = words.split_at(rows * CLASSES);
    let scores = scores.chunks(CLASSES);
    let scores = scores.map(|row| row.iter().map(|word| f64::from_le_bytes(*word)).collect());
    let truth = truth
        .iter()
        .map(|word| usize::try_from(u64::from_le_bytes(*word)));
    Ok((scores.collect(), truth.collect::<Result<_, _>>()?))
}
