//! Images by tag: a real registry, behind a mirror.

use mcdeploy_sandbox::testing::TestRegistry;

use crate::World;

const REPOSITORY: &str = "models/mcserve";

/// The digest of a tag is said and deployed; a tag that is not there changes nothing.
pub(crate) async fn a_tag_is_said_and_deployed_as_its_digest(world: &World) {
    let registry = TestRegistry::start().await.unwrap();
    let digest = registry.put_image(REPOSITORY, "weights").await.unwrap();
    let tagged = registry.tag_image(REPOSITORY, digest, "v1").await;
    tagged.unwrap();
    let mirror = format!("registry.test=http://{}", registry.authority());
    let rollout = |tag: &str| {
        let image = format!("registry.test/{REPOSITORY}:{tag}");
        let words = ["rollout", "--model", "v3", "--no-wait", "--image", &image];
        world.run(&[&words[..], &["--registry-mirror", &mirror]].concat())
    };
    let pinned = format!("registry.test/{REPOSITORY}@{digest}");
    let said = format!("image registry.test/{REPOSITORY}:v1 is {pinned}");
    rollout("v1").check(0, &said);
    let deployment = world.deployment().await.unwrap();
    assert_eq!(deployment.spec.container.image, pinned);
    let missing = format!("image registry.test/{REPOSITORY}:v2 does not exist");
    rollout("v2").check(5, &missing);
    let after = world.deployment().await.unwrap();
    assert_eq!(after.metadata.generation, deployment.metadata.generation);
}
