//! Whether gateways route by the decision in force.

use mcdeploy_api::{ConditionStatus, ConditionType, Reason, TrafficPolicyStatus, set_condition};

use crate::{
    action::{Action, Plan},
    names::ClusterName,
    world::World,
};

pub(super) fn policy(
    world: &World,
    plan: &Plan,
    placed: &[ClusterName],
) -> Option<TrafficPolicyStatus> {
    let policy = world.policy.as_ref()?;
    let decides = |action: &Action| matches!(action, Action::DecideTraffic(_));
    if plan.invalid.is_some() || plan.actions.iter().any(decides) {
        return None;
    }
    let mut status = policy.status.clone();
    status.observed_generation = Some(policy.generation);
    let is_placed = |name: &ClusterName| placed.iter().any(|placed| placed == name);
    let behind = world.members.iter().filter(|(name, member)| {
        let view = member.seen().filter(|view| view.snapshot.is_some());
        is_placed(name) && view.is_some_and(|view| !view.applied())
    });
    let behind: Vec<_> = behind.map(|(name, _)| name.as_str()).collect();
    let publishes = plan.actions.iter().filter(|action| {
        let publishes = matches!(action, Action::PublishSnapshot { .. });
        publishes && action.cluster().is_some_and(is_placed)
    });
    let publishes = publishes
        .filter_map(Action::cluster)
        .map(ClusterName::as_str);
    let mut late: Vec<_> = behind.into_iter().chain(publishes).collect();
    late.sort_unstable();
    late.dedup();
    let (state, reason, message) = if late.is_empty() {
        let message = "every reachable gateway routes by the decision in force";
        (ConditionStatus::True, Reason::AsDesired, message.to_owned())
    } else {
        let message = format!("not yet in force in {}", late.join(", "));
        (ConditionStatus::False, Reason::GatewayBehind, message)
    };
    let (list, kind) = (&mut status.conditions, ConditionType::Ready);
    let generation = Some(policy.generation);
    set_condition(list, kind, state, reason, message, generation, world.now);
    Some(status)
}
