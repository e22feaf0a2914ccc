//! How a link stands, as BlueZ's signals tell it. Pure.

use crate::radio::{RadioError, RadioErrorKind, facts::DeviceFacts};

/// How a link stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    pub up: bool,
    /// It was up before it was asked for.
    pub inherited: bool,
    pub resolved: bool,
    pub lost: Option<RadioError>,
}

impl LinkState {
    pub(super) fn lose(&mut self, message: &str) -> bool {
        let first = self.lost.is_none();
        if first {
            self.lost = Some(RadioError::new(RadioErrorKind::Lost, message));
        }
        first
    }

    /// A loss counts only for a link that was up: the end of an earlier one may still be on its way.
    pub(super) fn learn(&mut self, facts: &DeviceFacts) -> bool {
        let before = self.clone();
        self.resolved = facts.resolved.unwrap_or(self.resolved);
        match facts.connected {
            Some(true) => (self.up, self.inherited) = (true, false),
            Some(false) if self.inherited => (self.up, self.inherited) = (false, false),
            Some(false) if self.up => {
                self.lose("the link is lost: the device is gone or has hung up");
            }
            _ => {}
        }
        *self != before
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceFacts, LinkState};

    #[test]
    fn a_link_is_lost_once_it_was_its_own() {
        let say = |connected| DeviceFacts { connected: Some(connected), ..DeviceFacts::default() };
        let new = LinkState::default();
        let inherited = LinkState { up: true, inherited: true, ..LinkState::default() };
        for (begin, said, up, lost) in [
            (&new, vec![], false, false),
            (&new, vec![false], false, false),
            (&new, vec![true], true, false),
            (&new, vec![false, true, false], true, true),
            (&inherited, vec![], true, false),
            (&inherited, vec![false], false, false),
            (&inherited, vec![false, true], true, false),
            (&inherited, vec![false, true, false], true, true),
        ] {
            let mut link = begin.clone();
            for connected in &said {
                link.learn(&say(*connected));
            }
            assert_eq!((link.up, link.lost.is_some()), (up, lost), "{begin:?} {said:?}");
        }
    }
}
