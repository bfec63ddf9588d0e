use serde_json::json;

use super::*;

fn fleet() -> Value {
    json!({
        "apiVersion": "mcdeploy.dev/v1alpha1",
        "kind": "FleetInventory",
        "clusters": [
            {
                "name": "aws-1", "provider": "aws", "region": "us-east-1", "jurisdiction": "US",
                "artifactStoreRef": "aws",
                "access": {"eks": {
                    "clusterName": "one", "region": "us-east-1", "accountId": "123456789012",
                    "roleArn": "arn:aws:iam::123456789012:role/hub",
                    "endpoint": "https://eks.example.com", "caData": "Zm9v",
                }},
            },
            {
                "name": "lab", "provider": "onprem", "region": "lab", "artifactStoreRef": "lab",
                "access": {"kubeconfig": {"context": "lab-admin"}},
            },
        ],
        "stores": [
            {
                "name": "aws", "provider": "aws", "region": "us-east-1", "jurisdiction": "US",
                "location": {"s3": {"bucket": "models"}}, "auth": {"ambient": {}},
            },
            {
                "name": "lab", "provider": "onprem", "region": "lab",
                "location": {"s3": {"bucket": "models", "endpoint": "http://s3.lab", "pathStyle": true}},
                "auth": {"secretRef": "store-lab"},
            },
        ],
        "registries": [{"name": "aws", "provider": "aws", "region": "us-east-1", "prefix": "r/x"}],
        "zones": [{"name": "z", "provider": "aws", "domain": "ml.example.com", "id": "Z1"}],
    })
}

/// The problems after a change of the inventory.
fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut value = fleet();
    change(&mut value);
    parse(&value.to_string(), Some(&[])).map_or_else(|problems| problems, |_| vec![])
}

#[test]
fn a_whole_inventory_is_taken() {
    let parsed = parse(&fleet().to_string(), None).unwrap();
    assert_eq!((parsed.clusters.len(), parsed.stores.len()), (2, 2));
    let secret = parsed.stores[1].spec().auth.secret_ref.unwrap();
    assert_eq!(secret.name, "store-lab");
}

#[test]
fn identities_and_jurisdictions_are_kept_as_they_are() {
    let parsed = parse(&fleet().to_string(), None).unwrap();
    let [aws, lab] = &parsed.clusters[..] else {
        panic!("{parsed:?}");
    };
    let spec = aws.spec(None).unwrap();
    assert_eq!(spec.access.kind(), "eks");
    let eks = serde_json::to_value(&spec.access).unwrap();
    assert_eq!(eks, fleet()["clusters"][0]["access"]);
    assert_eq!(spec.jurisdiction.as_deref(), Some("US"));
    assert_eq!(parsed.stores[0].spec().jurisdiction.as_deref(), Some("US"));
    assert_eq!(lab.spec(None), None, "a token is minted first");
}

#[test]
fn access_that_works_is_kept_before_one_that_does_not_yet() {
    let parsed = parse(&fleet().to_string(), None).unwrap();
    let mut known = crate::fixtures::member("aws-1", Provider::Aws).spec;
    known.ingress = Some(mcdeploy_api::ClusterIngress {
        address: "gateway.example.com:80".into(),
    });
    let spec = parsed.clusters[0].spec(Some(&known)).unwrap();
    assert_eq!(
        (&spec.access, &spec.ingress),
        (&known.access, &known.ingress)
    );
    assert_eq!(spec.region, "us-east-1");
}

#[test]
fn each_problem_names_its_entry() {
    let clear_eks = |fleet: &mut Value| {
        let eks = fleet["clusters"][0]["access"]["eks"].as_object_mut();
        eks.unwrap().clear();
    };
    let two_ways = json!({"kubeconfig": {"context": "a"}, "eks": {}});
    let cases: [(&[&str], Vec<String>); 9] = [
        (
            &["kind is \"Fleet\": expected \"FleetInventory\""],
            problems(|fleet| fleet["kind"] = json!("Fleet")),
        ),
        (
            &["unknown field \"extra\""],
            problems(|fleet| fleet["extra"] = json!(1)),
        ),
        (
            &["clusters[1] (lab): unknown field `nmae`"],
            problems(|fleet| fleet["clusters"][1]["nmae"] = json!("x")),
        ),
        (
            &["clusters[1] (lab): unknown variant `mars`"],
            problems(|fleet| fleet["clusters"][1]["provider"] = json!("mars")),
        ),
        (
            &[
                "clusters: two entries are named \"lab\"",
                "stores: \"Lab!\" is no name",
            ],
            problems(|fleet| {
                fleet["clusters"][0]["name"] = json!("lab");
                fleet["stores"][1]["name"] = json!("Lab!");
            }),
        ),
        (
            &["cluster \"lab\" is in onprem, and its store \"aws\" in aws"],
            problems(|fleet| fleet["clusters"][1]["artifactStoreRef"] = json!("aws")),
        ),
        (
            &["clusters[0] (aws-1): missing field `clusterName`"],
            problems(clear_eks),
        ),
        (
            &["clusters[0] (aws-1): "],
            problems(|fleet| fleet["clusters"][0]["access"] = two_ways),
        ),
        (
            &["store \"aws\": set exactly one of s3, azureBlob, gcs"],
            problems(|fleet| fleet["stores"][0]["location"] = json!({})),
        ),
    ];
    for (expected, problems) in cases {
        for text in expected {
            assert!(
                problems.iter().any(|p| p.starts_with(text)),
                "{text}: {problems:?}"
            );
        }
    }
}

#[test]
fn a_jurisdiction_that_contradicts_the_region_names_its_entry() {
    let with = |list: &str, index: usize, law: &str| {
        problems(|fleet| fleet[list][index]["jurisdiction"] = json!(law))
    };
    let expected = "jurisdiction \"DE\" contradicts region \"us-east-1\" of aws: expected US";
    let found = with("clusters", 0, "DE");
    assert_eq!(found, [format!("cluster \"aws-1\": {expected}")]);
    let found = with("stores", 0, "DE");
    assert_eq!(found, [format!("store \"aws\": {expected}")]);
    let [found] = &with("clusters", 1, "Germany")[..] else {
        panic!("one problem");
    };
    assert!(found.starts_with("cluster \"lab\": jurisdiction \"Germany\" is none"));
}

#[test]
fn a_store_that_is_nowhere_is_a_problem_only_when_the_hub_is_known() {
    let mut value = fleet();
    value["stores"].as_array_mut().unwrap().remove(1);
    let text = value.to_string();
    assert!(parse(&text, None).is_ok());
    assert!(parse(&text, Some(&["lab".to_owned()])).is_ok());
    let problems = parse(&text, Some(&[])).unwrap_err();
    assert_eq!(
        problems,
        ["cluster \"lab\" names the store \"lab\", which is neither here nor in the hub"]
    );
}

#[test]
fn text_that_is_no_json_is_told_with_its_place() {
    let problems = parse("{\n  \"kind\": }", None).unwrap_err();
    assert!(problems[0].contains("line 2 column 11"), "{problems:?}");
}
