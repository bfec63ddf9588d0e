//! A server process that cannot outlive its test.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::StartError;
use crate::{clock, pause, say::Say, tools::last_lines};

/// How long a process may take to stop once it was told to.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// A started server. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `program` with its output in `directory`.
    pub(super) fn start(
        name: &'static str,
        directory: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        let log = directory.join(format!("{name}.log"));
        let prepare = |source| StartError::Prepare {
            path: log.clone(),
            source,
        };
        let output = fs::File::create(&log).map_err(prepare)?;
        let errors = output.try_clone().map_err(prepare)?;
        // The kernel ends the server when the thread that started it ends, which
        // holds even when the test process is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = spawn(command).map_err(|source| StartError::Spawn { name, source })?;
        Ok(Self { name, child, log })
    }

    /// Asks `ready` until it says yes, the server ends or `deadline` has passed.
    pub(super) async fn wait_ready<F>(
        &mut self,
        deadline: Duration,
        mut ready: F,
    ) -> Result<(), StartError>
    where
        F: AsyncFnMut() -> Result<(), String>,
    {
        let start = clock::now();
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                let log = self.last_lines();
                let name = self.name;
                return Err(StartError::Ended { name, log });
            }
            let last = match tokio::time::timeout(Duration::from_secs(2), ready()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(problem)) => problem,
                Err(_) => "no answer within 2 s".to_owned(),
            };
            if start.elapsed() > deadline {
                return Err(StartError::Silent {
                    name: self.name,
                    waited: deadline,
                    last,
                    log: self.last_lines(),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops (`true`) or continues the process: it stays there and does not answer.
    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        let id = i32::try_from(self.child.id()).unwrap_or_default();
        let pid = Pid::from_raw(id).ok_or(io::ErrorKind::NotFound)?;
        kill_process(pid, signal)?;
        if frozen {
            wait_until_stopped(id)
        } else {
            Ok(())
        }
    }

    fn last_lines(&self) -> String {
        last_lines(&fs::read_to_string(&self.log).unwrap_or_default(), 15)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A test that fails because of the server has no other place to say why.
            Say::stderr().line(format!("{} at the end:\n{}", self.name, self.last_lines()));
        }
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until_stopped(pid: i32) -> io::Result<()> {
    let start = clock::now();
    while !pause::is_stopped(pid)? {
        if start.elapsed() > STOPS_WITHIN {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Starts the command on a thread that lives as long as this process: the parent
/// whose death ends the child is a thread, and threads of tests come and go.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Nobody waits for the reply of a cancelled start.
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let gone = || io::Error::other("the spawning thread ended");
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(super) fn free_port() -> Result<u16, StartError> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).map_err(StartError::Port)?;
    let address = listener.local_addr().map_err(StartError::Port)?;
    Ok(address.port())
}

/// A loopback address whose port 80 was free a moment ago.
pub(super) fn address_with_free_port_80() -> Result<IpAddr, StartError> {
    let address = listen_on_port_80()?.local_addr();
    Ok(address.map_err(StartError::Port)?.ip())
}

/// Port 80 of a loopback address that nobody else has.
pub(super) fn listen_on_port_80() -> Result<TcpListener, StartError> {
    // Tests of one process that start servers at once must not look at the same address.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(7);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..200 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = start.wrapping_add(offset).to_be_bytes();
        let address = IpAddr::from([127, 9, high, low.clamp(1, 254)]);
        match TcpListener::bind((address, 80)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(StartError::Port(last))
}

/// An empty directory that goes with the value.
pub(super) fn temporary_directory(name: &str) -> Result<tempfile::TempDir, StartError> {
    let directory = tempfile::Builder::new()
        .prefix(&format!("mcdeploy-{name}-"))
        .tempdir();
    directory.map_err(|source| StartError::Prepare {
        path: std::env::temp_dir(),
        source,
    })
}

/// Writes a file into a directory and gives its path.
pub(super) fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf, StartError> {
    let path = directory.join(name);
    match fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(StartError::Prepare { path, source }),
    }
}
