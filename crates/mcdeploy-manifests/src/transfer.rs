//! The Job that copies one version from one store to others.

use std::borrow::Borrow;

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use mcdeploy_api::{TransferPlan, names};

use crate::{
    job::{CopyJob, job_name},
    pod::{Ambient, labels, metadata, plan_secret},
};

/// Key of the transfer plan in its Secret.
const TRANSFER_KEY: &str = "transfer.json";

/// What one transfer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferInput {
    /// The system namespace: tenants must not see the target's credentials.
    pub namespace: String,
    /// Name of both objects: [`transfer_name`].
    pub name: String,
    /// What moves from where to where.
    pub plan: TransferPlan,
    /// Image of `mcdeployd`, by digest.
    pub daemon_image: String,
}

/// The objects of one transfer. Apply the Secret first; delete both when the Job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferObjects {
    /// The plan, with the credentials of all its stores.
    pub secret: Secret,
    /// What carries it out.
    pub job: Job,
}

/// Name of the objects of one transfer to these stores, which are sorted; at most 63
/// characters. Different transfers have different names.
pub fn transfer_name(model: &str, version: &str, targets: &[impl Borrow<str>]) -> String {
    let identity = format!("{model}\n{version}\n{}", targets.join("\n"));
    let readable = format!("transfer-{model}-{version}-{}", targets.join("-"));
    job_name(&readable, &identity)
}

/// Renders one transfer.
pub fn render_transfer(input: &TransferInput) -> TransferObjects {
    let TransferInput {
        namespace,
        name,
        plan,
        daemon_image,
    } = input;
    let labels = labels(&[
        (names::LABEL_MODEL, &plan.model),
        (names::LABEL_VERSION, &plan.version),
    ]);
    let targets: Vec<_> = plan.targets.iter().map(|t| t.name.as_str()).collect();
    let mut meta = metadata(namespace, name, &labels);
    let named = (names::ANNOTATION_TARGETS.to_owned(), targets.join(","));
    meta.annotations = Some([named].into());
    let secret = plan_secret(meta.clone(), TRANSFER_KEY, plan);
    let stores: Vec<_> = std::iter::once(&plan.source).chain(&plan.targets).collect();
    let ambient = Ambient::of(&stores, names::TRANSFER_SERVICE_ACCOUNT);
    let job = CopyJob {
        metadata: meta,
        command: "transfer",
        container: names::TRANSFER_CONTAINER,
        secret: name,
        key: TRANSFER_KEY,
        daemon_image,
        ambient,
    };
    TransferObjects {
        secret,
        job: job.render(),
    }
}
