use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::*;

fn body(data: &str) -> String {
    format!(
        r#"{{"id":"NaN","inputs":[{{"name":"a \" Infinity","datatype":"FP32","shape":[3],"data":{data}}}]}}"#
    )
}

fn gzip(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

fn header(value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
    headers
}

#[test]
fn bare_words_outside_of_texts_are_numbers() {
    let request = request(
        body("[NaN, [-Infinity, Infinity]]").into(),
        Encoding::Identity,
        9999,
    )
    .unwrap();
    assert_eq!(request.id.as_deref(), Some("NaN"));
    assert_eq!(request.inputs[0].name, r#"a " Infinity"#);
    assert_eq!(
        request.inputs[0].data.texts,
        ["NaN", "-Infinity", "Infinity"]
    );
}

#[test]
fn a_body_that_is_wrong_elsewhere_is_told_with_its_place() {
    for bad in ["[NaN, }", "[nan]", "[NaNs]", "\"", "[\"\\", "[Infinity"] {
        let error = request(body(bad).into(), Encoding::Identity, 9999).unwrap_err();
        assert_eq!(error.code(), "BadBody", "{bad}");
        assert!(error.to_string().contains("line 1 column"), "{error}");
    }
}

#[test]
fn compressed_bodies_are_read_up_to_the_limit() {
    let text = body("[1, 2, 3]");
    let mut deflated = ZlibEncoder::new(vec![], Compression::default());
    deflated.write_all(text.as_bytes()).unwrap();
    let deflated: Bytes = deflated.finish().unwrap().into();
    for (bytes, encoding) in [(gzip(&text), Encoding::Gzip), (deflated, Encoding::Deflate)] {
        let decoded = request(bytes.clone(), encoding, text.len()).unwrap();
        assert_eq!(decoded.inputs[0].data.values.len(), 3);
        let error = request(bytes.clone(), encoding, text.len() - 1).unwrap_err();
        assert_eq!(error.code(), "BodyTooLarge");
        let error = request(bytes.slice(..bytes.len() / 2), encoding, 9999).unwrap_err();
        assert_eq!(error.code(), "BadEncoding");
    }
}

#[test]
fn a_small_body_that_grows_without_end_is_stopped() {
    let bomb = gzip(&" ".repeat(10_000_000));
    assert!(bomb.len() < 20_000);
    let error = request(bomb, Encoding::Gzip, 100_000).unwrap_err();
    assert_eq!(error.code(), "BodyTooLarge");
}

#[test]
fn encodings_are_known_by_name() {
    assert_eq!(Encoding::of(&HeaderMap::new()).unwrap(), Encoding::Identity);
    for (value, expected) in [
        ("identity", Encoding::Identity),
        ("gzip", Encoding::Gzip),
        ("X-GZIP", Encoding::Gzip),
        ("deflate", Encoding::Deflate),
    ] {
        assert_eq!(Encoding::of(&header(value)).unwrap(), expected);
    }
    for value in ["br", "zstd", "gzip, gzip"] {
        let error = Encoding::of(&header(value)).unwrap_err();
        assert_eq!(error.code(), "UnknownEncoding", "{value}");
    }
}
