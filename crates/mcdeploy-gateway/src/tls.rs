//! TLS for clients: a certificate from a directory, as a mounted Secret of type
//! `kubernetes.io/tls` is one, and again whenever that changes.
//!
//! Connections that are open keep what they began with. A pair that cannot be used is told and
//! not taken; the one before it goes on.

use std::{
    io::{self, ErrorKind},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

use crate::state::State;

/// Names of the two files, as Kubernetes has them.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Between looks where changes cannot be watched, and after a change: kubelets swap both files
/// at once, others may write one after the other.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
const SETTLE: Duration = Duration::from_millis(100);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {what} in PEM form", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key are not a pair, or of a kind that is not known.
    #[error("use {} with its key", .path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The certificate that new connections get.
#[derive(Debug)]
pub(crate) struct Certificate {
    dir: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the pair in `dir`.
    pub(crate) fn read(dir: PathBuf) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = RwLock::new(Arc::new(load(&dir, &provider)?));
        Ok(Arc::new(Self {
            dir,
            provider,
            current,
        }))
    }

    /// How connections begin.
    pub(crate) fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the pair again whenever the directory changes. Does not end.
    pub(crate) async fn follow(self: Arc<Self>, state: Arc<State>) {
        let changes = Changes::of(&self.dir);
        if let Err(error) = &changes {
            let error: &dyn std::error::Error = error;
            tracing::warn!(
                error,
                "the certificate is looked at once a minute, not watched"
            );
        }
        loop {
            match &changes {
                Ok(changes) => changes.next().await,
                Err(_) => sleep(LOOK_AGAIN).await,
            }
            self.reload(&state);
        }
    }

    fn reload(&self, state: &State) {
        match load(&self.dir, &self.provider) {
            Ok(new) => {
                let mut current = self.write();
                if current.cert != new.cert {
                    *current = Arc::new(new);
                    tracing::info!(directory = %self.dir.display(), "new certificate");
                }
            }
            Err(error) => {
                state.metrics.certificate_failures.inc();
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the new certificate is not used, the old one is");
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Arc<CertifiedKey>> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        Some(current.unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn load(dir: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let read = |name: &str| {
        let path = dir.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(source) => Err(CertificateError::Read { path, source }),
        }
    };
    let (path, text) = read(CERTIFICATE)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        let what = "certificate";
        return Err(CertificateError::Pem { path, what });
    }
    let (key_path, text) = read(KEY)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| CertificateError::Pem {
        path: key_path,
        what: "private key",
    })?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|source| CertificateError::Pair { path, source })
}

/// Tells when something in a directory is another.
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    fn of(dir: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // A kubelet renames a link; others write in place.
        let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&fd, dir, what | WatchFlags::ONLYDIR)?;
        #[expect(
            deprecated,
            reason = "sound here, since an OwnedFd stays one descriptor; what replaces it is unsafe"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self(fd))
    }

    async fn next(&self) {
        let Ok(mut ready) = self.0.readable().await else {
            return sleep(LOOK_AGAIN).await;
        };
        sleep(SETTLE).await;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(ready.get_inner(), &mut buffer);
        // What each event says does not matter: both files are read anew.
        while events.next().is_ok() {}
        if events
            .next()
            .is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
        {
            ready.clear_ready();
        }
    }
}
