use mcdeploy_api::Provider::{Aws, Azure, Gcp, Onprem};

use super::*;
use crate::fixtures::{deployment, image, member, version};

fn world() -> World {
    World {
        members: vec![
            member("aws", Aws),
            member("aws-2", Aws),
            member("azure", Azure),
            member("gcp", Gcp),
        ],
        versions: vec![
            version("digits", "v2"),
            version("digits", "v3"),
            version("other", "v9"),
        ],
        deployment: None,
        policies: vec![],
    }
}

fn deployed_on(providers: &[Provider]) -> World {
    World {
        deployment: Some(deployment("digits", "v2", providers)),
        ..world()
    }
}

fn request(version: &str, providers: &[Provider], clusters: &[&str]) -> Request {
    Request {
        model: "digits".into(),
        version: version.into(),
        namespace: "default".into(),
        selection: ClusterSelection {
            providers: providers.to_vec(),
            clusters: clusters.iter().map(|&name| name.to_owned()).collect(),
        },
        has_image: true,
        replicas: None,
        repeatable: true,
        weights: BTreeMap::new(),
    }
}

fn container(digit: char) -> Container {
    deployment_container(image(digit))
}

fn deployment_container(image: String) -> Container {
    Container {
        image,
        args: vec![],
        env: vec![],
        resources: None,
    }
}

#[track_caller]
fn check_waves(request: Request, world: &World, waves: &[&[&str]], untouched: &[&str]) {
    let resolved = resolve(request, world).unwrap();
    assert_eq!(resolved.waves, waves);
    assert_eq!(resolved.untouched, untouched);
}

#[test]
#[expect(
    clippy::type_complexity,
    reason = "a table: request, world, waves, untouched"
)]
fn waves_follow_the_order_written() {
    let all = [Aws, Azure, Gcp];
    let cases: [(Request, World, &[&[&str]], &[&str]); 6] = [
        (
            request("v3", &[Gcp, Aws], &[]),
            world(),
            &[&["gcp"], &["aws", "aws-2"]],
            &[],
        ),
        (
            request("v3", &[Aws, Gcp], &[]),
            deployed_on(&all),
            &[&["aws", "aws-2"], &["gcp"]],
            &["azure"],
        ),
        (
            request("v3", &[], &[]),
            deployed_on(&all),
            &[&["aws", "aws-2"], &["azure"], &["gcp"]],
            &[],
        ),
        (
            request("v3", &[], &["gcp", "aws-2"]),
            deployed_on(&all),
            &[&["gcp"], &["aws-2"]],
            &["aws", "azure"],
        ),
        (
            request("v3", &[Aws, Aws], &[]),
            world(),
            &[&["aws", "aws-2"]],
            &[],
        ),
        (
            request("v3", &[], &["gcp", "gcp"]),
            world(),
            &[&["gcp"]],
            &[],
        ),
    ];
    for (request, world, waves, untouched) in cases {
        check_waves(request, &world, waves, untouched);
    }
}

#[test]
fn what_is_wrong_is_told_before_anything_is_applied() {
    let all = [Aws, Azure, Gcp];
    let none = World::default();
    let of_version = |v: ModelVersion| World {
        versions: vec![v],
        ..World::default()
    };
    let no_image = Request {
        has_image: false,
        ..request("v3", &[Aws], &[])
    };
    let weights = [("asw".to_owned(), written(1))].into();
    let wrong_weight = Request {
        weights,
        ..request("v3", &[Aws], &[])
    };
    let cases = [
        ("unknown version", request("v33", &[Aws], &[]), world()),
        (
            "version of another model",
            request("v9", &[Aws], &[]),
            world(),
        ),
        ("nothing pushed", request("v3", &[Aws], &[]), none),
        (
            "no cluster of that cloud",
            request("v3", &[Aws, Onprem], &[]),
            world(),
        ),
        ("unknown cluster", request("v3", &[], &["gpc"]), world()),
        (
            "no clusters at all",
            request("v3", &[Aws], &[]),
            of_version(version("digits", "v3")),
        ),
        ("new without placement", request("v3", &[], &[]), world()),
        ("new without image", no_image, world()),
        (
            "cloud outside placement",
            request("v3", &[Azure], &[]),
            deployed_on(&[Aws, Gcp]),
        ),
        (
            "cluster outside placement",
            request("v3", &[], &["azure"]),
            deployed_on(&[Aws, Gcp]),
        ),
        ("unknown weight", wrong_weight, deployed_on(&all)),
    ];
    let shown = cases.map(|(name, request, world)| {
        let failure = Failure::from(resolve(request, &world).unwrap_err());
        format!("{name}\n  {failure}\n  {failure:?}")
    });
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_new_deployment_is_placed_where_the_rollout_goes() {
    let resolved = resolve(request("v3", &[Aws, Gcp], &[]), &world()).unwrap();
    assert!(resolved.creates);
    insta::assert_yaml_snapshot!(resolved.deployment(Some(&container('b')), "ann@desk now"));
}

#[test]
fn an_existing_deployment_keeps_its_placement_and_gets_a_scope() {
    let request = Request {
        replicas: Some(2),
        ..request("v3", &[Gcp], &[])
    };
    let resolved = resolve(request, &deployed_on(&[Aws, Azure, Gcp])).unwrap();
    assert!(!resolved.creates);
    insta::assert_yaml_snapshot!(resolved.deployment(Some(&container('b')), "ann@desk now"));
}

#[test]
fn without_an_image_the_deployment_keeps_its_container() {
    let request = Request {
        has_image: false,
        ..request("v3", &[], &[])
    };
    let resolved = resolve(request, &deployed_on(&[Aws])).unwrap();
    let object = resolved.deployment(None, "ann@desk now");
    assert_eq!(object["spec"]["container"]["image"], image('a'));
    assert_eq!(object["spec"].get("scope"), None, "the whole placement");
    assert_eq!(
        object["spec"].get("replicas"),
        None,
        "left to whoever set it"
    );
}

fn written(weight: i32) -> WrittenWeight {
    WrittenWeight {
        weight,
        place: "mcdeploy.yaml:7:8".to_owned(),
    }
}

#[test]
fn a_traffic_policy_is_applied_only_when_it_says_something() {
    let policy_of = |repeatable, weights: &[(&str, i32)], policies| {
        let weights = weights
            .iter()
            .map(|&(name, weight)| (name.to_owned(), written(weight)))
            .collect();
        let request = Request {
            repeatable,
            weights,
            ..request("v3", &[], &[])
        };
        let world = World {
            policies,
            ..deployed_on(&[Aws, Gcp])
        };
        resolve(request, &world)
            .unwrap()
            .traffic_policy()
            .map(|(name, object)| (name.to_owned(), object))
    };
    assert_eq!(policy_of(true, &[], vec![]), None);
    let (name, object) = policy_of(false, &[("aws", 3), ("gcp", 1)], vec![]).unwrap();
    assert_eq!(name, "digits");
    assert_eq!(object["spec"]["repeatable"], false);
    assert_eq!(
        object["spec"]["weights"][0],
        json!({"cluster": "aws", "weight": 3})
    );

    let by = |manager: &str| -> TrafficPolicy {
        serde_json::from_value(json!({
            "metadata": {"name": "own", "managedFields": [{"manager": manager}]},
            "spec": {"deploymentRef": {"name": "digits"}, "repeatable": false},
        }))
        .unwrap()
    };
    assert_eq!(policy_of(true, &[], vec![by("mcdeploy-operator")]), None);
    let (name, object) = policy_of(true, &[], vec![by("mcdeploy-cli")]).unwrap();
    assert_eq!(
        (name.as_str(), &object["spec"]["repeatable"]),
        ("own", &json!(true))
    );
}
