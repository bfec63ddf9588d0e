//! Command lines of the object-store servers, for tests and for the sandbox.

use std::{net::IpAddr, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Name of the account that azurite serves.
pub(crate) const AZURE_ACCOUNT: &str = "mcdeploy";

/// The S3 server on the directory `data`; `sidecar` takes what is no object's bytes.
/// Credentials are in the environment: `ROOT_ACCESS_KEY`, `ROOT_SECRET_KEY`.
pub(crate) fn versitygw(listen: &str, region: &str, data: &Path, sidecar: &Path) -> Vec<String> {
    vec![
        format!("--port={listen}"),
        format!("--region={region}"),
        "--quiet".into(),
        "--keep-alive".into(),
        "posix".into(),
        format!("--sidecar={}", sidecar.display()),
        data.display().to_string(),
    ]
}

/// The Google Cloud Storage server on port 80 of `address`.
pub(crate) fn fake_gcs(address: IpAddr, location: &str, data: &Path) -> Vec<String> {
    vec![
        "-scheme=http".into(),
        format!("-host={address}"),
        "-port=80".into(),
        "-backend=filesystem".into(),
        format!("-filesystem-root={}", data.display()),
        format!("-external-url=http://{address}"),
        format!("-public-host={address}"),
        format!("-location={location}"),
        "-log-level=warn".into(),
    ]
}

/// The Azure Blob server: arguments of `node`.
pub(crate) fn azurite(script: &Path, address: &str, port: u16, data: &Path) -> Vec<String> {
    vec![
        "--max-old-space-size=96".into(),
        script.display().to_string(),
        "--skipApiVersionCheck".into(),
        "--disableTelemetry".into(),
        "--silent".into(),
        "--blobHost".into(),
        address.to_owned(),
        "--blobPort".into(),
        port.to_string(),
        "--location".into(),
        data.display().to_string(),
    ]
}

/// Value of `AZURITE_ACCOUNTS`, which names the account and its key.
pub(crate) fn azurite_accounts(key: &[u8]) -> String {
    format!("{AZURE_ACCOUNT}:{}", STANDARD.encode(key))
}

/// PUTs nothing to a URL: makes a container.
pub(crate) async fn put_empty(url: &str) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| error.to_string())?;
    // The URL holds a signature: it must not get into an error.
    let answer = client.put(url).header("content-length", "0").send().await;
    let answer = answer.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() || status.as_u16() == 409 {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(format!("{status}: {body}"))
}
