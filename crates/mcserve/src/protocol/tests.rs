use super::*;

#[test]
fn data_may_be_flat_or_nested() {
    let flat: Scalars =
        serde_json::from_str(r#"[1, 2.5, true, "a", 18446744073709551615]"#).unwrap();
    let nested: Scalars =
        serde_json::from_str(r#"[[1, 2.5], [[true], "a"], [], 18446744073709551615]"#).unwrap();
    assert_eq!(flat, nested);
    assert_eq!(flat.values.len(), 5);
    assert_eq!(flat.text(0), "a");
}

#[test]
fn data_of_another_kind_is_refused() {
    for bad in ["[{}]", "7", "null", "[NaN]", "[1e999]"] {
        assert!(serde_json::from_str::<Scalars>(bad).is_err(), "{bad}");
    }
}

#[test]
fn optional_fields_may_be_null() {
    let text = r#"{"id":null,"parameters":null,"outputs":null,"inputs":[
        {"name":"x","datatype":"FP32","shape":[1],"parameters":null,"data":[1]}]}"#;
    let request: InferRequest = serde_json::from_str(text).unwrap();
    assert_eq!(request.id, None);
    assert!(request.outputs.is_empty());
}

#[test]
fn values_are_shown_as_they_were_sent() {
    let data: Scalars = serde_json::from_str(r#"[1, 1.0, 1e300, true, null, "a\"b"]"#).unwrap();
    let shown: Vec<String> = (0..data.values.len())
        .map(|index| data.shown(index))
        .collect();
    assert_eq!(shown, ["1", "1.0", "1e300", "true", "null", r#""a\"b""#]);
}

#[test]
fn what_json_has_no_word_for_is_text_and_never_null() {
    let narrow = Data::Fp32(vec![0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    let wide = Data::Fp64(vec![0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    for data in [narrow, wide] {
        assert_eq!(
            serde_json::to_string(&data).unwrap(),
            r#"[0.5,"NaN","Infinity","-Infinity"]"#
        );
    }
}
