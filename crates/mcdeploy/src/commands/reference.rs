//! `mcdeploy __reference`: the reference of all commands as Markdown. `cargo xtask gen`
//! writes it to `docs/reference/cli.md`.

use std::fmt::Write;

use crate::{args, exit::ExitStatus, printer::Printer};

/// Width of help texts: independent of the terminal, so that the file is stable.
const WIDTH: usize = 100;

/// Prints the reference.
pub(crate) fn reference(printer: &Printer) -> anyhow::Result<ExitStatus> {
    printer.data(markdown()?.trim_end())?;
    Ok(ExitStatus::Success)
}

fn markdown() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# The `mcdeploy` command line\n\n<!-- Written by `cargo xtask gen`; do not edit. -->\n",
    );
    let mut root = args::command().term_width(WIDTH);
    root.build();
    page(&mut text, &mut root, 2)?;
    Ok(text)
}

fn page(text: &mut String, command: &mut clap::Command, level: usize) -> std::fmt::Result {
    let hashes = "#".repeat(level);
    let name = command
        .get_bin_name()
        .unwrap_or(command.get_name())
        .to_owned();
    let help = command.render_long_help().to_string();
    let trimmed: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(
        text,
        "\n{hashes} `{name}`\n\n```text\n{}\n```",
        trimmed.join("\n").trim()
    )?;
    for child in command.get_subcommands_mut() {
        if !child.is_hide_set() && child.get_name() != "help" {
            page(text, child, (level + 1).min(4))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_command_and_no_hidden_one() {
        let text = markdown().unwrap();
        for heading in [
            "`mcdeploy push`",
            "`mcdeploy rollout`",
            "`mcdeploy clusters ls`",
        ] {
            assert!(text.contains(heading), "{heading}");
        }
        assert!(!text.contains("__reference"));
    }
}
