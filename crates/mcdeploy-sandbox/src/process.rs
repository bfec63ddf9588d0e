//! Processes that go on when the command that started them ends.
//!
//! A process writes its own id and start time to a file just before it becomes the
//! program, so that a crash of the command in between loses nothing.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{SandboxError, host};

/// What to run.
pub(crate) struct Launch {
    /// Name of its files: `NAME.pid` and `NAME.log`.
    pub(crate) name: &'static str,
    /// Path, or a name on the PATH.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Where a process lives.
pub(crate) struct Home<'a> {
    /// Directory of its files.
    pub(crate) run: PathBuf,
    /// Control group that it joins.
    pub(crate) cgroup: PathBuf,
    /// Namespaces that it joins.
    pub(crate) namespaces: Option<&'a Namespaces>,
}

/// A network and a mount namespace, held open by a process.
#[derive(Clone, Debug)]
pub(crate) struct Namespaces {
    pub(crate) holder: Recorded,
    /// The network as its holder named it, such as `net:[4026532299]`.
    pub(crate) network: String,
}

/// A process that was started: its id and when, in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) pid: i32,
    started: u64,
}

// $1 pid file, $2 control group, then the command. What the caller held open goes first: a
// pipe that stays open keeps whoever reads its other end waiting as long as the sandbox runs.
const BECOME: &str = r#"
for fd in /proc/self/fd/*; do
  fd=${fd##*/}
  if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
done
echo $$ > "$2/cgroup.procs" || exit 70
read -r stat < /proc/$$/stat
stat=${stat##*) }
set -- "$1" $stat -- "$@"
echo "$$ ${21}" > "$1.new" && mv "$1.new" "$1" || exit 71
while [ "$1" != -- ]; do shift; done
shift 3
exec "$@"
"#;

/// Starts a program unless it runs already.
pub(crate) fn ensure(program: &Launch, home: &Home<'_>) -> Result<(), SandboxError> {
    if recorded(&home.run, program.name)?.is_some() {
        return Ok(());
    }
    start(program, home)
}

fn start(program: &Launch, home: &Home<'_>) -> Result<(), SandboxError> {
    host::make_directory(&home.run)?;
    let log = log_file(&home.run, program.name);
    let output = fs::File::options().create(true).append(true).open(&log);
    let output = output.map_err(SandboxError::file("open", &log))?;
    let errors = output
        .try_clone()
        .map_err(SandboxError::file("open", &log))?;
    let mut words: Vec<OsString> = vec![
        // Of Debian's shells the one that can name descriptors past 9.
        "bash".into(),
        "-c".into(),
        BECOME.into(),
        "bash".into(),
        pid_file(&home.run, program.name).into(),
        home.cgroup.clone().into(),
    ];
    if let Some(namespaces) = home.namespaces {
        words.extend(enter(namespaces));
    }
    words.push(program.program.clone().into());
    words.extend(program.arguments.iter().map(OsString::from));
    let mut command = Command::new("setsid");
    command
        .args(words)
        .envs(program.environment.iter().map(|(key, value)| (key, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let child = command.spawn().map_err(|source| SandboxError::Run {
        command: program.name.to_owned(),
        source,
    })?;
    reap_later(child);
    Ok(())
}

/// Collects the child's status when it ends, so that no dead process stays in the
/// table as long as this one lives.
fn reap_later(mut child: std::process::Child) {
    std::thread::spawn(move || {
        // Nothing depends on how it ended.
        let _ = child.wait();
    });
}

// $0 network, then the command.
const STAY_OUT_OF_OTHERS: &str = r#"
if [ "$(readlink /proc/self/ns/net)" != "$0" ]; then
  echo "the namespaces of this cloud are gone; \`mcdeploy sandbox up\` makes them again" >&2
  exit 72
fi
exec "$@"
"#;

/// Words that run a command in namespaces. Once inside it looks where it is: the holder may
/// have ended and its id be another process's, in the machine's own namespaces.
pub(crate) fn enter(Namespaces { holder, network }: &Namespaces) -> Vec<OsString> {
    let proc = format!("/proc/{}/ns", holder.pid);
    vec![
        "nsenter".into(),
        format!("--net={proc}/net").into(),
        format!("--mount={proc}/mnt").into(),
        "--".into(),
        "bash".into(),
        "-c".into(),
        STAY_OUT_OF_OTHERS.into(),
        network.into(),
    ]
}

/// The process of this name, if it lives.
pub(crate) fn recorded(run: &Path, name: &str) -> Result<Option<Recorded>, SandboxError> {
    let Some(text) = host::read(&pid_file(run, name))? else {
        return Ok(None);
    };
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok());
    let started = words.next().and_then(|word| word.parse().ok());
    let (Some(pid), Some(started)) = (pid, started) else {
        return Ok(None);
    };
    let found = Recorded { pid, started };
    Ok(found.is_alive().then_some(found))
}

/// Log of a process.
pub(crate) fn log_file(run: &Path, name: &str) -> PathBuf {
    run.join(format!("{name}.log"))
}

fn pid_file(run: &Path, name: &str) -> PathBuf {
    run.join(format!("{name}.pid"))
}

impl Recorded {
    /// Whether this very process lives: not another with its id, not a dead one that
    /// nobody waited for.
    pub(crate) fn is_alive(&self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return false;
        };
        let Some((_, fields)) = stat.rsplit_once(") ") else {
            return false;
        };
        let fields: Vec<_> = fields.split_whitespace().collect();
        let dead = matches!(fields.first(), Some(&("Z" | "X")));
        let started = fields.get(19).and_then(|field| field.parse::<u64>().ok());
        !dead && started == Some(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_out_of_namespaces_that_are_not_the_clouds() {
        // As where the holder ended and its id is this machine's first process's.
        let holder = Recorded { pid: 1, started: 0 };
        let network = "net:[1]".to_owned();
        let words = enter(&Namespaces { holder, network });
        let run = |network: &OsString| {
            let mut command = Command::new("bash");
            command.args(["-c", STAY_OUT_OF_OTHERS]).arg(network);
            let output = command.args(["echo", "inside"]).output().unwrap();
            (output.status.code(), output.stdout)
        };
        assert_eq!(run(&words[7]), (Some(72), vec![]));
        let here = fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(run(&here.into()), (Some(0), b"inside\n".to_vec()));
    }
}
