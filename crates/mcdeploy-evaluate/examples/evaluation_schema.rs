//! Prints the schema of templates; `cargo xtask gen` writes it into `docs/`.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = mcdeploy_evaluate::schema()?;
    std::io::stdout().write_all(schema.as_bytes())?;
    Ok(())
}
