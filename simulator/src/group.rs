//! Membership: who owns what. The group notices late who is gone, and tells late what it decided, so that a thing has two owners or none
//! for a while.

use std::collections::BTreeMap;

use common::ids::Partition;

use crate::dice::Dice;
use crate::host::Order;

/// What can be owned: a partition of a topic, or a table by its topic.
pub type Unit = (&'static str, Partition);

/// One life of a process in one of the two places.
pub type Member = (usize, u32);

#[derive(Debug, Clone, Copy)]
struct Stay {
    from: u64,
    until: Option<u64>,
}

#[derive(Debug)]
struct Message {
    at: u64,
    to: Member,
    order: Order,
}

/// A consumer group.
#[derive(Debug, Default)]
pub struct Group {
    /// What there is to own.
    pub units: Vec<Unit>,
    members: BTreeMap<Member, Vec<Stay>>,
    owners: BTreeMap<Unit, Member>,
    known: Vec<Member>,
    shared_out: usize,
    rotation: usize,
    messages: Vec<Message>,
    last: BTreeMap<Member, u64>,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new(units: Vec<Unit>) -> Group {
        Group {
            units,
            ..Group::default()
        }
    }

    /// A process joins a little after now.
    pub fn join(&mut self, member: Member, now: u64, dice: &mut Dice) {
        let from = now + dice.between(20, 500);
        self.members.entry(member).or_default().push(Stay { from, until: None });
    }

    /// A process is gone, or stands still until `back`: the group notices after a while, unless it is back before.
    pub fn lose(&mut self, member: Member, now: u64, back: Option<u64>, dice: &mut Dice) {
        let noticed = now + dice.between(200, 2_500);
        if back.is_some_and(|back| back <= noticed) {
            return;
        }
        if let Some(stay) = self.members.get_mut(&member).and_then(|stays| stays.last_mut()) {
            stay.until = Some(stay.until.map_or(noticed, |until| until.min(noticed)));
        }
        if let Some(back) = back {
            self.join(member, back, dice);
        }
    }

    /// The next assignment is another one.
    pub fn rotate(&mut self) {
        self.rotation += 1;
        self.known.clear();
    }

    /// Shares out anew where members or units have changed, and returns the orders that arrive now.
    pub fn turn(&mut self, now: u64, dice: &mut Dice) -> Vec<(Member, Order)> {
        let here = |stay: &Stay| stay.from <= now && stay.until.is_none_or(|until| now < until);
        let active: Vec<Member> = self
            .members
            .iter()
            .filter(|(_, stays)| stays.iter().any(here))
            .map(|(member, _)| *member)
            .collect();
        if !active.is_empty() && (active != self.known || self.units.len() != self.shared_out) {
            self.share_out(&active, now, dice);
        }
        let (due, later) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(|m: &Message| m.at <= now);
        self.messages = later;
        let due: Vec<Message> = due;
        due.into_iter().map(|message| (message.to, message.order)).collect()
    }

    fn share_out(&mut self, active: &[Member], now: u64, dice: &mut Dice) {
        for (index, unit) in self.units.clone().into_iter().enumerate() {
            let owner = active[(index + self.rotation) % active.len()];
            let before = self.owners.insert(unit, owner);
            if before == Some(owner) {
                continue;
            }
            if let Some(before) = before {
                self.tell(before, Order::Disown(unit.0, unit.1), now, dice);
            }
            self.tell(owner, Order::Own(unit.0, unit.1), now, dice);
        }
        self.known = active.to_vec();
        self.shared_out = self.units.len();
    }

    /// Orders to one process arrive in the order in which they were given.
    fn tell(&mut self, to: Member, order: Order, now: u64, dice: &mut Dice) {
        let delay = if dice.chance(80) {
            dice.between(5, 100)
        } else {
            dice.between(100, 2_000)
        };
        let last = self.last.entry(to).or_default();
        let at = (now + delay).max(*last);
        *last = at;
        self.messages.push(Message { at, to, order });
    }
}
