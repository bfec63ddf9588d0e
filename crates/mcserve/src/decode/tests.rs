use super::*;
use crate::protocol::Scalars;

fn spec(datatype: Datatype, dims: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: "x".into(),
        datatype,
        dims: dims.to_vec(),
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

fn refusal(datatype: Datatype, dims: &[Option<usize>], input: InputTensor) -> String {
    decode(&[spec(datatype, dims)], vec![input])
        .unwrap_err()
        .to_string()
}

#[test]
fn every_refusal_says_what_is_wrong_and_what_was_expected() {
    let pairs = [None, Some(2)];
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
        (
            Datatype::Fp32,
            input("FP32", &[1, 2], "[0, 1e300]"),
            r#"input "x", value 1: 1"#,
        ),
        (
            Datatype::Uint8,
            input("UINT8", &[1, 2], "[255, 256]"),
            r#"input "x", value 1: 256 is not a UINT8"#,
        ),
        (
            Datatype::Int64,
            input("INT64", &[1, 2], "[1, 1.5]"),
            r#"input "x", value 1: 1.5 is not a INT64"#,
        ),
    ];
    for (datatype, input, expected) in table {
        let message = refusal(datatype, &pairs, input);
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
}

#[test]
fn names_are_matched_in_any_order_and_once() {
    let specs = ["a", "b"].map(|name| TensorSpec {
        name: name.into(),
        ..spec(Datatype::Int64, &[None])
    });
    let named = |name: &str, value: i64| InputTensor {
        name: name.into(),
        datatype: "INT64".into(),
        shape: vec![1],
        data: Scalars(vec![Scalar::Int(value)]),
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
    ];
    for (datatype, given, expected) in table {
        let spec = spec(datatype, &[None]);
        let data: Scalars = serde_json::from_str(given).unwrap();
        let size = i64::try_from(data.0.len()).unwrap();
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
