//! The Job that copies an image, and what pods pull.

use mcdeploy_api::{
    CopyImagePlan, PinnedImage, RepositoryAccess, SecretValues, Sha256Digest, names,
};
use mcdeploy_manifests::{
    CopyImageInput, CopyImageObjects, copy_image_name, image_label, render_copy_image,
};

fn target(registry: &str) -> PinnedImage {
    PinnedImage {
        registry: registry.to_owned(),
        name: "models/mcserve".to_owned(),
        digest: Sha256Digest::of("image"),
    }
}

fn rendered() -> (CopyImageInput, CopyImageObjects) {
    let access = |registry: &str| RepositoryAccess {
        registry: registry.to_owned(),
        name: "models/mcserve".to_owned(),
        plain_http: false,
        secret: SecretValues([("password".to_owned(), "hunter2".to_owned())].into()),
    };
    let input = CopyImageInput {
        namespace: names::SYSTEM_NAMESPACE.to_owned(),
        name: copy_image_name(&target("ecr.test")),
        plan: CopyImagePlan {
            digest: Sha256Digest::of("image"),
            source: access("gar.test"),
            target: access("ecr.test"),
        },
        daemon_image: format!("r.test/mcdeployd@{}", Sha256Digest::of("daemon")),
    };
    let objects = render_copy_image(&input);
    (input, objects)
}

#[test]
fn the_job_runs_the_daemon_with_the_plan_in_its_secret_and_nowhere_else() {
    let (input, CopyImageObjects { secret, job }) = rendered();
    let data = secret.data.unwrap();
    let plan: CopyImagePlan = serde_json::from_slice(&data["copy-image.json"].0).unwrap();
    assert_eq!(plan, input.plan);
    assert_eq!(secret.metadata.name, job.metadata.name);
    assert!(!serde_json::to_string(&job).unwrap().contains("hunter2"));
    let labels = job.metadata.labels.clone().unwrap();
    assert_eq!(labels[names::LABEL_IMAGE], image_label(&input.plan.digest));
    let pod = job.spec.unwrap().template.spec.unwrap();
    let container = &pod.containers[0];
    let args = ["copy-image", "--plan", "/etc/mcdeploy/copy-image.json"];
    assert_eq!(container.args.as_ref().unwrap()[..], args);
    assert_eq!(container.image.as_ref(), Some(&input.daemon_image));
    assert_eq!(pod.automount_service_account_token, Some(false));
    let security = container.security_context.as_ref().unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(true));
}

#[test]
fn names_of_copies_fit_and_differ_with_registry_and_digest() {
    let other = PinnedImage {
        digest: Sha256Digest::of("other"),
        ..target("ecr.test")
    };
    let all = [target("ecr.test"), target("gar.test"), other];
    let mut names: Vec<_> = all.iter().map(copy_image_name).collect();
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
}
