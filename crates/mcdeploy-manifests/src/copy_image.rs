//! The Job that copies one image, by digest, to a registry.

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use mcdeploy_api::{CopyImagePlan, PinnedImage, Sha256Digest, names};

use crate::{
    job::{CopyJob, job_name},
    pod::{labels, metadata, plan_secret},
};

/// Key of the plan in its Secret.
const COPY_IMAGE_KEY: &str = "copy-image.json";

/// What one copy of an image is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyImageInput {
    /// The system namespace: tenants must not see the registries' credentials.
    pub namespace: String,
    /// Name of both objects: [`copy_image_name`].
    pub name: String,
    /// What is copied from where to where.
    pub plan: CopyImagePlan,
    /// Image of `mcdeployd`, by digest.
    pub daemon_image: String,
}

/// The objects of one copy. Apply the Secret first; delete both when the Job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyImageObjects {
    /// The plan, with the credentials of both registries.
    pub secret: Secret,
    /// What carries it out.
    pub job: Job,
}

/// Name of the objects that bring an image to `target`, at most 63 characters. Different
/// targets have different names.
pub fn copy_image_name(target: &PinnedImage) -> String {
    let readable = format!("copy-image-{}-{}", target.name, target.registry);
    job_name(&readable, &target.to_string())
}

/// Value of [`names::LABEL_IMAGE`] for an image.
pub fn image_label(digest: &Sha256Digest) -> String {
    digest.short(40)
}

/// Renders the copy of one image.
pub fn render_copy_image(input: &CopyImageInput) -> CopyImageObjects {
    let CopyImageInput {
        namespace,
        name,
        plan,
        daemon_image,
    } = input;
    let labels = labels(&[(names::LABEL_IMAGE, &image_label(&plan.digest))]);
    let meta = metadata(namespace, name, &labels);
    let secret = plan_secret(meta.clone(), COPY_IMAGE_KEY, plan);
    let job = CopyJob {
        metadata: meta,
        command: "copy-image",
        container: names::COPY_IMAGE_CONTAINER,
        secret: name,
        key: COPY_IMAGE_KEY,
        daemon_image,
        ambient: None,
    };
    CopyImageObjects {
        secret,
        job: job.render(),
    }
}
