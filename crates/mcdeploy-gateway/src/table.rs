//! The routing table: which upstream gets a request. Synchronous; randomness is an
//! argument.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    budget::Budget,
    rng::Rng,
    upstream::{Upstream, UpstreamKey},
};

/// Everything that a gateway routes by.
#[derive(Debug, Default)]
pub struct Table {
    /// One route per model, by name.
    pub models: BTreeMap<String, Arc<Route>>,
}

/// How requests for one model are routed.
#[derive(Debug)]
pub struct Route {
    /// Whether a request that was not answered may be sent again.
    pub repeatable: bool,
    /// Retries that the model has.
    pub budget: Arc<Budget>,
    /// Weight of this region against the others; `None`: this region first. What has weight 0
    /// stands by.
    pub local_weight: Option<u64>,
    /// Revisions in this region.
    pub revisions: Vec<LocalRevision>,
    /// Other regions.
    pub regions: Vec<Region>,
}

/// A revision in this region.
#[derive(Debug)]
pub struct LocalRevision {
    /// Revision id.
    pub revision: String,
    /// Model version.
    pub version: String,
    /// Share of this region's requests; 0: by its versions path only.
    pub weight: u64,
    /// Its pods.
    pub pods: Vec<Arc<Upstream>>,
}

/// Another region.
#[derive(Debug)]
pub struct Region {
    /// Its gateway.
    pub upstream: Arc<Upstream>,
    /// Weight against the other regions.
    pub weight: u64,
    /// Revisions that take traffic there.
    pub revisions: Vec<String>,
}

/// What a request wants of the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Revision id or version name, from the versions path.
    pub version: Option<&'a str>,
    /// It came from another region's gateway: served here or not at all.
    pub crossed: bool,
}

/// A region whose pods are healthy by this share takes all that is its own: the rest of them
/// carries the load of the others (Envoy's overprovisioning factor, 1.4). Below, other
/// regions get what it cannot carry.
const CARRIES_ALL_PERCENT: u64 = 71;
/// With fewer healthy pods, and no other region, ejections are likelier to come of load than
/// of death: then those that are only slow or failing are asked, too, before the last ones
/// fall (Envoy's panic threshold, and its limit of ejections).
const PANIC_PERCENT: u64 = 50;

/// Most upstreams that one request is offered to, those included that did not take it.
const MOST_ASKED: usize = 16;

/// What was tried for a request, and what still may be.
///
/// An upstream that did not take the request had no try: it did no work, and learned
/// nothing. After one that took it and broke, or fell silent with it, the request itself
/// may be the reason: one more may try it, outside of that region where another can, and
/// after that none.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Upstreams that were asked.
    pub upstreams: Vec<UpstreamKey>,
    /// Tries left in this region.
    pub local_left: u32,
    /// Tries left in other regions.
    pub remote_left: u32,
    /// A pod of this region broke with it: other regions first.
    pub leave: bool,
    /// One took it.
    pub taken: bool,
    /// How many may still break with it.
    breaks_left: u32,
}

impl Tried {
    /// Nothing tried yet.
    pub fn none(ask: &Ask<'_>, local_left: u32, remote_left: u32) -> Self {
        Self {
            upstreams: Vec::new(),
            local_left,
            remote_left,
            leave: false,
            taken: false,
            // The gateway that sent it on decides about the one repeat.
            breaks_left: if ask.crossed { 1 } else { 2 },
        }
    }

    /// `pick` is asked.
    pub fn ask(&mut self, pick: &Pick) {
        self.upstreams.push(pick.upstream().key().clone());
    }

    /// `pick` took the request.
    pub fn took(&mut self, pick: &Pick) {
        self.taken = true;
        let left = match pick {
            Pick::Pod { .. } => &mut self.local_left,
            Pick::Region { .. } => &mut self.remote_left,
        };
        *left = left.saturating_sub(1);
    }

    /// `pick` took the request, and broke or fell silent with it.
    pub fn broke(&mut self, pick: &Pick) {
        self.took(pick);
        self.breaks_left = self.breaks_left.saturating_sub(1);
        let most = u32::from(self.breaks_left > 0);
        self.local_left = self.local_left.min(most);
        self.remote_left = self.remote_left.min(most);
        self.leave = matches!(pick, Pick::Pod { .. });
    }

    fn may_ask(&self, upstream: &Upstream, left: u32) -> bool {
        left > 0 && self.upstreams.len() < MOST_ASKED && !self.upstreams.contains(upstream.key())
    }
}

/// Where to send a request.
#[derive(Clone, Debug)]
pub enum Pick {
    /// To a pod of this region.
    Pod {
        /// The pod.
        upstream: Arc<Upstream>,
        /// Revision id that it serves.
        revision: String,
        /// Version that it serves.
        version: String,
    },
    /// To another region's gateway.
    Region {
        /// The gateway.
        upstream: Arc<Upstream>,
    },
}

impl Pick {
    /// The upstream.
    pub fn upstream(&self) -> &Arc<Upstream> {
        match self {
            Self::Pod { upstream, .. } | Self::Region { upstream } => upstream,
        }
    }
}

/// Why there is nowhere to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nowhere {
    /// The versions path names what no region serves.
    #[error("no region serves this version")]
    UnknownVersion,
    /// Every weight is 0.
    #[error("no revision takes traffic: every weight is 0")]
    NoWeight,
    /// Some serve it, but all are ejected, have no address, or were tried.
    #[error("no upstream is healthy")]
    NoneHealthy,
}

impl Route {
    /// Picks an upstream for a request.
    ///
    /// Never one with weight 0, but for a versions path; never one that was tried; never
    /// an ejected one while others are healthy, unless these are so few that they would fall
    /// next ([`Route::panics`]). When every one is ejected, and nothing was tried, the ejected
    /// ones are as good as any: checks can be wrong, and a try costs little.
    ///
    /// # Errors
    /// Why there is none.
    pub fn choose(&self, ask: &Ask<'_>, tried: &Tried, rng: &mut Rng) -> Result<Pick, Nowhere> {
        let local = self.local(ask);
        let regions = if ask.crossed {
            Vec::new()
        } else {
            self.remote(ask, &local)
        };
        if local.is_empty() && regions.is_empty() {
            return Err(match ask.version {
                Some(_) => Nowhere::UnknownVersion,
                None => Nowhere::NoWeight,
            });
        }
        let open = Open {
            local,
            regions,
            tried,
        };
        if !ask.crossed && open.is_in_panic() {
            let may_live = |u: &Upstream| u.is_usable() || u.may_live();
            if let Some(pick) = self.pick(ask, &open, &may_live, rng) {
                return Ok(pick);
            }
        }
        let healthy = Upstream::is_usable;
        if let Some(pick) = self.pick(ask, &open, &healthy, rng) {
            return Ok(pick);
        }
        let any = |upstream: &Upstream| upstream.peer().is_some();
        let desperate = tried.upstreams.is_empty() && !ask.crossed;
        desperate
            .then(|| self.pick(ask, &open, &any, rng))
            .flatten()
            .ok_or(Nowhere::NoneHealthy)
    }

    /// Whether so few pods of this region are healthy, and no other region, that ejected ones
    /// are asked, too.
    pub fn panics(&self) -> bool {
        let ask = Ask::default();
        let local = self.local(&ask);
        let regions = self.remote(&ask, &local);
        let tried = Tried::none(&ask, 0, 0);
        let open = Open {
            local,
            regions,
            tried: &tried,
        };
        open.is_in_panic()
    }

    /// Revisions of this region that may answer `ask`.
    fn local(&self, ask: &Ask<'_>) -> Vec<&LocalRevision> {
        let all = || self.revisions.iter();
        let Some(version) = ask.version else {
            return all().filter(|r| r.weight > 0).collect();
        };
        let by_id: Vec<_> = all().filter(|r| r.revision == version).collect();
        if !by_id.is_empty() {
            return by_id;
        }
        let named = || all().filter(|r| r.version == version);
        let weighted: Vec<_> = named().filter(|r| r.weight > 0).collect();
        if weighted.is_empty() {
            named().collect()
        } else {
            weighted
        }
    }

    /// Other regions that may answer `ask`.
    fn remote(&self, ask: &Ask<'_>, local: &[&LocalRevision]) -> Vec<&Region> {
        let Some(version) = ask.version else {
            return self.regions.iter().collect();
        };
        let lists = |r: &&Region, id: &str| r.revisions.iter().any(|x| x == id);
        let listed: Vec<_> = self
            .regions
            .iter()
            .filter(|r| lists(r, version) || local.iter().any(|l| lists(r, &l.revision)))
            .collect();
        let known_here = local.iter().any(|l| l.revision == version);
        if listed.is_empty() && !known_here {
            // A version's name, perhaps: regions are known by revision ids only.
            return self.regions.iter().collect();
        }
        listed
    }

    fn pick(
        &self,
        ask: &Ask<'_>,
        open: &Open<'_>,
        may: &impl Fn(&Upstream) -> bool,
        rng: &mut Rng,
    ) -> Option<Pick> {
        // Drawn before health is looked at: what this request would be served by.
        let wanted = draw(&open.local, rng);
        let tried = open.tried;
        let may_here = |p: &Upstream| may(p) && tried.may_ask(p, tried.local_left);
        let mut here: Vec<_> = open.local.clone();
        here.retain(|r| r.pods.iter().any(|p| may_here(p)));
        let mut away: Vec<_> = open.regions.clone();
        away.retain(|r| may(&r.upstream) && tried.may_ask(&r.upstream, tried.remote_left));
        // A versions path asks for a revision, not for a share of the traffic; and for a
        // request that crossed, the share was drawn by the gateway that sent it.
        let shares = ask.version.is_none() && !ask.crossed;
        let weights = self.local_weight.filter(|_| shares);
        // What has weight 0 stands by: it serves what nothing with a weight can.
        let has_weight = |r: &&Region| weights.is_none() || r.weight > 0;
        let to_standby = !away.iter().any(has_weight);
        if !to_standby {
            away.retain(has_weight);
        }
        if tried.leave && !away.is_empty() {
            here.clear();
        }
        // Of several that stand by, the region itself comes first, and the others are alike.
        let by_weight = weights.filter(|_| !to_standby);
        let stay = match by_weight {
            _ if here.is_empty() => false,
            _ if away.is_empty() => true,
            Some(local) => {
                let total = local + away.iter().map(|r| r.weight).sum::<u64>();
                rng.below(total * 100) < local * open.carried_percent()
            }
            None => rng.below(100) < open.carried_percent(),
        };
        if stay {
            return pick_pod(wanted, &here, &may_here, rng);
        }
        // The first draw follows the weights alone; whoever leaves because this region
        // cannot answer prefers the same revision.
        let forced = weights.is_none() || here.is_empty() || !tried.upstreams.is_empty();
        let same = |r: &Region| wanted.is_some_and(|w| r.revisions.contains(&w.revision));
        let mut from = away;
        if forced && from.iter().any(|r| same(r)) {
            from.retain(|r| same(r));
        }
        let index = rng.weighted(from.iter().map(|r| by_weight.map_or(1, |_| r.weight)))?;
        from.get(index).map(|region| Pick::Region {
            upstream: region.upstream.clone(),
        })
    }
}

/// What may answer a request, by the table.
struct Open<'a> {
    local: Vec<&'a LocalRevision>,
    regions: Vec<&'a Region>,
    tried: &'a Tried,
}

impl Open<'_> {
    /// Healthy pods of this region, in percent; 100 where there are none at all.
    fn healthy_percent(&self) -> u64 {
        let pods = || self.local.iter().flat_map(|r| &r.pods);
        let healthy = pods().filter(|p| p.is_usable()).count() as u64;
        (healthy * 100)
            .checked_div(pods().count() as u64)
            .unwrap_or(100)
    }

    /// How much of its own traffic this region carries, in percent.
    fn carried_percent(&self) -> u64 {
        (self.healthy_percent() * 100 / CARRIES_ALL_PERCENT).min(100)
    }

    fn is_in_panic(&self) -> bool {
        let elsewhere = self.regions.iter().any(|r| r.upstream.is_usable());
        !elsewhere && self.healthy_percent() < PANIC_PERCENT
    }
}

/// One of the revisions, by weight; evenly when all are 0.
fn draw<'a>(revisions: &[&'a LocalRevision], rng: &mut Rng) -> Option<&'a LocalRevision> {
    let index = rng
        .weighted(revisions.iter().map(|r| r.weight))
        .or_else(|| rng.weighted(revisions.iter().map(|_| 1)))?;
    revisions.get(index).copied()
}

/// A pod of `wanted`, else of another revision: the one with fewer requests of two.
fn pick_pod(
    wanted: Option<&LocalRevision>,
    open: &[&LocalRevision],
    may: &impl Fn(&Upstream) -> bool,
    rng: &mut Rng,
) -> Option<Pick> {
    let is_open = |r: &&LocalRevision| open.iter().any(|o| o.revision == r.revision);
    let revision = wanted.filter(is_open).or_else(|| draw(open, rng))?;
    let pods: Vec<_> = revision.pods.iter().filter(|p| may(p)).collect();
    let mut one = || pods.get(usize::try_from(rng.below(pods.len() as u64)).ok()?);
    let (first, second) = (one()?, one()?);
    let pod = if second.in_flight() < first.in_flight() {
        second
    } else {
        first
    };
    Some(Pick::Pod {
        upstream: (*pod).clone(),
        revision: revision.revision.clone(),
        version: revision.version.clone(),
    })
}

#[cfg(test)]
mod tests;
