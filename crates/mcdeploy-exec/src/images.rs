//! Images: where pods pull them from, and the Jobs that bring them there.

use std::collections::BTreeMap;

use mcdeploy_api::{
    CopyImagePlan, ImageRegistry, PinnedImage, RepositoryAccess, SecretValues, names,
};
use mcdeploy_manifests::{CopyImageInput, RevisionInput, copy_image_name, render_copy_image};
use mcdeploy_plan::StartImageCopy;

use crate::{ExecError, Executor, effects::start_job};

/// How to use registries. One that is not named is used anonymously, by TLS.
#[derive(Clone, Debug, Default)]
pub struct Registries(BTreeMap<String, (ImageRegistry, SecretValues)>);

impl Registries {
    /// Adds one with its credentials. The first of several with the same prefix holds.
    pub fn add(&mut self, registry: &ImageRegistry, secret: SecretValues) {
        let entry = self.0.entry(registry.prefix.clone());
        entry.or_insert_with(|| (registry.clone(), secret));
    }

    /// How to use the repository of an image: as the registry with the longest prefix
    /// that holds it is used.
    pub fn access(&self, image: &PinnedImage) -> RepositoryAccess {
        let holders = self
            .0
            .values()
            .filter(|(registry, _)| registry.holds(image));
        let holder = holders.max_by_key(|(registry, _)| registry.prefix.len());
        RepositoryAccess {
            registry: image.registry.clone(),
            name: image.name.clone(),
            plain_http: holder.is_some_and(|(registry, _)| registry.plain_http),
            secret: holder.map_or_else(SecretValues::default, |(_, secret)| secret.clone()),
        }
    }
}

/// The image by the name that it has in the cluster's registry.
pub(crate) fn pull_from(input: &mut RevisionInput, registry: Option<&ImageRegistry>) {
    let image = &mut input.container.image;
    if let (Some(registry), Ok(named)) = (registry, image.parse()) {
        *image = registry.mirror(&named).to_string();
    }
}

impl Executor<'_> {
    pub(crate) async fn start_image_copy(&self, start: &StartImageCopy) -> Result<(), ExecError> {
        let StartImageCopy {
            cluster,
            source,
            target,
        } = start;
        let client = self.client(cluster)?;
        let input = CopyImageInput {
            namespace: names::SYSTEM_NAMESPACE.to_owned(),
            name: copy_image_name(target),
            plan: CopyImagePlan {
                digest: target.digest,
                source: self.registries.access(source),
                target: self.registries.access(target),
            },
            daemon_image: self.daemon_image.to_owned(),
        };
        let objects = render_copy_image(&input);
        start_job(client, objects.secret, &objects.job).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(prefix: &str, plain_http: bool) -> ImageRegistry {
        ImageRegistry {
            prefix: prefix.to_owned(),
            plain_http,
            secret_ref: None,
        }
    }

    #[test]
    fn a_repository_is_used_as_the_registry_with_the_longest_prefix() {
        let secret = |word: &str| SecretValues([("password".into(), word.into())].into());
        let mut registries = Registries::default();
        registries.add(&registry("r.test/a", false), secret("a"));
        registries.add(&registry("r.test", true), secret("whole"));
        registries.add(&registry("r.test", false), secret("second"));
        let digest = mcdeploy_api::Sha256Digest::of("image");
        for (image, plain_http, password) in [
            ("r.test/a/mcserve", false, Some("a")),
            ("r.test/ab/mcserve", true, Some("whole")),
            ("other.test/a/mcserve", false, None),
        ] {
            let access = registries.access(&format!("{image}@{digest}").parse().unwrap());
            assert_eq!(access.plain_http, plain_http, "{image}");
            let found = access.secret.0.get("password").map(String::as_str);
            assert_eq!(found, password, "{image}");
        }
    }
}
