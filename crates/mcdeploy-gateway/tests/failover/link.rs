//! A TCP link that a test can break.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How a link fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all.
    Pass,
    /// Nothing listens; open connections are closed.
    Refuse,
    /// Connections are taken, and nothing moves, also on open ones: a frozen process.
    Freeze,
    /// No connection comes about, and nothing moves on open ones: a lost cloud.
    BlackHole,
}

/// A listening address in front of another.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// A link to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Pass);
        let task = tokio::spawn(run(listener, target, mode.clone()));
        Self {
            address,
            mode,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn run(listener: TcpListener, target: SocketAddr, modes: watch::Sender<Mode>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut mode = modes.subscribe();
    let connections = TaskTracker::new();
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Pass | Mode::Freeze => {
                let open = match listener.take() {
                    Some(open) => open,
                    None => TcpListener::bind(address).await.unwrap(),
                };
                loop {
                    tokio::select! {
                        stream = open.accept() => {
                            let (stream, _) = stream.unwrap();
                            connections.spawn(carry(stream, target, modes.subscribe()));
                        }
                        _ = mode.changed() => break,
                    }
                }
                listener = Some(open);
            }
            Mode::Refuse => {
                listener = None;
                mode.changed().await.unwrap();
            }
            Mode::BlackHole => {
                listener = None;
                let (_full, _fill) = deaf(address).await;
                mode.changed().await.unwrap();
            }
        }
    }
}

/// A listener whose queue is full: the kernel drops every further SYN.
async fn deaf(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        fill.push(stream.unwrap());
    }
    (listener, fill)
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Refuse => return,
            Mode::Freeze | Mode::BlackHole => {
                if mode.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Pass => {}
        }
        let Ok(mut server) = TcpStream::connect(target).await else {
            return;
        };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = mode.changed() => {}
        }
        if *mode.borrow() != Mode::Refuse {
            // Stalled, not closed: both ends stay open until the mode changes again.
            let _ = mode.changed().await;
        }
        return;
    }
}
