use super::*;
use crate::protocol::Scalars;

fn spec(datatype: Datatype, dims: &[Dim]) -> TensorSpec {
    TensorSpec {
        name: "x".into(),
        datatype,
        dims: dims.to_vec(),
        labels: None,
        range: None,
    }
}

fn input(datatype: &str, shape: &[i64], data: &str) -> InputTensor {
    InputTensor {
        name: "x".into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        data: serde_json::from_str(data).unwrap(),
    }
}

fn refusal(datatype: Datatype, dims: &[Dim], input: InputTensor) -> String {
    decode(&[spec(datatype, dims)], vec![input])
        .unwrap_err()
        .to_string()
}

#[test]
fn every_refusal_says_what_is_wrong_and_what_was_expected() {
    let pairs = [Dim::Group(0), Dim::Fixed(2)];
    let table = [
        (
            Datatype::Fp32,
            input("FP64", &[1, 2], "[1,2]"),
            r#"input "x" has datatype FP64; the model takes FP32"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[1, 3], "[1,2,3]"),
            r#"input "x" has shape [1, 3]; the model takes [-1, 2] (-1: any number)"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[-1, 2], "[1,2]"),
            r#"input "x" has shape [-1, 2]; the model takes [-1, 2] (-1: any number)"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[2], "[1,2]"),
            r#"input "x" has shape [2]; the model takes [-1, 2] (-1: any number)"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[0, 2], "[]"),
            r#"input "x" is empty: shape [0, 2] holds no value"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[2, 2], "[1,2,3]"),
            r#"input "x" has 3 values; its shape [2, 2] holds 4"#,
        ),
        (
            Datatype::Fp32,
            input("FP32", &[i64::MAX, 2], "[1,2]"),
            r#"input "x" has 2 values; its shape [9223372036854775807, 2] holds"#,
        ),
    ];
    for (datatype, input, expected) in table {
        let message = refusal(datatype, &pairs, input);
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
}

#[test]
fn values_that_a_type_does_not_hold_are_told_as_they_were_sent() {
    let table = [
        (Datatype::Fp32, "[0, 1e300]", "1e300 is not a FP32"),
        (Datatype::Uint8, "[255, 256]", "256 is not a UINT8"),
        (Datatype::Int64, "[1, 1.5]", "1.5 is not a INT64"),
        (Datatype::Int8, "[1.0, 1000.0]", "1000.0 is not a INT8"),
        (Datatype::Int64, "[1, 9.3e18]", "9.3e18 is not a INT64"),
        (Datatype::Int64, "[1, null]", "null is not a INT64"),
        (Datatype::Int64, r#"[1, "NaN"]"#, r#""NaN" is not a INT64"#),
        (Datatype::Fp32, r#"[1, "two"]"#, r#""two" is not a FP32"#),
        (Datatype::Fp16, "[65504, 70000]", "70000 is not a FP16"),
        (Datatype::Bytes, r#"["a", 1]"#, "1 is not a BYTES"),
    ];
    for (datatype, data, expected) in table {
        let input = input(datatype.as_str(), &[1, 2], data);
        let message = refusal(datatype, &[Dim::Any, Dim::Fixed(2)], input);
        assert_eq!(message, format!(r#"input "x", value 1: {expected}"#));
    }
}

#[test]
fn names_are_matched_in_any_order_and_once() {
    let specs = ["a", "b"].map(|name| TensorSpec {
        name: name.into(),
        ..spec(Datatype::Int64, &[Dim::Any])
    });
    let named = |name: &str, value: i64| InputTensor {
        name: name.into(),
        datatype: "INT64".into(),
        shape: vec![1],
        data: Scalars {
            values: vec![Scalar::Int(value)],
            texts: vec![],
        },
    };
    let tensors = decode(&specs, vec![named("b", 2), named("a", 1)]).unwrap();
    assert_eq!(tensors[0].cast_to_scalar::<i64>().unwrap(), 1);
    let errors = [
        (vec![named("c", 1)], r#"no input "c"; the model has: a, b"#),
        (
            vec![named("a", 1), named("a", 1)],
            r#"input "a" is given twice"#,
        ),
        (vec![named("a", 1)], r#"input "b" is missing"#),
        (vec![], r#"input "a" is missing"#),
    ];
    for (given, expected) in errors {
        assert_eq!(decode(&specs, given).unwrap_err().to_string(), expected);
    }
}

#[test]
fn values_come_back_in_their_own_type() {
    let table = [
        (Datatype::Bool, "[true, 0]", "[true,false]"),
        (
            Datatype::Uint64,
            "[18446744073709551615]",
            "[18446744073709551615]",
        ),
        (
            Datatype::Int64,
            "[-9007199254740993]",
            "[-9007199254740993]",
        ),
        (Datatype::Fp64, "[0.1]", "[0.1]"),
        (Datatype::Fp32, "[0.1, -3]", "[0.1,-3.0]"),
        (Datatype::Fp16, "[0.5, -3]", "[0.5,-3.0]"),
        (Datatype::Int64, "[1.0, -2e3]", "[1,-2000]"),
        (Datatype::Bytes, r#"["a", "NaN"]"#, r#"["a","NaN"]"#),
        (
            Datatype::Fp32,
            r#"["NaN", "-Infinity", null, 1]"#,
            r#"["NaN","-Infinity","NaN",1.0]"#,
        ),
        (Datatype::Fp64, r#"["Infinity"]"#, r#"["Infinity"]"#),
        (Datatype::Fp16, r#"["Infinity"]"#, r#"["Infinity"]"#),
    ];
    for (datatype, given, expected) in table {
        let spec = spec(datatype, &[Dim::Any]);
        let data: Scalars = serde_json::from_str(given).unwrap();
        let size = i64::try_from(data.values.len()).unwrap();
        let tensor = decode(
            std::slice::from_ref(&spec),
            vec![InputTensor {
                data,
                ..input(datatype.as_str(), &[size], "[]")
            }],
        );
        let output = encode(&spec, &tensor.unwrap()[0]).unwrap();
        assert_eq!(serde_json::to_string(&output.data).unwrap(), expected);
        assert_eq!(output.datatype, datatype.as_str());
    }
}

#[test]
fn sizes_of_one_group_must_be_equal() {
    let specs = ["a", "b"].map(|name| TensorSpec {
        name: name.into(),
        ..spec(Datatype::Int64, &[Dim::Group(0)])
    });
    let named = |name: &str, data: &str, size: i64| InputTensor {
        name: name.into(),
        ..input("INT64", &[size], data)
    };
    let error = decode(
        &specs,
        vec![named("b", "[1, 2, 3]", 3), named("a", "[1, 2]", 2)],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        r#"input "b" has size 3 in dimension 0; input "a" has 2 for the same: they must be equal"#
    );
    let apart = [spec(Datatype::Int64, &[Dim::Any]), specs[1].clone()];
    assert!(decode(&apart, vec![named("b", "[1]", 1), named("x", "[1, 2]", 2)]).is_ok());
}

#[test]
fn an_index_outside_its_table_is_refused() {
    let spec = TensorSpec {
        range: Some((-5, 4)),
        ..spec(Datatype::Int64, &[Dim::Any])
    };
    let given = |data: &str| {
        let spec = std::slice::from_ref(&spec);
        decode(spec, vec![input("INT64", &[2], data)]).map_err(|error| error.to_string())
    };
    assert!(given("[-5, 4]").is_ok());
    for (data, value) in [("[0, 5]", "5"), ("[0, -6]", "-6"), ("[0, 5.0]", "5.0")] {
        assert_eq!(
            given(data).unwrap_err(),
            format!(r#"input "x", value 1: {value} is out of range; the model takes -5 to 4"#)
        );
    }
}
