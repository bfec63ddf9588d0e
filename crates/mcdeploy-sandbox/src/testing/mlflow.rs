//! An MLflow server on loopback.

use std::{path::Path, time::Duration};

use tempfile::TempDir;

use super::{
    StartError,
    child::{Server, free_port, temporary_directory},
};
use crate::{
    Say,
    tools::{self, Tool},
};

/// It imports much Python.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The real server, with SQLite and a directory behind it.
#[derive(Debug)]
pub struct TestMlflow {
    _server: Server,
    _directory: TempDir,
    url: String,
}

impl TestMlflow {
    /// Starts one.
    ///
    /// # Errors
    /// The tool is missing, the process ended, or nothing answered.
    pub async fn start() -> Result<Self, StartError> {
        let package = tools::ensure(Tool::Mlflow, &Say::stderr()).await?;
        let site = package.ancestors().nth(2).unwrap_or(Path::new("."));
        let directory = temporary_directory("mlflow")?;
        let home = directory.path().display();
        let port = free_port()?.to_string();
        let database = format!("sqlite:///{home}/mlflow.db");
        let artifacts = format!("{home}/artifacts");
        let site = site.display().to_string();
        // What `mlflow server` starts, without it: that one would not take its child along
        // when it is killed.
        let app = "mlflow.server.fastapi_app:app";
        let arguments = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", &port, app];
        let arguments = arguments.map(str::to_owned);
        let environment = [
            ("PYTHONPATH", site.as_str()),
            ("GIT_PYTHON_REFRESH", "quiet"),
            ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),
            ("_MLFLOW_SGI_NAME", "uvicorn"),
            ("_MLFLOW_SERVER_FILE_STORE", &database),
            ("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/"),
            ("_MLFLOW_SERVER_ARTIFACT_DESTINATION", &artifacts),
            ("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true"),
        ];
        let python = Path::new("python3");
        let mut server =
            Server::start("mlflow", directory.path(), python, &arguments, &environment)?;
        let url = format!("http://127.0.0.1:{port}");
        let health = format!("{url}/health");
        let ready = async || {
            let answer = reqwest::get(&health).await.map_err(|e| e.to_string())?;
            let answer = answer.error_for_status();
            answer.map(|_| ()).map_err(|e| e.to_string())
        };
        server.wait_ready(READY_WITHIN, ready).await?;
        Ok(Self {
            _server: server,
            _directory: directory,
            url,
        })
    }

    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }
}
