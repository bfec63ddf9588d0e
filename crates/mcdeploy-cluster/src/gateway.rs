//! Where a member's gateway answers, and what stands behind a Service.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use mcdeploy_api::names;

use crate::{ClusterClient, ClusterError};

/// Selects the gateway's pods in the system namespace.
pub const GATEWAY_SELECTOR: &str =
    "app.kubernetes.io/name=mcdeploy,app.kubernetes.io/component=gateway";

/// One gateway pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPod {
    /// Its name: the key of its row in `RoutingSnapshot.status.applied`.
    pub name: String,
    /// Whether Kubernetes sends it requests.
    pub ready: bool,
}

impl ClusterClient {
    /// `host:port` of the gateway's `LoadBalancer` Service; `None` while there is no
    /// Service or it has no address yet.
    ///
    /// # Errors
    /// As [`ClusterClient::get`].
    pub async fn gateway_address(&self) -> Result<Option<String>, ClusterError> {
        let service: Option<Service> = self
            .get(Some(names::SYSTEM_NAMESPACE), names::GATEWAY_SERVICE)
            .await?;
        Ok(service.as_ref().and_then(service_address))
    }

    /// The gateway's pods, sorted by name, without those that are being deleted or have
    /// ended.
    ///
    /// # Errors
    /// As [`ClusterClient::list`].
    pub async fn gateway_pods(&self) -> Result<Vec<GatewayPod>, ClusterError> {
        let pods: Vec<Pod> = self
            .list(Some(names::SYSTEM_NAMESPACE), GATEWAY_SELECTOR)
            .await?;
        let mut found: Vec<GatewayPod> = pods.iter().filter_map(living).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Addresses behind a Service that take requests now, sorted.
    ///
    /// # Errors
    /// As [`ClusterClient::list`].
    pub async fn ready_endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<SocketAddr>, ClusterError> {
        let selector = format!("kubernetes.io/service-name={service}");
        let slices: Vec<EndpointSlice> = self.list(Some(namespace), &selector).await?;
        Ok(ready_addresses(&slices))
    }
}

fn living(pod: &Pod) -> Option<GatewayPod> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() || matches!(phase, "Failed" | "Succeeded") {
        return None;
    }
    let conditions = status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    Some(GatewayPod {
        name: pod.metadata.name.clone()?,
        ready: conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True"),
    })
}

/// `host:port` of a `LoadBalancer` Service's first port; `None` while it has no address.
pub fn service_address(service: &Service) -> Option<String> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?;
    let first = ingress.first()?;
    let ip = first.ip.as_deref().filter(|ip| !ip.is_empty());
    let host = ip
        .or(first.hostname.as_deref())
        .filter(|host| !host.is_empty())?;
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Some(format!("[{address}]:{port}")),
        Ok(IpAddr::V4(_)) | Err(_) => Some(format!("{host}:{port}")),
    }
}

/// Addresses of `EndpointSlices` that are ready and not terminating, sorted, each once.
pub fn ready_addresses(slices: &[EndpointSlice]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in slices {
        let ports = slice.ports.as_deref().unwrap_or_default();
        let port = ports
            .iter()
            .find_map(|p| p.port)
            .and_then(|p| u16::try_from(p).ok());
        let Some(port) = port else {
            continue;
        };
        for endpoint in slice.endpoints.as_deref().unwrap_or_default() {
            let conditions = endpoint.conditions.as_ref();
            // Absent means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions (2026-11-23)
            let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
            let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
            if !ready || terminating {
                continue;
            }
            let parsed = endpoint
                .addresses
                .iter()
                .filter_map(|a| a.parse::<IpAddr>().ok());
            found.extend(parsed.map(|ip| SocketAddr::new(ip, port)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "JSON literals read best by value"
)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ingress: serde_json::Value) -> Service {
        serde_json::from_value(json!({
            "spec": { "ports": [{ "port": 80 }] },
            "status": { "loadBalancer": { "ingress": ingress } },
        }))
        .unwrap()
    }

    #[test]
    fn an_address_is_a_host_and_the_services_port() {
        let table = [
            (json!([{ "ip": "10.0.0.1" }]), Some("10.0.0.1:80")),
            (
                json!([{ "hostname": "lb.example.com" }]),
                Some("lb.example.com:80"),
            ),
            (json!([{ "ip": "fd00::1" }]), Some("[fd00::1]:80")),
            (json!([{ "ip": "" }]), None),
            (json!([]), None),
        ];
        for (ingress, expected) in table {
            assert_eq!(service_address(&service(ingress)).as_deref(), expected);
        }
    }

    #[test]
    fn only_ready_endpoints_that_stay_are_counted() {
        let slice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "ports": [{ "port": 8080 }],
            "endpoints": [
                { "addresses": ["10.1.0.3"], "conditions": { "ready": true } },
                { "addresses": ["10.1.0.2"] },
                { "addresses": ["10.1.0.4"], "conditions": { "ready": false } },
                { "addresses": ["10.1.0.5"],
                  "conditions": { "ready": true, "terminating": true } },
                { "addresses": ["10.1.0.3"], "conditions": { "ready": true } },
            ],
        }))
        .unwrap();
        let found: Vec<String> = ready_addresses(&[slice])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.1.0.2:8080", "10.1.0.3:8080"]);
    }
}
