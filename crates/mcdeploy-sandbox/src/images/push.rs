//! An OCI layout on disk to a registry, by the distribution protocol.

use std::{path::Path, time::Duration};

use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use super::{IMAGE_TAG, Image};
use crate::{Cloud, SandboxError, host};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Deserialize)]
struct Manifest {
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
}

/// Pushes one image to the registry of a cloud; what is there is not sent again.
pub(super) async fn push(image: &Image, cloud: Cloud) -> Result<(), SandboxError> {
    let registry = cloud.registry_url();
    let pushed = push_to(image, &registry).await;
    pushed.map_err(|problem| SandboxError::Push { registry, problem })
}

async fn push_to(image: &Image, registry: &str) -> Result<(), String> {
    let client = Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_mins(2))
        .build()
        .map_err(|error| host::chain(&error))?;
    let base = format!("{registry}/v2/{}", image.name);
    let text = tokio::fs::read(blob(&image.layout, &image.digest)).await;
    let text = text.map_err(|error| host::chain(&error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| host::chain(&error))?;
    for part in manifest.layers.iter().chain([&manifest.config]) {
        push_blob(&client, &base, registry, &image.layout, &part.digest).await?;
    }
    let put = client
        .put(format!("{base}/manifests/{IMAGE_TAG}"))
        .header("content-type", MANIFEST)
        .body(text);
    expect(put.send().await, StatusCode::CREATED).await?;
    Ok(())
}

async fn push_blob(
    client: &Client,
    base: &str,
    registry: &str,
    layout: &Path,
    digest: &str,
) -> Result<(), String> {
    let there = client.head(format!("{base}/blobs/{digest}")).send().await;
    if there.is_ok_and(|answer| answer.status() == StatusCode::OK) {
        return Ok(());
    }
    let begun = client
        .post(format!("{base}/blobs/uploads/"))
        .header("content-length", "0");
    let begun = expect(begun.send().await, StatusCode::ACCEPTED).await?;
    let location = begun.headers().get("location");
    let location = location.and_then(|value| value.to_str().ok());
    let location = location.ok_or("the answer to an upload has no location")?;
    let location = if location.starts_with('/') {
        format!("{registry}{location}")
    } else {
        location.to_owned()
    };
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = blob(layout, digest);
    let file = tokio::fs::File::open(&path).await;
    let file = file.map_err(|error| format!("open {}: {error}", path.display()))?;
    let length = file
        .metadata()
        .await
        .map_err(|error| host::chain(&error))?
        .len();
    let put = client
        .put(format!("{location}{separator}digest={digest}"))
        .header("content-type", "application/octet-stream")
        .header("content-length", length)
        .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(
            file,
            1 << 18,
        )));
    expect(put.send().await, StatusCode::CREATED).await?;
    Ok(())
}

fn blob(layout: &Path, digest: &str) -> std::path::PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

async fn expect(
    answer: Result<Response, reqwest::Error>,
    status: StatusCode,
) -> Result<Response, String> {
    let answer = answer.map_err(|error| host::chain(&error))?;
    if answer.status() == status {
        return Ok(answer);
    }
    let url = answer.url().path().to_owned();
    let got = answer.status();
    let body = answer.text().await.unwrap_or_default();
    Err(format!("{url}: {got}: {}", body.trim()))
}
