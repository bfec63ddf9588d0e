//! What documents show is what the program says: every line `$ …` of their blocks `console` is
//! run in a copy of the examples, and what comes out is compared. To write it instead:
//! `UPDATE_DOCS=1 cargo test --workspace --locked --test documented_outputs`.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Ends what a command printed.
const END: char = '\u{1e}';
const REPAIR: &str = "UPDATE_DOCS=1 cargo test --workspace --locked --test documented_outputs";

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

fn read(path: &str) -> String {
    let whole = repository().join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("read {}: {error}", whole.display()))
}

fn updating() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// A document in the order of its lines.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// Something to run, as it is typed, and what is said to come out.
    Run(Vec<&'a str>, Vec<&'a str>),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let mut inside = false;
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        if fence {
            inside = !inside && line.trim() == "```console";
        }
        match pieces.last_mut() {
            _ if inside && line.starts_with("$ ") => pieces.push(Piece::Run(vec![line], vec![])),
            Some(Piece::Run(typed, out)) if inside => {
                let goes_on = out.is_empty() && typed.last().is_some_and(|it| it.ends_with('\\'));
                if goes_on { typed } else { out }.push(line);
            }
            _ => pieces.push(Piece::Text(line)),
        }
    }
    pieces
}

/// The document again, with what `outputs` say in the place of what stood there.
fn composed(pieces: &[Piece<'_>], outputs: &mut impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(line) => text.extend([line, "\n"]),
            Piece::Run(typed, _) => {
                text.extend(typed.iter().flat_map(|line| [*line, "\n"]));
                text += &outputs.next().unwrap_or_default();
            }
        }
    }
    text
}

/// What each command prints, one shell after the other's directory and exit code.
fn outputs(pieces: &[Piece<'_>], start: &Path) -> Vec<String> {
    let typed = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Run(typed, _) => Some(typed.join("\n")),
    });
    let mut script = "exec 2>&1\n".to_owned();
    for line in typed {
        let line = line.trim_start_matches("$ ");
        script.extend([line, "\nended=$?; printf '\\036'; (exit $ended)\n"]);
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_mcdeploy")).parent().unwrap();
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(start)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut outputs: Vec<String> = text.split(END).map(str::to_owned).collect();
    outputs.pop();
    for output in &mut outputs {
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
    }
    outputs
}

/// The examples, so that commands may write beside them. Environments of Python stay behind.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Runs what `document` shows, beginning in `start`, and compares it, or writes it.
#[track_caller]
fn check(document: &str, start: &str) {
    let text = match document {
        DIGITS if updating() => rendered(),
        _ => read(document),
    };
    let desk = tempfile::tempdir().unwrap();
    let examples = desk.path().join("examples");
    copy(&repository().join("examples"), &examples);
    let pieces = pieces(&text);
    let outputs = outputs(&pieces, &desk.path().join(start));
    let fresh = composed(&pieces, &mut outputs.into_iter());
    if updating() {
        fs::write(repository().join(document), fresh).unwrap();
    } else {
        assert_same(document, &text, &fresh);
    }
}

#[track_caller]
fn assert_same(document: &str, written: &str, expected: &str) {
    let lines = written.lines().zip(expected.lines()).enumerate();
    let mut different = lines.filter(|(_, (written, expected))| written != expected);
    if let Some((index, (written, expected))) = different.next() {
        panic!(
            "{document}:{}: it says\n  {written}\nand it must be\n  {expected}\nTo write what is so: {REPAIR}",
            index + 1
        );
    }
    assert_eq!(
        written, expected,
        "{document} is shorter or longer: {REPAIR}"
    );
}

const DIGITS: &str = "docs/digits.md";

/// The page about digits without outputs: its template with the numbers of `results.json`.
fn rendered() -> String {
    let values: BTreeMap<String, String> =
        serde_json::from_str(&read("examples/digits/results.json")).unwrap();
    let mut page = read("examples/digits/page.md");
    for (name, value) in values {
        page = page.replace(&format!("{{{{{name}}}}}"), &value);
    }
    let left = page.find("{{").map(|at| page[at..].lines().next());
    assert_eq!(left, None, "examples/digits/results.json lacks a number");
    page
}

#[test]
fn outputs_in_choosing_a_metric_are_those_of_the_program() {
    check("docs/choosing-a-metric.md", ".");
}

#[test]
fn outputs_in_evaluate_are_those_of_the_program() {
    check("docs/evaluate.md", ".");
}

#[test]
fn outputs_in_the_churn_example_are_those_of_the_program() {
    check("examples/churn/README.md", "examples/churn");
}

#[test]
fn outputs_in_the_digits_project_are_those_of_the_program() {
    check(DIGITS, ".");
}

#[test]
fn numbers_in_the_digits_project_are_those_of_its_results() {
    if updating() {
        return; // another test writes the page at this moment
    }
    let page = read(DIGITS);
    let without_outputs = composed(&pieces(&page), &mut std::iter::empty());
    assert_same(DIGITS, &without_outputs, &rendered());
}

#[test]
fn files_of_the_examples_are_those_that_their_programs_made() {
    for (directory, program) in [("digits", "project.py"), ("churn", "make.py")] {
        let directory = repository().join("examples").join(directory);
        let output = Command::new("sha256sum")
            .args(["--check", "--quiet", "--strict", "SHA256SUMS"])
            .current_dir(&directory)
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            output.status.success(),
            "{text}Make all of them again by {program} in {}",
            directory.display()
        );
    }
}

#[test]
fn pictures_of_the_digits_project_are_there_small_and_shown() {
    let page = read(DIGITS);
    let directory = repository().join("docs/digits");
    let mut size = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(
            page.contains(&format!("](digits/{name})")),
            "{name} is shown"
        );
        size += entry.metadata().unwrap().len();
    }
    assert!((1..400_000).contains(&size), "{size} bytes");
    for shown in page.split("](digits/").skip(1) {
        let name = shown.split(')').next().unwrap();
        let path = repository().join("docs/digits").join(name);
        assert!(path.exists(), "{name} is there");
    }
}

#[test]
fn the_same_seed_makes_the_digits_project_again() {
    if std::env::var_os("MCDEPLOY_TEST_FULL").is_none() {
        return; // it trains for minutes
    }
    let desk = tempfile::tempdir().unwrap();
    for directory in ["examples/digits", "docs/digits"] {
        copy(&repository().join(directory), &desk.path().join(directory));
    }
    let status = Command::new("python3")
        .args(["examples/digits/project.py", "--no-page"])
        .current_dir(desk.path())
        .status()
        .unwrap();
    assert!(status.success());
    let again = fs::read_to_string(desk.path().join("examples/digits/SHA256SUMS")).unwrap();
    assert_same(
        "examples/digits/SHA256SUMS",
        &read("examples/digits/SHA256SUMS"),
        &again,
    );
}

#[test]
fn commands_and_their_outputs_are_told_apart() {
    let text = "a\n```console\n$ one \\\n  more\nout\n\nout\n$ two\n```\n$ no\n```sh\n$ no\n```\n";
    let found = pieces(text);
    let runs: Vec<_> = found
        .iter()
        .filter(|piece| matches!(piece, Piece::Run(..)))
        .collect();
    let first = Piece::Run(vec!["$ one \\", "  more"], vec!["out", "", "out"]);
    assert_eq!(runs, [&first, &Piece::Run(vec!["$ two"], vec![])]);
    let mut new = ["1\n".to_owned(), "2\n".to_owned()].into_iter();
    let changed = composed(&found, &mut new);
    assert!(
        changed.contains("  more\n1\n$ two\n2\n```\n$ no\n"),
        "{changed}"
    );
}
