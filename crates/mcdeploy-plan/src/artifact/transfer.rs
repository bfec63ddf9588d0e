//! Which stores a version travels through, where each transfer runs, and what it costs.
//!
//! A byte is paid for on every edge that it really crosses: out of a store to the place
//! that runs the transfer, and out of that place to a store. One reading feeds every
//! target that is written from the same place, and a store that must be filled anyway may
//! feed others. Prices and limits are data ([`PriceBook`]), money is an integer, and a
//! price that is not known is a value of its own, never 0.
//!
//! | room | role |
//! |---|---|
//! | `money` | nano-dollars |
//! | `prices` | the dated data file, and which entry holds for an edge |
//! | `bill` | what a list of transfers costs, tier by tier |
//! | `arborescence` | cheapest tree from a root (Chu-Liu/Edmonds) |
//! | `plan` | residency, limits, the graph, budget |
//! | `so_far` | what a transfer under way has cost until now |

mod arborescence;
mod bill;
mod money;
mod plan;
mod prices;
mod so_far;
#[cfg(test)]
mod tests;

pub use bill::{Bill, Fee, Leg, Transfer, Write};
pub use money::{NanoUsd, ParseUsd};
pub use plan::{Hop, HopRole, Refusal, Request, Site, Tree, plan};
pub use prices::{
    Area, Charge, Limit, Location, PriceBook, PriceBookError, PriceEntry, RegionEntry,
};
pub use so_far::Share;
