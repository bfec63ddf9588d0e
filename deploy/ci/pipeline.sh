#!/usr/bin/env bash
# The steps from Terraform to a rollout, the same for GitHub, GitLab and a terminal.
#
#   deploy/ci/pipeline.sh check|login|plan|comment|apply|join|rollout|summary|all
#
# Settings come from the environment; the directory of the Terraform configuration is
# needed by every step but `rollout`:
#   MCDEPLOY_DIRECTORY       directory with the configuration (output `mcdeploy`)
#   MCDEPLOY_VAR_FILE        variables, relative to it             [terraform.tfvars]
#   MCDEPLOY_BACKEND_CONFIG  backend settings, relative to it      [none]
#   MCDEPLOY_MODEL           version to roll out, VERSION or MODEL:VERSION
#   MCDEPLOY_CLOUDS          clouds to touch, such as aws,gcp      [the whole placement]
#   MCDEPLOY_APPROVED        digest of the plan that was approved  [none: apply asks]
#   AWS_ROLE_ARN; ARM_CLIENT_ID, ARM_TENANT_ID, ARM_SUBSCRIPTION_ID;
#   GCP_WORKLOAD_IDENTITY_PROVIDER, GCP_SERVICE_ACCOUNT: who to be in which cloud; what
#   is not set is left alone, so that a terminal uses its own logins.
set -euo pipefail

fail() {
  echo "pipeline: $*" >&2
  exit 1
}

need() {
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || fail "$name is not set, see the head of $0"
  done
}

tools() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "$tool is not on PATH"
  done
}

# Plans and tokens of this run; readable by nobody else, removed by whoever made it.
work="${MCDEPLOY_CI_DIR:-${RUNNER_TEMP:-${CI_BUILDS_DIR:-${TMPDIR:-/tmp}}}/mcdeploy-ci-$(id -u)}"
umask 077
mkdir -p "$work"
[ -f "$work/env" ] && . "$work/env"

tf() {
  terraform -chdir="$MCDEPLOY_DIRECTORY" "$@"
}

check() {
  need MCDEPLOY_DIRECTORY
  tools terraform checkov
  terraform fmt -check -diff -recursive "$MCDEPLOY_DIRECTORY"
  tf init -backend=false -input=false
  tf validate
  tf test
  checkov --directory "$MCDEPLOY_DIRECTORY" --framework terraform --compact --quiet \
    --download-external-modules false
}

# One OIDC token for an audience: from GitHub by its endpoint, from GitLab by id_tokens.
token() {
  local audience=$1 variable=$2
  if [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ]; then
    curl --fail --silent --show-error --max-time 20 --get \
      --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
      --data-urlencode "audience=$audience" "$ACTIONS_ID_TOKEN_REQUEST_URL" | jq --exit-status --raw-output .value
  else
    need "$variable"
    printf '%s' "${!variable}"
  fi
}

login() {
  : >"$work/env"
  if [ -n "${AWS_ROLE_ARN:-}" ]; then
    token sts.amazonaws.com MCDEPLOY_TOKEN_AWS >"$work/aws.token"
    cat >>"$work/env" <<EOF
export AWS_ROLE_ARN='$AWS_ROLE_ARN' AWS_WEB_IDENTITY_TOKEN_FILE='$work/aws.token' AWS_ROLE_SESSION_NAME='mcdeploy-ci'
EOF
  fi
  if [ -n "${ARM_CLIENT_ID:-}" ]; then
    need ARM_TENANT_ID ARM_SUBSCRIPTION_ID
    token api://AzureADTokenExchange MCDEPLOY_TOKEN_AZURE >"$work/azure.token"
    cat >>"$work/env" <<EOF
export ARM_USE_OIDC=true ARM_OIDC_TOKEN_FILE_PATH='$work/azure.token' ARM_CLIENT_ID='$ARM_CLIENT_ID'
export ARM_TENANT_ID='$ARM_TENANT_ID' ARM_SUBSCRIPTION_ID='$ARM_SUBSCRIPTION_ID'
EOF
  fi
  if [ -n "${GCP_WORKLOAD_IDENTITY_PROVIDER:-}" ]; then
    need GCP_SERVICE_ACCOUNT
    token "https://iam.googleapis.com/$GCP_WORKLOAD_IDENTITY_PROVIDER" MCDEPLOY_TOKEN_GCP >"$work/gcp.token"
    jq --null-input --arg provider "$GCP_WORKLOAD_IDENTITY_PROVIDER" --arg account "$GCP_SERVICE_ACCOUNT" \
      --arg file "$work/gcp.token" '{
        type: "external_account",
        audience: ("//iam.googleapis.com/" + $provider),
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_url: "https://sts.googleapis.com/v1/token",
        service_account_impersonation_url:
          ("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + $account + ":generateAccessToken"),
        credential_source: { file: $file }
      }' >"$work/gcp.json"
    echo "export GOOGLE_APPLICATION_CREDENTIALS='$work/gcp.json'" >>"$work/env"
  fi
}

# Makes the plan and says what it is by a digest: only that plan is applied later.
make_plan() {
  need MCDEPLOY_DIRECTORY
  tools terraform
  local arguments=()
  [ -z "${MCDEPLOY_BACKEND_CONFIG:-}" ] || arguments+=("-backend-config=$MCDEPLOY_BACKEND_CONFIG")
  tf init -input=false "${arguments[@]}" >&2
  tf plan -input=false -lock-timeout=120s -var-file="${MCDEPLOY_VAR_FILE:-terraform.tfvars}" -out="$work/plan" >&2
  tf show -no-color "$work/plan" >"$work/plan.txt"
  sha256sum "$work/plan.txt" | cut -d' ' -f1 >"$work/plan.digest"
}

plan() {
  make_plan
  tf show -json "$work/plan" | jq '{
    create: [.resource_changes[]? | select(.change.actions | index("create"))] | length,
    update: [.resource_changes[]? | select(.change.actions == ["update"])] | length,
    delete: [.resource_changes[]? | select(.change.actions | index("delete"))] | length
  }' >"$work/plan.json"
  {
    echo "### Terraform plan of \`$MCDEPLOY_DIRECTORY\`"
    echo
    jq --raw-output '"\(.create) to add, \(.update) to change, \(.delete) to destroy"' "$work/plan.json"
    echo
    echo "<details><summary>digest $(cat "$work/plan.digest")</summary>"
    echo
    echo '```'
    # A comment holds 65536 characters.
    head -c 60000 "$work/plan.txt"
    echo
    echo '```'
    echo "</details>"
  } >"$work/plan.md"
  [ -z "${GITHUB_OUTPUT:-}" ] || echo "digest=$(cat "$work/plan.digest")" >>"$GITHUB_OUTPUT"
  cat "$work/plan.md"
}

# The plan as a comment on the pull request; GitLab shows plan.json in its own widget.
comment() {
  need GITHUB_TOKEN GITHUB_API_URL GITHUB_REPOSITORY MCDEPLOY_PULL_REQUEST
  jq --null-input --rawfile body "$work/plan.md" '{ body: $body }' |
    curl --fail --silent --show-error --max-time 30 --output /dev/null \
      --header "Authorization: Bearer $GITHUB_TOKEN" --header "Accept: application/vnd.github+json" \
      --data @- "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/$MCDEPLOY_PULL_REQUEST/comments"
}

apply() {
  make_plan
  local digest
  digest=$(cat "$work/plan.digest")
  if [ -n "${MCDEPLOY_APPROVED:-}" ]; then
    [ "$digest" = "$MCDEPLOY_APPROVED" ] ||
      fail "the plan is another one than that which was approved ($MCDEPLOY_APPROVED), it is $digest now: something changed meanwhile; run the pipeline again"
  else
    [ -t 0 ] || fail "MCDEPLOY_APPROVED is not set, and there is nobody to ask"
    cat "$work/plan.txt"
    read -r -p "Apply this plan? Only 'yes' does: " answer
    [ "$answer" = yes ] || fail "not applied"
  fi
  tf apply -input=false -lock-timeout=120s "$work/plan"
}

join() {
  need MCDEPLOY_DIRECTORY
  tools terraform mcdeploy
  tf output -json mcdeploy >"$work/fleet.json"
  mcdeploy clusters add -f - <"$work/fleet.json"
}

rollout() {
  need MCDEPLOY_MODEL
  tools mcdeploy
  local arguments=(--model "$MCDEPLOY_MODEL")
  [ -z "${MCDEPLOY_CLOUDS:-}" ] || arguments+=(--clouds "$MCDEPLOY_CLOUDS")
  local status=0
  mcdeploy rollout "${arguments[@]}" --timeout "${MCDEPLOY_TIMEOUT:-30m}" || status=$?
  echo "$status" >"$work/rollout.status"
  return "$status"
}

summary() {
  {
    echo "### mcdeploy"
    echo
    echo "| what | result |"
    echo "|---|---|"
    if [ -f "$work/plan.digest" ]; then echo "| plan | \`$(cut -c1-12 "$work/plan.digest")\` |"; fi
    if [ -f "$work/fleet.json" ]; then
      echo "| clusters | $(jq --raw-output '[.clusters[].name] | join(", ")' "$work/fleet.json") |"
    fi
    if [ -f "$work/rollout.status" ]; then
      echo "| rollout of ${MCDEPLOY_MODEL:-?} to ${MCDEPLOY_CLOUDS:-the whole placement} | exit code $(cat "$work/rollout.status") |"
    fi
  } | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}"
}

clean() {
  rm -rf -- "$work"
}

all() {
  trap clean EXIT
  check
  login
  plan >/dev/null
  apply
  join
  if [ -n "${MCDEPLOY_MODEL:-}" ]; then rollout; fi
  summary
}

case "${1:-}" in
  check | login | plan | comment | apply | join | rollout | summary | clean | all) "$1" ;;
  *) fail "expected check, login, plan, comment, apply, join, rollout, summary, clean or all" ;;
esac
