//! The routing table: which upstream gets a request. Synchronous; randomness is an
//! argument.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
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
    /// Weight of this region against the others; `None`: this region first.
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

/// What was tried for a request, and what still may be.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Upstreams that had their try.
    pub upstreams: Vec<UpstreamKey>,
    /// Tries left in this region.
    pub local_left: u32,
    /// Tries left in other regions.
    pub remote_left: u32,
}

impl Tried {
    /// Nothing tried yet.
    pub fn none(local_left: u32, remote_left: u32) -> Self {
        Self {
            upstreams: Vec::new(),
            local_left,
            remote_left,
        }
    }

    /// `pick` has its try.
    pub fn add(&mut self, pick: &Pick) {
        match pick {
            Pick::Pod { .. } => self.local_left = self.local_left.saturating_sub(1),
            Pick::Region { .. } => self.remote_left = self.remote_left.saturating_sub(1),
        }
        self.upstreams.push(pick.upstream().key().clone());
    }

    fn has(&self, upstream: &Upstream) -> bool {
        self.upstreams.contains(upstream.key())
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
    /// an ejected one while another is healthy. When every one is ejected, and nothing
    /// was tried, the ejected ones are as good as any: checks can be wrong, and a try
    /// costs little.
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
        let healthy = |upstream: &Upstream| upstream.is_usable() && !tried.has(upstream);
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
        let weighted = |r: &&Region| self.local_weight.is_none() || r.weight > 0;
        let Some(version) = ask.version else {
            return self.regions.iter().filter(weighted).collect();
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
        let here: Vec<_> = open
            .local
            .iter()
            .copied()
            .filter(|r| open.tried.local_left > 0 && r.pods.iter().any(|p| may(p)))
            .collect();
        let away: Vec<_> = open
            .regions
            .iter()
            .copied()
            .filter(|r| open.tried.remote_left > 0 && may(&r.upstream))
            .collect();
        // A versions path asks for a revision, not for a share of the traffic; and for a
        // request that crossed, the share was drawn by the gateway that sent it.
        let shares = ask.version.is_none() && !ask.crossed;
        let weights = self.local_weight.filter(|_| shares);
        let stay = match weights {
            _ if here.is_empty() => false,
            None => true,
            Some(local) => {
                let total = local + away.iter().map(|r| r.weight).sum::<u64>();
                rng.below(total) < local
            }
        };
        if stay {
            return pick_pod(wanted, &here, may, rng);
        }
        // The first draw follows the weights alone; whoever leaves because this region
        // cannot answer prefers the same revision.
        let forced = weights.is_none() || here.is_empty() || !open.tried.upstreams.is_empty();
        let same = |r: &Region| wanted.is_some_and(|w| r.revisions.contains(&w.revision));
        let mut from = away;
        if forced && from.iter().any(|r| same(r)) {
            from.retain(|r| same(r));
        }
        let index = rng.weighted(from.iter().map(|r| weights.map_or(1, |_| r.weight)))?;
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
