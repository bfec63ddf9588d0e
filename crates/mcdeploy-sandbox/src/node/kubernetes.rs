//! etcd and the Kubernetes processes.

use serde_json::json;

use super::{Programs, pki_files, program, write};
use crate::{
    Cloud, SandboxError, cgroup,
    cloud::{API_PORT, SERVICE_RANGE},
    paths,
    process::Launch,
};

/// Names of the processes of every cluster.
pub(super) const NAMES: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "containerd",
    "controller-manager",
    "scheduler",
    "kubelet",
    "kube-proxy",
];

const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,\
    daemonset-controller,job-controller,cronjob-controller,endpoints-controller,\
    endpointslice-controller,serviceaccount-controller,\
    root-ca-certificate-publisher-controller,namespace-controller,\
    garbage-collector-controller,ttl-after-finished-controller,pod-garbage-collector-controller,\
    node-lifecycle-controller,taint-eviction-controller,disruption-controller,\
    clusterrole-aggregation-controller,resourcequota-controller";

/// etcd and the API server.
pub(super) fn control_plane_base(cloud: Cloud, programs: &Programs) -> [Launch; 2] {
    [etcd(cloud, programs), api_server(cloud, programs)]
}

/// What needs the API server.
pub(super) fn rest(cloud: Cloud, programs: &Programs) -> Result<[Launch; 4], SandboxError> {
    Ok([
        controller_manager(cloud, programs),
        scheduler(cloud, programs),
        kubelet(cloud, programs)?,
        proxy(cloud, programs)?,
    ])
}

fn etcd(cloud: Cloud, programs: &Programs) -> Launch {
    let data = paths::cloud(cloud).join("etcd");
    let arguments = [
        "etcd".into(),
        format!("--data-dir={}", data.display()),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
        "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
        "--initial-cluster=default=http://127.0.0.1:2380".into(),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ];
    program("etcd", &programs.kube, arguments)
}

fn api_server(cloud: Cloud, programs: &Programs) -> Launch {
    let file =
        |flag: &str, name: &str| format!("--{flag}={}", pki_files::path(cloud, name).display());
    let arguments = [
        "apiserver".into(),
        format!("--advertise-address={}", cloud.address()),
        format!("--secure-port={API_PORT}"),
        "--etcd-servers=http://127.0.0.1:2379".into(),
        file("client-ca-file", "ca.crt"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("token-auth-file", "tokens.csv"),
        file("kubelet-client-certificate", "kubelet-client.crt"),
        file("kubelet-client-key", "kubelet-client.key"),
        file("kubelet-certificate-authority", "ca.crt"),
        file("service-account-signing-key-file", "tokens.key"),
        file("service-account-key-file", "tokens.pub"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
        "--v=0".into(),
    ];
    program("kube-apiserver", &programs.kube, arguments)
}

fn controller_manager(cloud: Cloud, programs: &Programs) -> Launch {
    let config = pki_files::path(cloud, "controller-manager.kubeconfig");
    let arguments = [
        "controller-manager".into(),
        format!("--kubeconfig={}", config.display()),
        format!(
            "--service-account-private-key-file={}",
            pki_files::path(cloud, "tokens.key").display()
        ),
        format!(
            "--root-ca-file={}",
            pki_files::path(cloud, "ca.crt").display()
        ),
        format!("--controllers={CONTROLLERS}"),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--profiling=false".into(),
        // The default is to believe a silent node for 50 s.
        "--node-monitor-grace-period=20s".into(),
        "--node-monitor-period=2s".into(),
    ];
    program("controller-manager", &programs.kube, arguments)
}

fn scheduler(cloud: Cloud, programs: &Programs) -> Launch {
    let config = pki_files::path(cloud, "scheduler.kubeconfig");
    let arguments = [
        "scheduler".into(),
        format!("--kubeconfig={}", config.display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--profiling=false".into(),
    ];
    program("scheduler", &programs.kube, arguments)
}

fn kubelet(cloud: Cloud, programs: &Programs) -> Result<Launch, SandboxError> {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki_files::path(cloud, "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki_files::path(cloud, "kubelet.crt"),
        "tlsPrivateKeyFile": pki_files::path(cloud, "kubelet.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup::pods(cloud),
        // The kubelet puts pods below `cgroupRoot` only if it keeps groups for QoS.
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "clusterDNS": ["10.205.0.10"],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "makeIPTablesUtilChains": false,
        "serializeImagePulls": false,
        "localStorageCapacityIsolation": false,
        "volumeStatsAggPeriod": "-1m0s",
        // The machine's disk belongs to others too: nothing is evicted for it.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "nodeLeaseDurationSeconds": 20,
        "nodeStatusUpdateFrequency": "5s",
        "volumePluginDir": paths::cloud(cloud).join("volume-plugins"),
        "maxPods": 100,
    });
    let config = write(cloud, "kubelet.json", &config.to_string())?;
    let labels = format!(
        "topology.kubernetes.io/region={region},topology.kubernetes.io/zone={region}-a",
        region = cloud.region()
    );
    let arguments = [
        "kubelet".into(),
        format!("--config={}", config.display()),
        format!(
            "--kubeconfig={}",
            pki_files::path(cloud, "kubelet.kubeconfig").display()
        ),
        format!("--hostname-override={cloud}"),
        format!("--node-ip={}", cloud.address()),
        format!("--node-labels={labels}"),
    ];
    Ok(program("kubelet", &programs.kube, arguments))
}

fn proxy(cloud: Cloud, programs: &Programs) -> Result<Launch, SandboxError> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": cloud.name(),
        "clusterCIDR": cloud.pod_range(),
        "clientConnection": {
            "kubeconfig": pki_files::path(cloud, "proxy.kubeconfig"),
        },
        // Zero: leave the machine's limits alone.
        "conntrack": {"maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    });
    let config = write(cloud, "kube-proxy.json", &config.to_string())?;
    let arguments = ["proxy".into(), format!("--config={}", config.display())];
    Ok(program("kube-proxy", &programs.kube, arguments))
}
