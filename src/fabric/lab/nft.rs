//! A node's packet filter, spoken to over netlink; no `nft` program is needed, though `nft list ruleset` shows the
//! result to whoever has one.
//!
//! ```text
//! table inet leakproof {
//!   chain forward { hook forward; jump halt; ct state established,related accept; jump fault; jump policy }
//!   chain halt    { … }            a fault: nothing is forwarded
//!   chain fault   { … }            faults on single flows
//!   chain policy  { jump g7 }      the one rule that changes when policies do
//!   chain g7      { ip saddr vmap @g7-egress-IPv4; …; ip daddr vmap @g7-ingress-IPv4; … }
//!   chain g7-ingress-0 { … return; drop }
//! }
//! ```

mod expression;
mod generation;
mod message;
mod pod;
mod wrong;

use netlink_packet_netfilter::nftables::Expressions;
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::compile::Guard;
use super::netlink::{Channel, NetlinkError, Request};
use crate::model::port::Protocol;
use expression::Decision;
pub(super) use generation::Generation;
use message::Base;
pub(super) use pod::{deafen, divert};
pub use wrong::{Packets, Treatment, Wrong};

const TABLE: &str = "leakproof";
const FORWARD: &str = "forward";
const HALT: &str = "halt";
const FAULT: &str = "fault";
const POLICY: &str = "policy";

/// How a guard turns packets away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denial {
    /// Silently.
    #[default]
    Drop,
    /// With an answer. Over TCP it is a reset, otherwise port unreachable: a socket here is still busy sending when
    /// the answer comes, and would take a port unreachable for a passing trouble (IPv6) where a real network's reaches
    /// it later. To whoever connects both are `ECONNREFUSED`.
    Reject,
}

impl Denial {
    /// The rules at a guard's end.
    fn rules(self) -> Vec<Vec<Expressions>> {
        match self {
            Self::Drop => vec![vec![Decision::Drop.step()]],
            Self::Reject => {
                let [load, compare] = expression::protocol(Protocol::Tcp);
                vec![vec![load, compare, expression::reset()], vec![expression::port_unreachable()]]
            }
        }
    }
}

/// Whether a node forwards anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forwarding {
    /// As it should.
    Running,
    /// Not at all, what is established included.
    Stopped,
}

/// What becomes of a filter that nobody looks after any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// It goes at once: everything passes until there are guards.
    Removed,
    /// It stays in force until there are guards to take its place, in one transaction.
    Kept,
}

/// What is there of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// All of it.
    Sound,
    /// The jump to the generation in force is missing.
    Lost,
    /// Nothing.
    Demolished,
    /// That of somebody before us, with guards that we know nothing of.
    Inherited,
}

/// The packet filter of one node.
pub(super) struct Firewall {
    channel: Channel,
    next: u64,
    condition: Condition,
    denial: Denial,
    /// What is, or should be, in force.
    guards: Vec<Guard>,
    wrongs: Vec<Wrong>,
    current: Option<Generation>,
    /// Loaded, not yet in force.
    prepared: Option<Generation>,
    /// No longer in force, not yet removed.
    outdated: Vec<Generation>,
}

impl Firewall {
    /// Sets up the filter of the calling thread's network namespace; it lets everything through.
    pub(super) fn install(denial: Denial) -> Result<Self, NetlinkError> {
        let mut firewall = Self::in_condition(Condition::Sound, denial)?;
        firewall.commit(frame())?;
        Ok(firewall)
    }

    /// The same where one may have been left.
    pub(super) fn install_after(leftover: Leftover, denial: Denial) -> Result<Self, NetlinkError> {
        match leftover {
            Leftover::Removed => {
                commit(&mut Channel::open(NETLINK_NETFILTER)?, removal().into())?;
                Self::install(denial)
            }
            Leftover::Kept => Self::in_condition(Condition::Inherited, denial),
        }
    }

    fn in_condition(condition: Condition, denial: Denial) -> Result<Self, NetlinkError> {
        Ok(Self {
            channel: Channel::open(NETLINK_NETFILTER)?,
            next: 1,
            condition,
            denial,
            guards: Vec::new(),
            wrongs: Vec::new(),
            current: None,
            prepared: None,
            outdated: Vec::new(),
        })
    }

    /// Loads guards beside the ones in force; many take several transactions, since nothing looks at them yet.
    pub(super) fn prepare(&mut self, guards: Vec<Guard>) -> Result<(), NetlinkError> {
        self.guards = guards;
        match self.condition {
            Condition::Sound | Condition::Lost => self.load(),
            Condition::Demolished | Condition::Inherited => Ok(()),
        }
    }

    fn load(&mut self) -> Result<(), NetlinkError> {
        let number = self.next;
        self.next += 1;
        let (generation, requests) = Generation::build(TABLE, number, &self.guards, self.denial);
        self.commit_in_parts(requests)?;
        self.outdated.extend(self.prepared.replace(generation));
        Ok(())
    }

    /// Puts the prepared guards in force by changing one jump, and the flows treated wrongly with them, in one
    /// transaction.
    pub(super) fn switch(&mut self, wrongs: Vec<Wrong>) -> Result<(), NetlinkError> {
        let mut requests = match self.condition {
            Condition::Sound | Condition::Lost => self.fault_rules(&wrongs),
            Condition::Demolished => Vec::new(),
            Condition::Inherited => {
                self.wrongs = wrongs;
                return self.take_over();
            }
        };
        if self.condition == Condition::Sound {
            requests.extend(self.prepared.iter().flat_map(jump_to));
        }
        self.commit(requests)?;
        self.wrongs = wrongs;
        if let Some(prepared) = self.prepared.take() {
            self.outdated.extend(self.current.replace(prepared));
        }
        Ok(())
    }

    /// Removes what is no longer in force.
    pub(super) fn sweep(&mut self) -> Result<(), NetlinkError> {
        let requests = self.outdated.drain(..).flat_map(|old| old.removal(TABLE)).collect();
        self.commit_in_parts(requests)
    }

    /// Treats exactly these flows wrongly from now on.
    pub(super) fn mistreat(&mut self, wrongs: Vec<Wrong>) -> Result<(), NetlinkError> {
        match self.condition {
            Condition::Sound | Condition::Lost => self.commit(self.fault_rules(&wrongs))?,
            // They come with the rest.
            Condition::Demolished | Condition::Inherited => {}
        }
        self.wrongs = wrongs;
        Ok(())
    }

    /// Loses the rules: everything passes.
    pub(super) fn lose(&mut self) -> Result<(), NetlinkError> {
        if self.condition == Condition::Sound {
            self.commit(vec![message::flush_chain(TABLE, POLICY)])?;
            self.condition = Condition::Lost;
        }
        Ok(())
    }

    /// Finds them again, as they should be by now.
    pub(super) fn find(&mut self) -> Result<(), NetlinkError> {
        if self.condition == Condition::Lost {
            let requests = self.current.iter().flat_map(jump_to).collect();
            self.commit(requests)?;
            self.condition = Condition::Sound;
        }
        Ok(())
    }

    /// Removes the whole filter, as the first of two transactions of a careless rebuild does.
    pub(super) fn demolish(&mut self) -> Result<(), NetlinkError> {
        self.commit(vec![message::delete_table(TABLE)])?;
        self.condition = Condition::Demolished;
        self.current = None;
        self.prepared = None;
        self.outdated.clear();
        Ok(())
    }

    /// Removes the filter for good.
    pub(super) fn remove(&mut self) -> Result<(), NetlinkError> {
        match self.condition {
            Condition::Sound | Condition::Lost => self.demolish(),
            Condition::Inherited => self.commit(removal().into()),
            Condition::Demolished => Ok(()),
        }
    }

    /// Builds it again as it should be by now, as the second does.
    pub(super) fn rebuild(&mut self) -> Result<(), NetlinkError> {
        match self.condition {
            Condition::Sound | Condition::Lost | Condition::Inherited => Ok(()),
            Condition::Demolished => {
                let (generation, all) = self.whole();
                self.commit_in_parts(all)?;
                self.current = Some(generation);
                self.condition = Condition::Sound;
                Ok(())
            }
        }
    }

    /// Puts a filter of our own in the place of one that was left, so that there is no moment without either. It has to
    /// fit into one transaction.
    fn take_over(&mut self) -> Result<(), NetlinkError> {
        let (generation, ours) = self.whole();
        self.commit(removal().into_iter().chain(ours).collect())?;
        self.current = Some(generation);
        self.condition = Condition::Sound;
        Ok(())
    }

    /// The whole filter as it should be by now.
    fn whole(&mut self) -> (Generation, Vec<Request>) {
        let number = self.next;
        self.next += 1;
        let (generation, requests) = Generation::build(TABLE, number, &self.guards, self.denial);
        let mut all = frame();
        all.extend(wrong::rules(&self.wrongs));
        all.extend(requests);
        all.extend(jump_to(&generation));
        (generation, all)
    }

    /// Stops or resumes forwarding.
    pub(super) fn forward(&mut self, forwarding: Forwarding) -> Result<(), NetlinkError> {
        let mut requests = vec![message::flush_chain(TABLE, HALT)];
        if forwarding == Forwarding::Stopped {
            requests.push(message::new_rule(TABLE, HALT, [Decision::Drop.step()]));
        }
        self.commit(requests)
    }

    fn fault_rules(&self, wrongs: &[Wrong]) -> Vec<Request> {
        if wrongs.is_empty() && self.wrongs.is_empty() {
            return Vec::new();
        }
        let mut requests = vec![message::flush_chain(TABLE, FAULT)];
        requests.extend(wrong::rules(wrongs));
        requests
    }

    fn commit(&mut self, requests: Vec<Request>) -> Result<(), NetlinkError> {
        commit(&mut self.channel, requests)
    }

    fn commit_in_parts(&mut self, requests: Vec<Request>) -> Result<(), NetlinkError> {
        for part in parts(requests, self.channel.limit()) {
            self.commit(part)?;
        }
        Ok(())
    }
}

/// Parts of at most `limit` bytes, in order; a message that is larger alone is a part of its own.
fn parts(requests: Vec<Request>, limit: usize) -> Vec<Vec<Request>> {
    let mut parts: Vec<Vec<Request>> = Vec::new();
    let mut size = 0;
    for request in requests {
        size += request.bytes.len();
        match parts.last_mut() {
            Some(part) if size <= limit => part.push(request),
            Some(_) | None => {
                size = request.bytes.len();
                parts.push(vec![request]);
            }
        }
    }
    parts
}

fn frame() -> Vec<Request> {
    let jump = |to: &str| [Decision::Jump(to.to_owned()).step()];
    let mut known: Vec<Expressions> = expression::known_connection().to_vec();
    known.push(Decision::Accept.step());
    vec![
        message::new_table(TABLE),
        message::new_chain(TABLE, HALT),
        message::new_chain(TABLE, FAULT),
        message::new_chain(TABLE, POLICY),
        message::new_base_chain(TABLE, FORWARD, Base::Forward),
        message::new_rule(TABLE, FORWARD, jump(HALT)),
        message::new_rule(TABLE, FORWARD, known),
        message::new_rule(TABLE, FORWARD, jump(FAULT)),
        message::new_rule(TABLE, FORWARD, jump(POLICY)),
    ]
}

/// Removes the filter, if there is one: it is made first, so that there is one to remove.
fn removal() -> [Request; 2] {
    [message::new_table(TABLE), message::delete_table(TABLE)]
}

fn jump_to(generation: &Generation) -> [Request; 2] {
    let jump = Decision::Jump(generation.entry.clone());
    [message::flush_chain(TABLE, POLICY), message::new_rule(TABLE, POLICY, [jump.step()])]
}

fn commit(channel: &mut Channel, requests: Vec<Request>) -> Result<(), NetlinkError> {
    if requests.is_empty() {
        return Ok(());
    }
    let mut batch = vec![message::begin()];
    batch.extend(requests);
    batch.push(message::end());
    channel.commit(&batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static [usize], &'static [&'static [usize]], &'static str);

    #[test]
    fn transactions_are_split_where_they_would_not_fit() {
        let rows: [Row; 5] = [
            (&[], &[], "nothing to do is no transaction"),
            (&[4, 6], &[&[4, 6]], "what fits exactly is one"),
            (&[4, 6, 1], &[&[4, 6], &[1]], "what does not fit begins the next"),
            (&[4, 11, 4], &[&[4], &[11], &[4]], "what never fits goes alone, and is refused alone"),
            (&[10, 10], &[&[10], &[10]], "each fills one"),
        ];
        for (sizes, expected, why) in rows {
            let requests = sizes.iter().map(|size| Request { what: String::new(), bytes: vec![0; *size] }).collect();
            let parts: Vec<Vec<usize>> =
                parts(requests, 10).iter().map(|part| part.iter().map(|r| r.bytes.len()).collect()).collect();
            assert_eq!(parts, expected, "{why}");
        }
    }
}
