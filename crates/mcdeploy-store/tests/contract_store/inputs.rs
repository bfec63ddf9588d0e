//! What people have in buckets and directories that is no object to copy, or has no name
//! that every store can hold: it stops nothing else.

use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use aws_sdk_s3::primitives::ByteStream;
use mcdeploy_api::ErrorClass;
use mcdeploy_sandbox::testing::Versitygw;
use mcdeploy_store::{
    CopiedObject, CopyError, CopyOutcome, CopyRequest, Store, StoredState, copy_objects, left_out,
    list_versions, open, open_directory,
};

use crate::{
    other_tools::foreign_s3,
    tools::{key, read_all, token},
    versions::push,
};

async fn copy(
    source: &dyn Store,
    from: &str,
    target: &dyn Store,
) -> Result<Vec<CopiedObject>, CopyError> {
    let request = CopyRequest {
        source,
        from,
        target,
        to: "to/",
        dry_run: false,
    };
    let cancel = token();
    let copied = copy_objects(&request, &|_| {}, &cancel);
    // A pipe without a writer would hold it up for ever.
    let Ok(copied) = tokio::time::timeout(Duration::from_mins(1), Box::pin(copied)).await else {
        panic!("the copy of {from} does not end");
    };
    copied
}

/// Key in the source, and what came of it in a word.
fn words(copied: &[CopiedObject]) -> Vec<(&str, &'static str)> {
    let word = |object: &CopiedObject| match &object.outcome {
        Ok(CopyOutcome::Copied { .. }) => "copied",
        Ok(CopyOutcome::Skipped { what }) => what,
        Ok(CopyOutcome::Unchanged | CopyOutcome::Absent) => "there",
        Err(CopyError::Name(_)) => "no name",
        Err(_) => "failed",
    };
    copied.iter().map(|o| (o.from.as_str(), word(o))).collect()
}

const MARKER: &str = "a marker of a directory, without bytes";

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_or_a_key_that_cannot_be_held_stops_no_other_object() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    let (client, bucket) = foreign_s3(&server.access());
    for (key, bytes) in [
        ("data/", &b""[..]),
        ("data/a?b#c", b"weights"),
        ("data/a%2Fb", b"x"),
        ("data/dot.", b"x"),
        ("data/sub/", b""),
        ("data/sub/b", b"more"),
        ("markers/only/", b""),
    ] {
        let put = client.put_object().bucket(&bucket).key(key);
        put.body(ByteStream::from_static(bytes))
            .send()
            .await
            .unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let target = open_directory(root.path()).unwrap();
    let copied = copy(store.as_ref(), "data/", target.as_ref())
        .await
        .unwrap();
    let expected = [
        ("data/a%2Fb", "no name"),
        ("data/a?b#c", "copied"),
        ("data/dot.", "no name"),
        ("data/sub/b", "copied"),
        ("data/", MARKER),
        ("data/sub/", MARKER),
    ];
    assert_eq!(words(&copied), expected);
    assert_eq!(read_all(target.as_ref(), &key("to/a?b#c")).await, "weights");
    assert_eq!(read_all(target.as_ref(), &key("to/sub/b")).await, "more");
    let only = copy(store.as_ref(), "markers/", target.as_ref()).await;
    assert!(
        matches!(only, Err(CopyError::NothingToCopy { .. })),
        "{only:?}"
    );

    // A marker is no file of a version.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.onnx"), b"weights").unwrap();
    push(store.as_ref(), dir.path(), "v1").await.unwrap();
    for marker in ["digits/v1/sub/", "digits/v9/"] {
        let put = client.put_object().bucket(&bucket).key(marker);
        put.send().await.unwrap();
    }
    let versions = list_versions(store.as_ref(), Some("digits"), &token()).await;
    let versions = versions.unwrap();
    let shown: Vec<_> = versions
        .iter()
        .map(|v| (&*v.version, v.state, v.files))
        .collect();
    assert_eq!(shown, [("v1", StoredState::Whole, 1)]);
}

#[tokio::test]
async fn what_is_neither_a_file_nor_a_directory_is_named_and_skipped_or_refused() {
    let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("data")).unwrap();
    fs::write(path("data/a"), b"weights").unwrap();
    fs::create_dir(path("elsewhere")).unwrap();
    symlink("../elsewhere", path("data/directory")).unwrap();
    symlink("nowhere", path("data/dangling")).unwrap();
    let made = Command::new("mkfifo").arg(path("data/pipe")).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(path("data/socket")).unwrap();
    let (source, target) = (open_directory(dir.path()), open_directory(root.path()));
    let (source, target) = (source.unwrap(), target.unwrap());
    let copied = copy(source.as_ref(), "data/", target.as_ref())
        .await
        .unwrap();
    let expected = [
        ("data/a", "copied"),
        ("data/dangling", "a link to nowhere"),
        ("data/directory", "a link to a directory"),
        ("data/pipe", "a pipe"),
        ("data/socket", "a socket"),
    ];
    assert_eq!(words(&copied), expected);
    let pipe = copy(source.as_ref(), "data/pipe", target.as_ref()).await;
    let error = pipe.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
    assert!(
        error.to_string().contains("\"data/pipe\" is a pipe"),
        "{error}"
    );

    fs::remove_file(path("data/directory")).unwrap();
    fs::remove_file(path("data/dangling")).unwrap();
    let refused = push(target.as_ref(), &path("data"), "v1")
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("pipe") || text.contains("socket"), "{text}");
}

#[tokio::test]
async fn a_pointer_of_git_lfs_is_refused_and_what_git_keeps_for_itself_left_out() {
    let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    // As `git clone` without Git LFS leaves them.
    file(".git/objects/pack/1.pack", b"history");
    file("sub/.git", b"gitdir: ../.git/modules/sub");
    file(
        ".cache/huggingface/download/model.onnx.metadata",
        b"1700000000",
    );
    file(".gitattributes", b"*.onnx filter=lfs");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    file("model.onnx", pointer);
    let store = open_directory(root.path()).unwrap();
    let refused = push(store.as_ref(), dir.path(), "v1").await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Permanent);
    let text = refused.to_string();
    assert!(
        text.contains("model.onnx") && text.contains("git lfs pull"),
        "{text}"
    );
    assert_eq!(store.list("digits/", &token()).await.unwrap(), []);

    file("model.onnx", b"weights");
    // Small files that only speak of it are files.
    file("README", b"see version https://git-lfs.github.com/spec/v1");
    let pushed = push(store.as_ref(), dir.path(), "v1").await.unwrap();
    assert_eq!(pushed.files, 3);
    let left = [".cache/huggingface", ".git", "sub/.git"];
    assert_eq!(left_out(dir.path()), left);
}
