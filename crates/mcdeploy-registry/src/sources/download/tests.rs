use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::stream;

use super::*;

/// Where an answer begins, the whole length if it says it, the bytes, and whether it breaks
/// off after them.
type Answer = (u64, Option<u64>, &'static str, bool);

/// A source that answers as told, whatever it is asked for.
#[derive(Debug)]
struct Scripted {
    files: Vec<SourceFile>,
    /// The last one stays.
    answers: Mutex<Vec<Answer>>,
    asked: AtomicU64,
}

impl Scripted {
    fn new(size_bytes: Option<u64>, answers: &[Answer]) -> Self {
        Self {
            files: vec![SourceFile {
                path: "m".to_owned(),
                size_bytes,
                sha256: None,
            }],
            answers: Mutex::new(answers.to_vec()),
            asked: AtomicU64::new(0),
        }
    }
}

#[async_trait::async_trait]
impl Source for Scripted {
    fn pinned(&self) -> String {
        "test://m".to_owned()
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }

    async fn read(
        &self,
        _file: &SourceFile,
        _offset: u64,
        _cancel: &CancellationToken,
    ) -> Result<Reading, RegistryError> {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) < 50, "no end");
        let mut answers = self.answers.lock().unwrap();
        let (begin, whole_bytes, bytes, breaks) = match answers.len() {
            1 => answers[0],
            _ => answers.remove(0),
        };
        let mut items = vec![Ok(Bytes::from(bytes))];
        if breaks {
            let detail = "connection reset".to_owned();
            items.push(Err(RegistryCause::Unreachable { detail }));
        }
        Ok(Reading {
            begin,
            whole_bytes,
            body: stream::iter(items).boxed(),
        })
    }
}

/// What came of it, the file if it is there, and how much progress was told.
async fn outcome(
    source: &Scripted,
    left: Option<&str>,
) -> (Result<Downloaded, DownloadError>, Option<String>, u64) {
    let dir = tempfile::tempdir().unwrap();
    if let Some(left) = left {
        std::fs::write(dir.path().join("m.mcdeploy-part"), left).unwrap();
    }
    let told = AtomicU64::new(0);
    let on_bytes = |more| {
        told.fetch_add(more, Ordering::Relaxed);
    };
    let got = download(source, dir.path(), &on_bytes, &CancellationToken::new()).await;
    let file = std::fs::read_to_string(dir.path().join("m")).ok();
    (got, file, told.into_inner())
}

#[tokio::test]
async fn a_size_that_was_not_said_is_not_zero() {
    for whole in [None, Some(7)] {
        let source = Scripted::new(None, &[(0, whole, "weights", false)]);
        let (got, file, told) = outcome(&source, None).await;
        assert_eq!(file.as_deref(), Some("weights"));
        let got = got.unwrap();
        assert_eq!(
            (got.files, got.size_bytes, got.read_bytes, told),
            (1, 7, 7, 7)
        );
    }
    let empty = Scripted::new(None, &[(0, Some(0), "", false)]);
    let (got, file, _) = outcome(&empty, None).await;
    assert_eq!((got.unwrap().size_bytes, file.as_deref()), (0, Some("")));
}

#[tokio::test]
async fn a_file_that_is_said_to_be_empty_is_looked_at() {
    let empty = Scripted::new(Some(0), &[(0, Some(0), "", false)]);
    let (got, file, _) = outcome(&empty, None).await;
    assert_eq!((got.unwrap().size_bytes, file.as_deref()), (0, Some("")));
    let not_empty = Scripted::new(Some(0), &[(0, Some(7), "weights", false)]);
    let (got, file, _) = outcome(&not_empty, None).await;
    let error = got.unwrap_err().to_string();
    assert!(error.contains("more than 0 bytes"), "{error}");
    assert_eq!(file, None);
}

#[tokio::test]
async fn the_length_that_an_answer_says_is_held_to() {
    let answers = [(0, Some(7), "wei", false), (3, Some(7), "ghts", false)];
    let source = Scripted::new(None, &answers);
    let (got, file, told) = outcome(&source, None).await;
    assert_eq!((got.unwrap().read_bytes, told), (7, 7));
    assert_eq!(file.as_deref(), Some("weights"));
    let short = Scripted::new(None, &[(0, Some(7), "wei", false)]);
    let (got, file, _) = outcome(&short, None).await;
    let error = got.unwrap_err();
    assert_eq!(
        (error.class(), file),
        (ErrorClass::Transient, None),
        "{error}"
    );
}

#[tokio::test]
async fn what_an_earlier_run_left_of_a_file_of_unknown_length_is_begun_anew() {
    let source = Scripted::new(None, &[(0, Some(7), "weights", false)]);
    let (got, file, _) = outcome(&source, Some("of another version, and longer")).await;
    assert_eq!(got.unwrap().size_bytes, 7);
    assert_eq!(file.as_deref(), Some("weights"));
}

#[tokio::test]
async fn a_source_that_gives_the_same_bytes_again_and_again_is_given_up() {
    for breaks in [false, true] {
        let source = Scripted::new(Some(7), &[(0, Some(7), "wei", breaks)]);
        let (got, file, told) = outcome(&source, None).await;
        let error = got.unwrap_err();
        assert_eq!(
            (error.class(), file),
            (ErrorClass::Transient, None),
            "{error}"
        );
        let asked = source.asked.load(Ordering::Relaxed);
        assert!(asked <= u64::from(BREAKS) + 2, "{asked} requests");
        assert_eq!(told, 3, "progress is what was kept");
    }
}

#[tokio::test]
async fn a_source_without_ranges_that_gets_further_each_time_ends() {
    let answers = [
        (0, Some(7), "w", true),
        (0, Some(7), "we", true),
        (0, Some(7), "w", true),
        (0, Some(7), "weig", true),
        (0, Some(7), "weights", false),
    ];
    let source = Scripted::new(Some(7), &answers);
    let (got, file, told) = outcome(&source, Some("w")).await;
    assert_eq!((got.unwrap().size_bytes, told), (7, 7));
    assert_eq!(file.as_deref(), Some("weights"));
}

#[tokio::test]
async fn a_pointer_of_git_lfs_is_not_the_file() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let source = Scripted::new(None, &[(0, None, pointer, false)]);
    let (got, file, _) = outcome(&source, None).await;
    let error = got.unwrap_err().to_string();
    assert!(
        error.contains("Git LFS") && error.contains("git lfs pull"),
        "{error}"
    );
    assert_eq!(file, None);
}
