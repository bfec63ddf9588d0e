//! Which proxy a cluster is reached through, by the rules that kubectl follows, and a
//! client that goes through it.
//!
//! The proxy only carries the bytes (`CONNECT`): TLS is between this program and the API
//! server. An address may hold a password, so it is never shown; [`proxy_name`] is.

use http::Uri;
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::ConfigExt as _,
    config::{Kubeconfig, NamedCluster},
};
use tower::{BoxError, ServiceBuilder};

/// Stands where a kubeconfig names no proxy, so that the library does not look into the
/// environment: it compares `NO_PROXY` with the proxy, and refuses lists that curl takes.
const NONE_OF_ITS_OWN: &str = "http://none.invalid";

/// Why a proxy is not used. Never shows its address, for that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not an address at all.
    #[error("{named_by} is no address of a proxy: expected http://HOST:PORT")]
    NoAddress {
        /// The variable or field that names it.
        named_by: &'static str,
    },
    /// A kind of proxy that is not spoken to.
    #[error(
        "{named_by} names a proxy that is reached by {scheme}://: only http:// ones are used; name one, or let NO_PROXY cover the cluster"
    )]
    Scheme {
        /// The variable or field that names it.
        named_by: &'static str,
        /// Its scheme.
        scheme: String,
    },
}

/// What the environment says. Not `Debug`: an address may hold a password.
#[derive(Clone, Default)]
struct Environment {
    https_proxy: Option<(&'static str, String)>,
    no_proxy: String,
}

impl Environment {
    fn read() -> Self {
        let first = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| Some((name, variable(name)?)))
        };
        Self {
            https_proxy: first(["HTTPS_PROXY", "https_proxy"]),
            no_proxy: first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, list)| list),
        }
    }

    /// The proxy for a server; kubectl asks none for this machine's own addresses.
    fn proxy(&self, server: &Uri) -> Result<Option<Uri>, ProxyError> {
        let Some((named_by, address)) = &self.https_proxy else {
            return Ok(None);
        };
        if is_own(server) || is_covered(&self.no_proxy, server) {
            return Ok(None);
        }
        parse(named_by, address).map(Some)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what every client on a machine is told is read here"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Keeps the library from choosing a proxy for any cluster of this kubeconfig.
pub(crate) fn keep_from_choosing(kubeconfig: &mut Kubeconfig) {
    let clusters = kubeconfig.clusters.iter_mut();
    for cluster in clusters.filter_map(|named: &mut NamedCluster| named.cluster.as_mut()) {
        let own = cluster.proxy_url.take().filter(|own| !own.is_empty());
        cluster.proxy_url = Some(own.unwrap_or_else(|| NONE_OF_ITS_OWN.to_owned()));
    }
}

/// Decides which proxy a configuration made of such a kubeconfig goes through: its own, or
/// that of `HTTPS_PROXY` unless `NO_PROXY` covers the server.
pub(crate) fn choose(config: &mut Config) -> Result<(), ProxyError> {
    let own = config.proxy_url.take();
    let own = own.filter(|own| own.host() != Some("none.invalid"));
    config.proxy_url = match own {
        Some(own) => Some(parse("proxy-url", &own.to_string())?),
        None => Environment::read().proxy(&config.cluster_url)?,
    };
    Ok(())
}

/// `host:port` of the proxy that a configuration goes through.
pub fn proxy_name(config: &Config) -> Option<String> {
    let authority = config.proxy_url.as_ref()?.authority()?;
    let name = authority.as_str().rsplit('@').next()?;
    Some(name.to_owned())
}

/// A client of the library, through the proxy that the configuration names, if any.
///
/// # Errors
/// Keys, certificates or programs of the configuration that cannot be used.
pub fn kube_client(mut config: Config) -> Result<Client, kube::Error> {
    let Some(proxy) = config.proxy_url.take() else {
        return Client::try_from(config);
    };
    let rules = Matcher::builder().all(proxy.to_string()).build();
    let Some(via) = rules.intercept(&config.cluster_url) else {
        return Client::try_from(config);
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let mut tunnel = Tunnel::new(via.uri().clone(), tcp);
    if let Some(authorization) = via.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let tls = config.rustls_https_connector_with_connector(tunnel)?;
    let mut timed = hyper_timeout::TimeoutConnector::new(tls);
    timed.set_connect_timeout(config.connect_timeout);
    timed.set_read_timeout(config.read_timeout);
    timed.set_write_timeout(config.write_timeout);
    timed.set_reset_reader_on_write(config.reset_reader_on_write);
    let wire = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(timed);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(wire);
    Ok(Client::new(service, config.default_namespace))
}

/// A proxy's address; without a scheme it is one of HTTP, as everywhere.
fn parse(named_by: &'static str, address: &str) -> Result<Uri, ProxyError> {
    let full = match address.split_once("://") {
        Some(_) => address.to_owned(),
        None => format!("http://{address}"),
    };
    let parsed = full.trim().parse::<Uri>().ok();
    let uri = parsed.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let uri = uri.ok_or(ProxyError::NoAddress { named_by })?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        scheme => Err(ProxyError::Scheme {
            named_by,
            scheme: scheme.unwrap_or_default().to_owned(),
        }),
    }
}

fn is_own(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a list such as `NO_PROXY` covers a server: `*`, addresses, networks, names and
/// all below them, each also with a port.
fn is_covered(list: &str, server: &Uri) -> bool {
    let port = server.port_u16().unwrap_or(443);
    let entries = list
        .split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty());
    let entries = entries.filter_map(|entry| {
        let entry = match entry.rsplit_once(':') {
            // More colons are those of an IPv6 address, unless brackets are around it.
            Some((host, digits)) if !host.contains(':') || host.ends_with(']') => {
                (digits.parse() == Ok(port)).then_some(host)?
            }
            _ => entry,
        };
        let entry = entry.trim_matches(['[', ']']);
        Some(
            entry
                .strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(entry),
        )
    });
    let list = entries.collect::<Vec<_>>().join(",");
    let rules = Matcher::builder()
        .all("http://none.invalid")
        .no(list)
        .build();
    rules.intercept(server).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_covers_what_it_covers_for_curl_and_go() {
        let table = [
            ("*", "https://hub.example.com", true),
            ("hub.example.com", "https://hub.example.com", true),
            ("example.com", "https://hub.example.com", true),
            (".example.com", "https://hub.example.com", true),
            ("*.example.com", "https://hub.example.com", true),
            ("EXAMPLE.com", "https://hub.example.com", true),
            ("ample.com", "https://hub.example.com", false),
            ("hub.example.com:6443", "https://hub.example.com:6443", true),
            ("hub.example.com:443", "https://hub.example.com:6443", false),
            ("hub.example.com:443", "https://hub.example.com", true),
            // Lists as people have them.
            (
                "a.test, , hub.example.com,",
                "https://hub.example.com",
                true,
            ),
            ("a.test hub.example.com", "https://hub.example.com", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.1.2.3", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("10.0.0.0/16", "https://10.1.2.3", false),
            ("fd00::/8", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("", "https://hub.example.com", false),
        ];
        for (list, server, covered) in table {
            let server: Uri = server.parse().unwrap();
            assert_eq!(is_covered(list, &server), covered, "{list:?} {server}");
        }
    }

    #[test]
    fn a_proxy_of_the_environment_is_for_servers_elsewhere() {
        let environment = Environment {
            https_proxy: Some(("HTTPS_PROXY", "proxy.test:3128".to_owned())),
            no_proxy: "10.0.0.0/8".to_owned(),
        };
        let proxy = |server: &str| environment.proxy(&server.parse().unwrap()).unwrap();
        let found = proxy("https://hub.example.com").unwrap();
        assert_eq!(found.to_string(), "http://proxy.test:3128/");
        for own in [
            "https://10.0.0.1",
            "https://localhost:6443",
            "https://127.0.0.1:6443",
            "https://[::1]:6443",
        ] {
            assert_eq!(proxy(own), None, "{own}");
        }
        let none = Environment::default();
        let server = "https://hub.example.com".parse().unwrap();
        assert_eq!(none.proxy(&server), Ok(None));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for (address, says) in [
            ("socks5://me:hunter2@proxy.test", "socks5://"),
            ("https://me:hunter2@proxy.test", "https://"),
            ("http://me:hun ter2@proxy.test", "no address"),
            ("http://", "no address"),
        ] {
            let error = parse("HTTPS_PROXY", address).unwrap_err().to_string();
            assert!(
                error.contains("HTTPS_PROXY") && error.contains(says),
                "{error}"
            );
            assert!(!error.contains("ter2"), "{error}");
        }
    }
}
