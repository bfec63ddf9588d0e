//! The command line as typed. No defaults from files here, and no I/O.

#![expect(clippy::doc_markdown, reason = "doc comments are help texts here")]

mod artifacts;
mod evaluate;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use mcdeploy_api::{ImageRegistry, Provider};
use mcdeploy_registry::SourceAddress;
use mcdeploy_sandbox::SandboxArgs;

pub(crate) use self::artifacts::{
    ArtifactsCommand, Bytes, CpArgs, GcArgs, LsArgs, PlanArgs, ReplicateArgs, RuleArgs, ScrubArgs,
    StoreArgs, VerifyArgs,
};
pub(crate) use self::evaluate::{
    Bound, EvaluateArgs, EvaluateCommand, EvaluateFormat, SuggestArgs,
};
use crate::{
    names::{ModelName, VersionRef, did_you_mean},
    output::{GetFormat, ReportFormat},
    store_ref::StoreRef,
};

macro_rules! exit_codes {
    () => {
        "\
Exit codes:
    0  done; of evaluate: good enough
    1  failed, or unhealthy; of evaluate: not good enough
    2  wrong usage, configuration or input
    4  credentials missing or refused
    5  something named does not exist
    6  conflict: somebody else was first, or other bytes under a used version
    7  inconclusive: evaluate cannot tell whether a version is good
  124  --timeout passed; the work goes on in the hub
  130  interrupted; the work goes on in the hub"
    };
}

const HELP: &str = concat!(
    "\
Examples:
  mcdeploy init
  mcdeploy evaluate --labels y.csv --predictions p.csv
  mcdeploy push v3
  mcdeploy rollout --model v3 --clouds aws,gcp
  mcdeploy status -w

Files:
  mcdeploy.yaml is looked for here and in every directory above. A flag wins over its
  environment variable (MCDEPLOY_*), that over mcdeploy.yaml, that over the default.

",
    exit_codes!()
);

/// What exit codes mean.
pub(crate) const EXIT_CODES: &str = exit_codes!();

const EXIT_CODES_PAGE: &str = concat!(
    exit_codes!(),
    "

Examples:
  mcdeploy help exit-codes
  mcdeploy evaluate -f eval.yaml --predictions p.csv || echo \"exit code $?\""
);

/// Deploys models to Kubernetes clusters in several clouds.
#[derive(Debug, Parser)]
#[command(name = "mcdeploy", version, after_help = HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Examples of the pages that another crate defines.
const SANDBOX_EXAMPLES: [(&str, &str); 8] = [
    ("up", "mcdeploy sandbox up --install"),
    ("status", "mcdeploy sandbox status -o json"),
    ("down", "mcdeploy sandbox down"),
    (
        "outage",
        "mcdeploy sandbox outage aws\n  mcdeploy sandbox outage gcp --loss 20",
    ),
    ("heal", "mcdeploy sandbox heal aws"),
    (
        "kubeconfig",
        "mcdeploy sandbox kubeconfig hub > hub.yaml\n  KUBECONFIG=hub.yaml mcdeploy status",
    ),
    ("images", "mcdeploy sandbox images"),
    ("tools", "mcdeploy sandbox tools"),
];

/// The definition of the command line.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommand("sandbox", |sandbox| {
        let pages = SANDBOX_EXAMPLES.into_iter();
        pages.fold(sandbox, |sandbox, (name, examples)| {
            sandbox.mut_subcommand(name, |page| {
                page.after_help(format!("Examples:\n  {examples}"))
            })
        })
    })
}

/// Flags of every command.
#[derive(Args, Debug)]
pub(crate) struct GlobalArgs {
    /// Print data, warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print logs to stderr; more with -vv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE are obeyed too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented mcdeploy.yaml into the current directory
    Init(InitArgs),
    /// Upload a version of the model, with checksums, to a store
    Push(Box<PushArgs>),
    /// Model versions in stores: list, verify, plan copies, copy, scrub
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Bring a version to clouds, and wait until it serves there
    Rollout(Box<RolloutArgs>),
    /// Show what serves where
    Status(StatusArgs),
    /// List or print objects of the hub
    Get(GetArgs),
    /// Add and list member clusters
    #[command(subcommand)]
    Clusters(ClustersCommand),
    /// Three clouds and a hub on this machine, for trying things out
    #[command(subcommand)]
    Sandbox(SandboxArgs),
    /// Say whether a version is good enough, by its answers to rows whose truth is known
    Evaluate(Box<EvaluateArgs>),
    /// Say what exit codes mean
    #[command(after_help = EXIT_CODES_PAGE)]
    ExitCodes,
    /// Print the versions of this program and of the hub
    Version(VersionArgs),
    /// Print the reference of all commands as Markdown
    #[command(name = "__reference", hide = true)]
    Reference,
}

/// Member clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClustersCommand {
    /// Make a member cluster known to the hub, or renew its token
    Add(Box<ClustersAddArgs>),
    /// List the member clusters
    #[command(after_help = "Examples:\n  mcdeploy clusters ls\n  mcdeploy clusters ls -o json")]
    Ls(ClustersLsArgs),
}

/// Which hub.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HubArgs {
    /// Kubeconfig of the hub [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, env = "MCDEPLOY_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "MCDEPLOY_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
}

impl HubArgs {
    /// The flags that were given, to name the same hub again.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let kubeconfig = self.kubeconfig.as_ref();
        let kubeconfig = kubeconfig.map(|path| ("--kubeconfig", path.display().to_string()));
        let context = self.context.clone().map(|name| ("--context", name));
        kubeconfig.into_iter().chain(context).collect()
    }
}

/// Which project.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ProjectArgs {
    /// The project file [default: mcdeploy.yaml here or in a directory above]
    #[arg(long, env = "MCDEPLOY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Namespace of the hub [default: that of mcdeploy.yaml, then of the context]
    #[arg(short, long, env = "MCDEPLOY_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// `init`
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  mcdeploy init\n  mcdeploy init digits")]
pub(crate) struct InitArgs {
    /// Name of the model [default: the directory's name]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<ModelName>,
}

/// `push`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy push v3
  mcdeploy push v3 --store gcp
  mcdeploy push digits:v3 --dir ./export
  mcdeploy push v4 --from hf://org/digits@main

The files of DIR/VERSION are hashed and uploaded, then a manifest of them. The same
files again change nothing; other files under a used version are refused (exit code 6).
What Git and `hf download` keep there for themselves is left out (.git, .cache/huggingface).")]
pub(crate) struct PushArgs {
    /// Version to push: VERSION, or MODEL:VERSION
    #[arg(value_name = "VERSION", required_unless_present = "version_flag")]
    pub(crate) version: Option<VersionRef>,
    /// The same as a flag
    #[arg(
        id = "version_flag",
        long = "version",
        value_name = "VERSION",
        conflicts_with = "version"
    )]
    pub(crate) version_flag: Option<VersionRef>,
    /// Store to upload to: an ArtifactStore, or a URL such as s3://BUCKET, of which the hub is
    /// not told [default: that of mcdeploy.yaml, then the first that is Ready]
    #[arg(long, env = "MCDEPLOY_STORE", value_name = "STORE")]
    pub(crate) store: Option<StoreRef>,
    /// Directory that holds a directory per version [default: that of mcdeploy.yaml]
    #[arg(long, env = "MCDEPLOY_DIR", value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Take the files from where somebody published them: hf://ORG/NAME[@REVISION],
    /// oci://REGISTRY/NAME:TAG, models:/NAME/VERSION or models:/NAME@ALIAS (MLflow)
    #[arg(long, value_name = "SOURCE", conflicts_with = "dir")]
    pub(crate) from: Option<SourceAddress>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `rollout`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy rollout --model v3 --clouds aws,gcp
  mcdeploy rollout --model v3
  mcdeploy rollout --model v3 --clusters gcp --timeout 5m -o json
  mcdeploy rollout --model digits:v3 --image registry.example.com/mcserve:1.4

--clouds and --clusters say what this rollout may touch, one cloud (or cluster) after
the other in the order written; what is left out keeps its version. They never change
where the model is placed, except that they are the placement of a model that is not
deployed yet. Without them the rollout goes to the whole placement.")]
pub(crate) struct RolloutArgs {
    /// Version to roll out: VERSION, or MODEL:VERSION
    #[arg(long, value_name = "VERSION")]
    pub(crate) model: VersionRef,
    /// Clouds to touch, one after the other: aws, azure, gcp, onprem
    #[arg(
        long,
        value_name = "CLOUDS",
        value_delimiter = ',',
        value_parser = parse_cloud,
        conflicts_with = "clusters"
    )]
    pub(crate) clouds: Vec<Provider>,
    /// Member clusters to touch, one after the other
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) clusters: Vec<String>,
    /// Image of the model server, by tag or digest [default: that of mcdeploy.yaml]
    #[arg(long, env = "MCDEPLOY_IMAGE", value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Where to look up tags of a registry, such as example.com=http://10.0.0.1:5000
    #[arg(long, value_name = "REGISTRY=URL")]
    pub(crate) registry_mirror: Vec<String>,
    /// How long to wait, such as 90s or 10m
    #[arg(
        long,
        env = "MCDEPLOY_TIMEOUT",
        value_name = "TIME",
        default_value = "10m",
        value_parser = parse_duration
    )]
    pub(crate) timeout: SignedDuration,
    /// Ask for the rollout and do not wait for its end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `status`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy status
  mcdeploy status -w
  mcdeploy status digits -o json

Exit code 1 when a deployment is not Ready.")]
pub(crate) struct StatusArgs {
    /// The model deployment [default: the model of mcdeploy.yaml, else all]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Keep watching; Ctrl-C ends it
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `get`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy get modelversions
  mcdeploy get md digits -o yaml
  mcdeploy get clusters -o name
  mcdeploy get rollouts -A

Kinds: modelversions (mv, versions), modeldeployments (md, deployments), modelrollouts
(mr, rollouts), trafficpolicies (tp), memberclusters (mc, clusters), artifactstores (as,
stores).")]
pub(crate) struct GetArgs {
    /// Kind of object
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
    /// One object of the kind
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name"])]
    pub(crate) all_namespaces: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: GetFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `clusters add`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy clusters add aws-1 --member-context eks-1 --provider aws --region us-east-1 --store aws
  mcdeploy clusters add lab --member-kubeconfig lab.yaml --provider onprem --region lab --store lab
  mcdeploy clusters add -f fleet.json --dry-run
  terraform output -json mcdeploy | mcdeploy clusters add -f -

In the member, a token of the chart's ServiceAccount is made and nothing else. In the hub,
a Secret gets a kubeconfig with that token (no exec, no file paths), and the MemberCluster
is applied. Run the same again before the token ends.")]
pub(crate) struct ClustersAddArgs {
    /// Name of the member cluster, as `member.cluster` of its chart says
    #[arg(value_name = "NAME", required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// Add every cluster and store of an inventory in JSON; - reads standard input
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with_all = ["name", "provider", "region", "store", "image_registry", "node_cache", "ingress", "server", "member_context"]
    )]
    pub(crate) file: Option<PathBuf>,
    /// Check the inventory, show what would be done, and do nothing; a hub that answers is asked
    /// what would change, and none is needed
    #[arg(long, requires = "file")]
    pub(crate) dry_run: bool,
    /// Kubeconfig of the member [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE", required_unless_present_any = ["member_context", "file"])]
    pub(crate) member_kubeconfig: Option<PathBuf>,
    /// Context of the member's kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) member_context: Option<String>,
    /// Cloud that the cluster runs at: aws, azure, gcp, onprem
    #[arg(long, value_name = "CLOUD", value_parser = parse_cloud, required_unless_present = "file")]
    pub(crate) provider: Option<Provider>,
    /// Region, in the provider's own spelling
    #[arg(long, value_name = "REGION", required_unless_present = "file")]
    pub(crate) region: Option<String>,
    /// ArtifactStore that the cluster's pods read models from
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub(crate) store: Option<String>,
    /// Registry that the cluster's pods pull from; images are copied there first
    #[arg(long, value_name = "HOST[/PATH]", value_parser = crate::image_registry::parse)]
    pub(crate) image_registry: Option<ImageRegistry>,
    /// Secret in the hub with the registry's username and password, for the copies
    #[arg(long, value_name = "NAME", requires = "image_registry")]
    pub(crate) image_registry_secret: Option<String>,
    /// What the cache of a node may hold, such as 100GiB, where the chart's member.cache makes
    /// one [default: as before, else no cache is used]
    #[arg(long, value_name = "BYTES")]
    pub(crate) node_cache: Option<Bytes>,
    /// Where the gateway answers, when its Service's own address does not do
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) ingress: Option<String>,
    /// Address of the member's API server as the hub reaches it [default: as in its kubeconfig]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// How long the token should hold; the member may cut it
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = parse_lifetime)]
    pub(crate) token_lifetime: SignedDuration,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `clusters ls`
#[derive(Args, Debug)]
pub(crate) struct ClustersLsArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: GetFormat,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `version`
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  mcdeploy version\n  mcdeploy version -o json")]
pub(crate) struct VersionArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

impl PushArgs {
    /// The version, from whichever place it was written in.
    pub(crate) fn version(&self) -> Option<&VersionRef> {
        self.version.as_ref().or(self.version_flag.as_ref())
    }
}

fn parse_cloud(word: &str) -> Result<Provider, String> {
    let known = Provider::ALL.map(Provider::as_str);
    word.trim().parse().map_err(|_| {
        format!(
            "unknown cloud {}: expected one of {}",
            did_you_mean(word, known),
            known.join(", ")
        )
    })
}

/// Days are 24 hours here.
fn parse_lifetime(text: &str) -> Result<SignedDuration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<i64>().ok());
    match days {
        Some(days @ 1..=36_500) => Ok(SignedDuration::from_hours(24 * days)),
        Some(_) => Err(format!(
            "{text:?} is no lifetime: expected one such as 30d or 12h"
        )),
        None => parse_duration(text),
    }
}

fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration > SignedDuration::ZERO => Ok(duration),
        _ => Err(format!(
            "{text:?} is no time: expected one such as 90s or 10m"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_help_page_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.is_hide_set() {
                return;
            }
            if command.has_subcommands() && !path.trim().contains(' ') {
                assert!(command.get_after_help().is_some(), "{path}");
            }
            for child in command.get_subcommands() {
                check(child, &path);
            }
            if !command.has_subcommands() {
                let help = command.get_after_help().map(ToString::to_string);
                assert!(
                    help.is_some_and(|help| help.contains("Examples:")),
                    "{path}"
                );
            }
        }
        check(&command(), "");
    }

    #[test]
    fn an_unknown_cloud_is_told_with_the_nearest_one() {
        let error = command()
            .try_get_matches_from(["mcdeploy", "rollout", "--model", "v3", "--clouds", "asw"]);
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("unknown cloud \"asw\" (did you mean \"aws\"?)"),
            "{text}"
        );
    }
}
