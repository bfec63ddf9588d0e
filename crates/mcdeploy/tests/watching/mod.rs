//! What goes on while somebody looks: `status -w`, and two rollouts at once.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use crate::{World, interrupt, wait};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a child writes to stdout, line by line, as it comes.
fn lines(child: &mut Child) -> Receiver<String> {
    let (to, from) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _nobody_listens = to.send(line);
        }
    });
    from
}

/// Waits for a line with these words.
#[track_caller]
fn until(lines: &Receiver<String>, words: &str) {
    let mut seen = vec![];
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if line.contains(words) {
            return;
        }
        seen.push(line);
    }
    let found = seen.iter().any(|line| line.contains(words));
    assert!(found, "{words:?} is not in {seen:#?}");
}

/// `status -w` shows what is there, then each change, until it is interrupted.
pub(crate) fn status_is_watched(world: &World) {
    world
        .run(&["rollout", "--model", "v2", "--no-wait"])
        .check(0, "");
    let mut child = world.spawn(&["status", "-w"]);
    let said = lines(&mut child);
    until(&said, "digits-v2");
    world
        .run(&["rollout", "--model", "v3", "--no-wait"])
        .check(0, "");
    until(&said, "digits-v3");
    interrupt(&child);
    wait(child).check(130, "");
}

/// On a terminal the tree is drawn again and again, and its last rows stay.
pub(crate) async fn a_terminal_is_drawn_on_and_keeps_the_last_rows(world: &World) {
    let before = world.deployment().await.unwrap().metadata.generation;
    let generation = before.unwrap() + 1;
    let rollout = world.command(&["rollout", "--model", "v2", "--clouds", "aws"]);
    let words = std::iter::once(rollout.get_program()).chain(rollout.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    // A terminal of its own, whose screen is the output.
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &words.join(" "), "/dev/null"]);
    let environment = rollout
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    terminal.envs(environment);
    terminal.env("TERM", "xterm").env("NO_COLOR", "1");
    let piped = std::process::Stdio::piped;
    let directory = rollout.get_current_dir().unwrap();
    terminal
        .current_dir(directory)
        .stdin(piped())
        .stdout(piped());
    let child = terminal.spawn().expect("script is part of every Debian");
    world.generation(generation).await;
    for (complete, state) in [(false, "Running"), (true, "Done")] {
        let steps = [("aws", state)];
        world.play_operator(generation, complete, &steps).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let output = child.wait_with_output().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{screen}");
    let erased = screen.rfind("\u{1b}[2K").expect("it is drawn again");
    let (drawn, left) = screen.split_at(erased);
    assert!(drawn.contains("⟳ aws"), "{screen:?}");
    assert!(left.contains("✔ aws"), "{screen:?}");
}

/// Of two rollouts at the same moment one ends as superseded, and the spec is wholly
/// that of the other.
pub(crate) async fn two_rollouts_at_once_do_not_mix(world: &World) {
    let asked = [("v2", "aws"), ("v3", "gcp")];
    let mut children = asked
        .map(|(version, cloud)| world.spawn(&["rollout", "--model", version, "--clouds", cloud]));
    let start = tokio::time::Instant::now();
    let earlier = loop {
        let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
        if let Some(index) = children.iter_mut().position(ended) {
            break index;
        }
        assert!(start.elapsed() < PATIENCE, "neither gave way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let later = 1 - earlier;
    interrupt(&children[later]);
    let ends = children.map(wait);
    ends[earlier].check(6, "gave way to");
    ends[later].check(130, "goes on in the hub");
    let (version, cloud) = asked[later];
    let spec = serde_json::to_value(&world.deployment().await.unwrap().spec).unwrap();
    let reference = format!("digits-{version}");
    assert_eq!(
        spec["modelVersionRef"]["name"],
        reference.as_str(),
        "{spec}"
    );
    let scope = spec["scope"].to_string();
    let (_, other) = asked[earlier];
    assert!(scope.contains(cloud) && !scope.contains(other), "{spec}");
}
