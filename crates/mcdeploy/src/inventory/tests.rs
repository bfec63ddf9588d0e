use serde_json::{Value, json};

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
    let spec = parsed.spec(aws, None).unwrap();
    assert_eq!(spec.access.kind(), "eks");
    let eks = serde_json::to_value(&spec.access).unwrap();
    assert_eq!(eks, fleet()["clusters"][0]["access"]);
    assert_eq!(spec.jurisdiction.as_deref(), Some("US"));
    assert_eq!(parsed.stores[0].spec().jurisdiction.as_deref(), Some("US"));
    assert_eq!(parsed.spec(lab, None), None, "a token is minted first");
}

#[test]
fn access_that_works_is_kept_before_one_that_does_not_yet() {
    let parsed = parse(&fleet().to_string(), None).unwrap();
    let mut known = crate::fixtures::member("aws-1", Provider::Aws).spec;
    known.ingress = Some(mcdeploy_api::ClusterIngress {
        address: "gateway.example.com:80".into(),
    });
    let spec = parsed.spec(&parsed.clusters[0], Some(&known)).unwrap();
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
    let cases: [(&[&str], Vec<String>); 10] = [
        (
            &["kind is \"Fleet\": expected \"FleetInventory\""],
            problems(|fleet| fleet["kind"] = json!("Fleet")),
        ),
        (
            &["the document: unknown field \"extra\": expected apiVersion, clusters, kind"],
            problems(|fleet| fleet["extra"] = json!(1)),
        ),
        (
            &["clusters[1] (lab): unknown field \"nmae\": expected access, artifactStoreRef"],
            problems(|fleet| fleet["clusters"][1]["nmae"] = json!("x")),
        ),
        (
            &["clusters[1] (lab): provider is \"mars\": expected one of aws, azure, gcp, onprem"],
            problems(|fleet| fleet["clusters"][1]["provider"] = json!("mars")),
        ),
        (
            &["stores[1] (Lab!): name is \"Lab!\": expected ^[a-z0-9]"],
            problems(|fleet| fleet["stores"][1]["name"] = json!("Lab!")),
        ),
        (
            &["cluster \"lab\" is in onprem, and its store \"aws\" in aws"],
            problems(|fleet| fleet["clusters"][1]["artifactStoreRef"] = json!("aws")),
        ),
        (
            &[
                "clusters[0] (aws-1): access.eks.clusterName is missing",
                "clusters[0] (aws-1): access.eks.caData is missing",
            ],
            problems(clear_eks),
        ),
        (
            &[
                "clusters[0] (aws-1): access: expected exactly one of aks, eks, gke, kubeconfig: found [\"eks\", \"kubeconfig\"]",
            ],
            problems(|fleet| fleet["clusters"][0]["access"] = two_ways),
        ),
        (
            &["stores[0] (aws): location: expected exactly one of azureBlob, gcs, s3: found []"],
            problems(|fleet| fleet["stores"][0]["location"] = json!({})),
        ),
        (
            &["clusters is missing"],
            problems(|fleet| drop(fleet.as_object_mut().unwrap().remove("clusters"))),
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
    assert!(
        found.starts_with("clusters[1] (lab): jurisdiction is \"Germany\": expected ^[A-Z]{2}$")
    );
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

#[test]
fn values_that_the_schema_refuses_are_refused_before_anything_is_applied() {
    let long = "r".repeat(5000);
    let cases = [
        ("/clusters/0/region", json!("")),
        ("/clusters/0/region", json!(long)),
        ("/clusters/0/region", json!("us-east-1\u{1b}[2J")),
        ("/clusters/0/region", json!(7)),
        ("/clusters/0/artifactStoreRef", json!("")),
        ("/clusters/0/access/eks/roleArn", json!("nope")),
        ("/clusters/0/access/eks/accountId", json!("1")),
        ("/clusters/0/access/eks/endpoint", json!("http://evil")),
        ("/clusters/0/access/eks/caData", json!("%%%")),
        ("/clusters/0/access/eks/caData", json!("")),
        ("/clusters/1/access/kubeconfig/context", json!("")),
        ("/clusters/1/access/kubeconfig/context", json!("\u{7}")),
        ("/stores/0/location/s3/bucket", json!("")),
        ("/stores/0/location/s3/bucket", json!("../../x")),
        (
            "/stores/1/location/s3/endpoint",
            json!("file:///etc/passwd"),
        ),
        (
            "/stores/1/location/s3/endpoint",
            json!("http://user:word@s3.lab"),
        ),
        ("/stores/1/auth/secretRef", json!("")),
        ("/stores/1/auth/secretRef", json!("kube-system/admin")),
        ("/registries/0/name", json!("")),
        ("/registries/0/prefix", json!("\u{1b}]0;x\u{7}")),
        ("/zones/0/name", json!("z\u{1b}[2J")),
        ("/zones/0/id", json!("")),
    ];
    for (way, value) in cases {
        let found = problems(|fleet| *fleet.pointer_mut(way).unwrap() = value.clone());
        let [list, index, .., field] = way[1..].split('/').collect::<Vec<_>>()[..] else {
            panic!("{way}");
        };
        let [one] = &found[..] else {
            panic!("{way} {value}: {found:?}");
        };
        assert!(one.starts_with(&format!("{list}[{index}]")), "{one}");
        assert!(one.contains(field), "{one}");
        assert!(one.len() < 400 && !one.contains(char::is_control), "{one}");
    }
}

#[test]
fn a_fleet_has_at_most_500_clusters() {
    let found = problems(|fleet| fleet["clusters"] = json!(vec![json!({}); 600]));
    assert_eq!(found, ["clusters has 600 entries: expected at most 500"]);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_its_place() {
    let text = fleet().to_string();
    let twice = format!("{},\"clusters\":[]}}", text.strip_suffix('}').unwrap());
    let found = parse(&twice, None).unwrap_err();
    assert!(
        found[0].contains("the key \"clusters\" stands twice in one object at line 1"),
        "{found:?}"
    );
}

#[test]
fn names_are_unique_in_every_list() {
    for list in ["clusters", "stores", "registries", "zones"] {
        let found = problems(|fleet| {
            let entries = fleet[list].as_array_mut().unwrap();
            entries.push(entries[0].clone());
        });
        let [one] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(
            one.starts_with(&format!("{list}: two entries are named")),
            "{one}"
        );
    }
}

#[test]
fn a_region_that_the_provider_does_not_have_is_refused_and_ones_own_is_not() {
    for list in ["clusters", "stores", "registries"] {
        let found = problems(|fleet| {
            fleet[list][0]["region"] = json!("mars-1");
            fleet[list][0]
                .as_object_mut()
                .unwrap()
                .remove("jurisdiction");
        });
        let [one] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(one.contains("aws has no region \"mars-1\""), "{one}");
    }
    let none: [String; 0] = [];
    assert_eq!(
        problems(|fleet| fleet["clusters"][1]["region"] = json!("mars-1")),
        none
    );
}

#[test]
fn a_store_is_where_its_protocol_is() {
    let with = |provider: &str, region: &str, location: Value| {
        problems(|fleet| {
            fleet["clusters"] = json!([]);
            fleet["stores"] = json!([{"name": "s", "provider": provider, "region": region,
                "location": location, "auth": {"ambient": {}}}]);
        })
    };
    let gcs = json!({"gcs": {"bucket": "models"}});
    assert_eq!(
        with("aws", "us-east-1", gcs.clone()),
        ["store \"s\" is in aws, and its location is gcs, which is in gcp"]
    );
    let none: [String; 0] = [];
    assert_eq!(with("gcp", "europe-west4", gcs), none);
    assert_eq!(
        with("azure", "eastus", json!({"s3": {"bucket": "models"}})).len(),
        1
    );
    let endpoint = json!({"s3": {"bucket": "models", "endpoint": "https://s3.example.com"}});
    assert_eq!(with("azure", "eastus", endpoint), none);
}

#[test]
fn labels_of_entries_hold_nothing_that_a_terminal_obeys() {
    let found = problems(|fleet| fleet["clusters"][0]["name"] = json!("a\u{1b}[2J\u{9b}1m\u{7}"));
    assert!(
        found[0].starts_with("clusters[0] (a\\u{1b}[2J\\u{9b}1m\\u{7}): name is"),
        "{found:?}"
    );
}

#[test]
fn a_cluster_pulls_from_the_registry_that_it_names() {
    let mut value = fleet();
    value["clusters"][0]["imageRegistryRef"] = json!("aws");
    let parsed = parse(&value.to_string(), None).unwrap();
    let cluster = &parsed.clusters[0];
    let registry = |known: Option<&ImageRegistry>| parsed.image_registry(cluster, known).unwrap();
    assert_eq!(registry(None).prefix, "r/x");
    let secret = Some(ObjectName::new("login"));
    let known = |prefix: &str| ImageRegistry {
        prefix: prefix.into(),
        plain_http: false,
        secret_ref: secret.clone(),
    };
    assert_eq!(
        registry(Some(&known("r/x"))),
        known("r/x"),
        "its login stays"
    );
    assert_eq!(registry(Some(&known("old"))).secret_ref, None);
    let other = &parsed.clusters[1];
    let kept = parsed.image_registry(other, Some(&known("old")));
    assert_eq!(kept, Some(known("old")), "named nothing, changes nothing");
    let found = problems(|fleet| fleet["clusters"][1]["imageRegistryRef"] = json!("nowhere"));
    assert_eq!(
        found,
        ["cluster \"lab\" names the registry \"nowhere\", which is not here"]
    );
}
