//! Links in a local source are followed inside of it only.

use std::{fs, os::unix::fs::symlink};

use mcdeploy_api::ErrorClass;
use mcdeploy_store::open_directory;

use crate::{
    tools::{key, read_all, token},
    versions::push,
};

#[tokio::test]
async fn a_link_in_a_pushed_directory_is_its_file_or_refused_when_that_is_outside() {
    let root = tempfile::tempdir().unwrap();
    let store = open_directory(root.path()).unwrap();
    let (dir, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(dir.path().join("blobs")).unwrap();
    fs::write(dir.path().join("blobs/1"), b"weights").unwrap();
    symlink("blobs/1", dir.path().join("model.bin")).unwrap();
    push(store.as_ref(), dir.path(), "v1").await.unwrap();
    let pushed = read_all(store.as_ref(), &key("digits/v1/model.bin")).await;
    assert_eq!(pushed, "weights");

    let secret = home.path().join("credentials");
    fs::write(&secret, b"key").unwrap();
    symlink(&secret, dir.path().join("notes.txt")).unwrap();
    let refused = push(store.as_ref(), dir.path(), "v2").await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Permanent);
    let text = refused.to_string();
    assert!(
        text.contains("notes.txt") && text.contains("outside"),
        "{text}"
    );
    assert_eq!(store.list("digits/v2/", &token()).await.unwrap(), []);

    // By two links, and by a relative one.
    fs::remove_file(dir.path().join("notes.txt")).unwrap();
    let up = format!(
        "../{}/credentials",
        home.path().file_name().unwrap().display()
    );
    symlink(up, dir.path().join("one")).unwrap();
    symlink("one", dir.path().join("two")).unwrap();
    let refused = push(store.as_ref(), dir.path(), "v2").await.unwrap_err();
    assert!(refused.to_string().contains("outside"), "{refused}");
}

#[tokio::test]
async fn a_directory_as_a_store_gives_no_bytes_of_files_outside_of_it() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("inside"), b"weights").unwrap();
    fs::write(home.path().join("credentials"), b"key").unwrap();
    symlink("inside", root.path().join("good")).unwrap();
    symlink(home.path().join("credentials"), root.path().join("bad")).unwrap();
    let store = open_directory(root.path()).unwrap();
    assert_eq!(read_all(store.as_ref(), &key("good")).await, "weights");
    let bad = store.head(&key("bad"), &token()).await.unwrap();
    let read = store.read(&bad, 0..3, &token()).await.unwrap_err();
    assert!(read.to_string().contains("outside"), "{read}");
    let hashed = store.stored_checksums(&bad, &token()).await.unwrap_err();
    assert!(hashed.to_string().contains("outside"), "{hashed}");
}
