//! Which requests a poll or a write needs, and what a refused block teaches. Pure.
//!
//! Reads are merged per table, across gaps up to the device's limit, and never beyond what one answer can hold; a
//! value is never split. Writes are never reordered.

use std::collections::BTreeSet;

use mapper_api::{PointId, Refusal, Sequence, Value};

use crate::{
    bind::{Bound, Spot},
    codec,
    config::Table,
    request::{Answer, Request, What},
};

/// Where merged blocks must be cut, since the device refused them whole.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// Before the spots of this table, start and length.
    cuts: BTreeSet<(Table, u16, u16)>,
    /// The tables of which anything was ever read. What was learnt of a table before is forgotten at its first good
    /// answer: a device that refuses everything while it boots has no holes.
    read: BTreeSet<Table>,
}

/// The most coils that one request may write, by the standard.
const MAX_COILS_WRITTEN: usize = 1968;

struct Block {
    table: Table,
    start: u16,
    end: u32,
    /// Start and length of its last spot.
    last: (u16, u16),
    points: Vec<PointId>,
}

pub(crate) fn plan(bound: &Bound, wanted: &[PointId], learnt: &Learnt) -> Vec<Sequence<Request>> {
    let mut spots: Vec<(&Spot, PointId)> = wanted
        .iter()
        .filter_map(|id| bound.points.get(usize::from(*id)).filter(|s| s.readable).map(|s| (s, *id)))
        .collect();
    spots.sort_unstable_by_key(|(s, id)| (s.table, s.start, s.count, *id));
    let mut blocks: Vec<Block> = Vec::new();
    for (spot, id) in spots {
        match blocks.last_mut() {
            Some(block) if block.takes(spot, bound, learnt) => {
                block.end = block.end.max(spot.end());
                block.last = (spot.start, spot.count);
                block.points.push(id);
            }
            _ => {
                let last = (spot.start, spot.count);
                blocks.push(Block { table: spot.table, start: spot.start, end: spot.end(), last, points: vec![id] });
            }
        }
    }
    blocks
        .into_iter()
        .map(|b| {
            let count = u16::try_from(b.end - u32::from(b.start)).expect("a block is at most 2000 long");
            let what = What::Read { table: b.table, start: b.start, count };
            Request { unit: bound.unit.clone(), what, points: b.points.into() }.into()
        })
        .collect()
}

impl Block {
    fn takes(&self, spot: &Spot, bound: &Bound, learnt: &Learnt) -> bool {
        let (gap, most) = if spot.table.is_bits() {
            (16 * u32::from(bound.limits.gap), bound.limits.bits)
        } else {
            (bound.limits.gap.into(), bound.limits.registers)
        };
        spot.table == self.table
            && u32::from(spot.start) <= self.end + gap
            && self.end.max(spot.end()) - u32::from(self.start) <= most.into()
            && (self.last == (spot.start, spot.count) || !learnt.cuts.contains(&(spot.table, spot.start, spot.count)))
    }
}

/// A refused block is read without its gaps from now on; one without gaps is halved, down to single spots, so that one
/// bad register does not take its neighbours down.
pub(crate) fn learn(bound: &Bound, request: &Request, answer: &Answer, learnt: &mut Learnt) -> bool {
    let What::Read { table, start, .. } = request.what else { return false };
    match answer {
        Answer::Exception(2 | 3) => {}
        Answer::Exception(_) | Answer::Written => return false,
        Answer::Registers(_) | Answer::Bits(_) => {
            let known = learnt.cuts.len();
            if learnt.read.insert(table) {
                learnt.cuts.retain(|(other, ..)| *other != table);
            }
            return learnt.cuts.len() < known;
        }
    }
    let (mut covered, mut spots, mut after_gaps) = (u32::from(start), Vec::new(), Vec::new());
    for spot in request.points.iter().filter_map(|id| bound.points.get(usize::from(*id))) {
        let cut = (table, spot.start, spot.count);
        if u32::from(spot.start) > covered {
            after_gaps.push(cut);
        }
        if spots.last() != Some(&cut) {
            spots.push(cut);
        }
        covered = covered.max(spot.end());
    }
    if after_gaps.is_empty() && spots.len() > 1 {
        after_gaps.push(spots[spots.len() / 2]);
    }
    let known = learnt.cuts.len();
    learnt.cuts.extend(after_gaps);
    learnt.cuts.len() > known
}

/// One request a value, but for neighbouring coils that come in order: they share one (function code 15).
pub(crate) fn plan_write(
    bound: &Bound,
    values: &[(PointId, Value)],
) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
    let mut writes: Vec<(What, Vec<PointId>)> = Vec::with_capacity(values.len());
    for (id, value) in values {
        let unknown = || (*id, Refusal::rejected("there is no such point"));
        let spot = bound.points.get(usize::from(*id)).ok_or_else(unknown)?;
        match (spot.table, value) {
            (Table::Coil, Value::Bool(on)) => {
                if let Some((what, points)) = writes.last_mut()
                    && append_coil(what, spot.start, *on)
                {
                    points.push(*id);
                } else {
                    writes.push((What::WriteCoil { start: spot.start, on: *on }, vec![*id]));
                }
            }
            (Table::HoldingRegister, value) => {
                let words = codec::encode(value, spot).map_err(|refusal| (*id, refusal))?;
                let start = spot.start;
                let what = match words[..] {
                    [word] => What::WriteRegister { start, word },
                    _ => What::WriteRegisters { start, words },
                };
                writes.push((what, vec![*id]));
            }
            (table, value) => {
                let message = format!("{value} cannot be written to {}", table.name());
                return Err((*id, Refusal::rejected(message)));
            }
        }
    }
    let request =
        |(what, points): (_, Vec<_>)| Request { unit: bound.unit.clone(), what, points: points.into() }.into();
    Ok(writes.into_iter().map(request).collect())
}

/// Whether the coil could be appended to the write before it.
fn append_coil(what: &mut What, coil: u16, value: bool) -> bool {
    match what {
        What::WriteCoil { start, on } if start.checked_add(1) == Some(coil) => {
            *what = What::WriteCoils { start: *start, on: vec![*on, value] };
            true
        }
        What::WriteCoils { start, on }
            if usize::from(*start) + on.len() == usize::from(coil) && on.len() < MAX_COILS_WRITTEN =>
        {
            on.push(value);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
