//! The page that `--report` writes, in a real browser: in the light, in the dark, on paper, on a
//! narrow screen and by keyboard. What was seen lies as pictures in `target/tmp/report_page`.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mcdeploy_eval::{Confidence, Gate, MetricGate, MetricName, WhenInconclusive};
use mcdeploy_evaluate::{Judged, Parity, Plan, Sources, answers, evaluate, page, read, rows};
use mcdeploy_sandbox::{
    Say,
    tools::{Tool, ensure_blocking},
};
use serde::Deserialize;

/// What `report_page/browser.mjs` saw of a page.
#[derive(Deserialize)]
struct Seen {
    page: String,
    title: String,
    /// Tables that scroll sideways on a usual screen.
    sideways: Vec<String>,
    /// With text a tenth wider.
    stretched: Stretched,
    /// Where the explorer of thresholds was reached; none when it was not.
    keyboard: Option<Keyboard>,
    light: Look,
    dark: Look,
    phone: Width,
    print: Paper,
    /// Requests for anything but the page.
    elsewhere: Vec<String>,
    /// Errors and warnings of the console.
    complaints: Vec<String>,
}

/// What is seen where the machine's fonts are wider.
#[derive(Deserialize)]
struct Stretched {
    sideways: Vec<String>,
    width: Width,
    phone: Width,
}

#[derive(Deserialize)]
struct Keyboard {
    tabs: u32,
    outline: String,
    before: String,
    after: String,
    chosen: String,
}

#[derive(Deserialize)]
struct Look {
    violations: Vec<Violation>,
}

/// In CSS pixels.
#[derive(Debug, Deserialize)]
struct Width {
    needs: u32,
    has: u32,
}

impl Width {
    fn is_enough(&self) -> bool {
        self.needs <= self.has
    }
}

#[derive(Deserialize)]
struct Paper {
    bytes: usize,
    closed: u32,
    hidden: bool,
    background: String,
    width: Width,
    stretched: Width,
    violations: Vec<Violation>,
}

#[derive(Debug, Deserialize)]
struct Violation {
    id: String,
    impact: Option<String>,
    #[serde(rename = "where")]
    place: String,
    why: String,
}

impl Seen {
    /// What axe calls serious or critical, wherever it saw it.
    fn serious(&self) -> Vec<String> {
        let looks = [
            ("light", &self.light.violations),
            ("dark", &self.dark.violations),
            ("print", &self.print.violations),
        ];
        let mut found = vec![];
        for (look, violations) in looks {
            let serious = violations.iter().filter(|one| {
                let impact = one.impact.as_deref();
                matches!(impact, Some("serious" | "critical"))
            });
            found.extend(serious.map(|one| {
                let Violation { id, place, why, .. } = one;
                format!("{}, {look}: {id} at {place}: {why}", self.page)
            }));
        }
        found
    }
}

/// Looks at pages with Debian's Chromium.
fn look(pages: &[PathBuf]) -> Vec<Seen> {
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report_page");
    fs::create_dir_all(&pictures).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report_page/browser.mjs");
    let axe = ensure_blocking(Tool::Axe, &Say::stderr()).unwrap();
    let output = Command::new("node")
        .arg(script)
        .arg("/usr/bin/chromium")
        .args([axe, pictures])
        .args(pages)
        .output()
        .expect("node is there: apt-get install nodejs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{errors}(the browser is Debian's: apt-get install chromium)"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn examples(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    root.canonicalize().unwrap().join(path)
}

/// Rows of numbers, and of several labels, with a version that is mostly right.
fn write_rows(dir: &Path) {
    let write = |name: &str, header: &str, line: &dyn Fn(u32) -> String| {
        let lines: String = (0..240).map(line).collect();
        fs::write(dir.join(name), format!("{header}\n{lines}")).unwrap();
    };
    let price = |row: u32| 100_000 + row * 7919 % 90_001;
    write("prices.csv", "label,district", &|row| {
        format!(
            "{},{}\n",
            price(row),
            ["harbour", "Königstrasse and hills"][(row % 2) as usize]
        )
    });
    write("guessed.csv", "prediction", &|row| {
        format!("{}\n", price(row) + row * 31 % 4001)
    });
    write("guessed-old.csv", "prediction", &|row| {
        format!("{}\n", price(row) + row * 31 % 9001)
    });
    let names = ["sports", "politics", "science and technology"];
    let held = |row: u32| {
        let all = names.iter().zip([2, 3, 5]);
        let held: Vec<&str> = all
            .filter(|(_, of)| row.is_multiple_of(*of))
            .map(|(name, _)| *name)
            .collect();
        held.join("|")
    };
    write("topics.csv", "id,label", &|row| {
        format!("{row},{}\n", held(row))
    });
    let header = names.map(|name| format!("probability_{name}")).join(",");
    let header = format!("id,{header}");
    write("tagged.csv", &header, &|row| {
        let off = f64::from(row * 37 % 50) / 100.0;
        let scores = [2, 3, 5].map(|of| {
            if row.is_multiple_of(of) {
                0.95 - off
            } else {
                0.1 + off
            }
        });
        format!("{row},{:.2},{:.2},{:.2}\n", scores[0], scores[1], scores[2])
    });
    let template = "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: Regression\n  dataset: {files: [prices.csv]}\n  metrics:\n  - {name: mae, upperBound: 3000}\n  - {name: rmse, maxDecrease: 100}\n  - {name: r2, lowerBound: 0.9}\n  slices: [{columns: [district]}]\n";
    fs::write(dir.join("prices.yaml"), template).unwrap();
    let template = "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: Multilabel\n  dataset: {files: [topics.csv]}\n  metrics:\n  - {name: f1, average: Micro, lowerBound: 0.99}\n  - {name: recall, class: science and technology, lowerBound: 0.5}\n";
    fs::write(dir.join("topics.yaml"), template).unwrap();
}

/// Writes a report in `dir` about the example in `example`; the verdict is that of `code`.
fn report(dir: &Path, name: &str, example: &str, line: &str, code: i32) -> PathBuf {
    let page = dir.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    command.current_dir(examples(example)).arg("evaluate");
    command.args(line.split_whitespace());
    let output = command.arg("--report").arg(&page).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {text}");
    page
}

/// Writes a report about two places, of which one serves another version.
fn report_about_places(dir: &Path) -> PathBuf {
    let table = |name: &str| read(&examples("digits").join(name), None).unwrap();
    let rows = rows(&Plan::default(), table("held-out.csv"), None).unwrap();
    let judged = [("aws", "answers/v3.csv"), ("gcp", "answers/v5.csv")].map(|(place, file)| {
        let answers = answers(&rows, table(file)).unwrap().answers;
        Judged::new(place, &rows, answers, None).unwrap()
    });
    let gate = Gate {
        metrics: vec![MetricGate {
            lower_bound: Some(0.9),
            ..MetricGate::new(MetricName::Accuracy)
        }],
        slices: vec![],
        confidence: Confidence::default(),
        inconclusive: WhenInconclusive::Hold,
    };
    let sources = Sources {
        parity: Parity::default(),
        ..Sources::default()
    };
    let evaluation = evaluate(&gate, "places", &rows, &judged, sources).unwrap();
    let file = dir.join("places.html");
    let text = page(&evaluation, &judged);
    assert!(text.contains("gcp beside aws"));
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn the_report_is_for_everybody_in_the_light_in_the_dark_on_paper_and_by_keyboard() {
    let dir = tempfile::tempdir().unwrap();
    let sliced = fs::read_to_string(examples("churn/eval.yaml")).unwrap();
    // A name without a place to break at: it may make no table wider than its page.
    let labels = "labels_of_customers_held_out_in_the_last_quarter.csv";
    fs::copy(examples("churn/labels.csv"), dir.path().join(labels)).unwrap();
    let sliced = sliced.replace("labels.csv", labels);
    let template = dir.path().join("sliced.yaml");
    fs::write(&template, sliced + "  slices: [{columns: [contract]}]\n").unwrap();
    let sliced = format!(
        "-f {} --predictions caller.csv --baseline accurate.csv",
        template.display()
    );
    let unclear = "--labels labels.csv --predictions accurate.csv --min accuracy=0.98";
    let passed = "-f eval.yaml --predictions answers/v5.csv --baseline answers/v3.csv";
    write_rows(dir.path());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let numbers = format!(
        "-f {} --predictions {} --baseline {}",
        at("prices.yaml"),
        at("guessed.csv"),
        at("guessed-old.csv")
    );
    let several = format!(
        "-f {} --predictions {}",
        at("topics.yaml"),
        at("tagged.csv")
    );
    let pages = [
        ("passed.html", "digits", passed.to_owned(), 0),
        ("sliced.html", "churn", sliced, 1),
        ("unclear.html", "churn", unclear.to_owned(), 7),
        ("numbers.html", "churn", numbers, 0),
        ("several.html", "churn", several, 1),
    ];
    let mut pages: Vec<PathBuf> = pages
        .iter()
        .map(|(name, example, line, code)| report(dir.path(), name, example, line, *code))
        .collect();
    pages.push(report_about_places(dir.path()));
    let seen = look(&pages);
    assert_eq!(seen.len(), pages.len());
    let serious: Vec<String> = seen.iter().flat_map(Seen::serious).collect();
    assert!(serious.is_empty(), "{}", serious.join("\n"));
    for seen in seen {
        let page = &seen.page;
        assert!(
            seen.title.ends_with("is this version good enough?"),
            "{page}: {}",
            seen.title
        );
        assert_eq!(seen.elsewhere, [""; 0], "{page} needs nothing else");
        assert_eq!(seen.sideways, [""; 0], "{page} fits a screen");
        assert_eq!(seen.complaints, [""; 0], "{page} has no error");
        assert!(seen.phone.is_enough(), "{page}: {:?}", seen.phone);
        in_wider_fonts(page, &seen.stretched);
        if page == "numbers" {
            // Numbers have no threshold.
            assert!(seen.keyboard.is_none(), "{page}");
        } else {
            by_keyboard(page, seen.keyboard.as_ref());
        }
        on_paper(page, &seen.print);
    }
}

fn in_wider_fonts(page: &str, stretched: &Stretched) {
    let Stretched {
        sideways,
        width,
        phone,
    } = stretched;
    assert_eq!(sideways, &[""; 0], "{page} fits a screen in wider fonts");
    assert!(width.is_enough(), "{page}: {width:?}");
    assert!(phone.is_enough(), "{page}, on a phone: {phone:?}");
}

fn by_keyboard(page: &str, keyboard: Option<&Keyboard>) {
    let keyboard = keyboard.unwrap_or_else(|| panic!("{page}: Tab reaches no slider"));
    let Keyboard {
        tabs,
        outline,
        before,
        after,
        chosen,
    } = keyboard;
    assert!((2..60).contains(tabs), "{page}: {tabs} times Tab");
    assert_eq!(outline, "solid", "{page} shows what has the focus");
    assert!(before.starts_with("From 0.5 on: "), "{page}: {before}");
    assert!(after.starts_with("From 0.55 on: "), "{page}: {after}");
    assert_eq!(after, chosen, "{page} marks the row that it tells");
}

fn on_paper(page: &str, print: &Paper) {
    assert!(print.bytes > 10_000, "{page} prints: {} bytes", print.bytes);
    assert_eq!(print.closed, 0, "{page}: what is folded is printed too");
    assert!(
        print.hidden,
        "{page}: what only a screen can do is left out"
    );
    assert_eq!(
        print.background, "rgb(255, 255, 255)",
        "{page}, however dark the screen"
    );
    for width in [&print.width, &print.stretched] {
        assert!(width.is_enough(), "{page} is cut off: {width:?}");
    }
}

#[test]
fn a_page_that_is_not_for_everybody_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("poor.html");
    let text = "<!DOCTYPE html><html lang=\"en\"><head><title>poor</title></head><body><main><h1>Poor</h1>\
         <p style=\"color: #ccc\">pale</p><img src=\"http://127.0.0.1:1/x.png\">\
         <div style=\"width: 3000px\">wide</div><details><summary>more</summary>folded</details>\
         </main><script>console.error('broken')</script></body></html>";
    fs::write(&page, text).unwrap();
    let seen = look(&[page]).remove(0);
    let serious = seen.serious().join("\n");
    for found in [
        "light: color-contrast at p",
        "dark: image-alt at img",
        "print: ",
    ] {
        assert!(serious.contains(found), "{found}: {serious}");
    }
    assert_eq!(seen.elsewhere, ["http://127.0.0.1:1/x.png"]);
    assert!(
        seen.complaints.contains(&"broken".to_owned()),
        "{:?}",
        seen.complaints
    );
    assert!(seen.keyboard.is_none());
    assert_eq!(seen.print.closed, 1);
    for width in [&seen.print.width, &seen.print.stretched, &seen.phone] {
        assert!(!width.is_enough(), "{width:?}");
    }
    let Stretched { width, phone, .. } = &seen.stretched;
    assert!(!width.is_enough() && !phone.is_enough());
}
