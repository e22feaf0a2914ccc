//! What the radio counts, for logs and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was counted since the start.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Each with its name.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub $name: Count,)*
        }

        impl Counters {
            pub fn now(&self) -> Counts {
                Counts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counts! {
    /// Advertisements received, echoes included.
    adverts,
    /// Those that another adapter had heard just before.
    echoes,
    /// Those dropped because a listener did not keep up.
    dropped,
    /// Signals dropped because this process did not keep up with the bus.
    overrun,
    /// Devices forgotten because the table of seen devices was full.
    forgotten,
    /// Connections to D-Bus opened: more than one means that it was lost.
    buses,
    /// Times that bluetoothd came up while this process ran.
    bluetoothd_starts,
    /// Discoveries started again because nothing was heard.
    discovery_restarts,
    /// Adapters switched off and on because nothing was heard.
    power_cycles,
    /// Links to devices that came about.
    connects,
    /// Links to devices that were lost.
    losses,
    /// Devices paired.
    pairings,
    /// Sessions of btleplug opened.
    sessions,
    /// Those replaced because of the match rules that they leave behind.
    recycled,
    /// Times that btleplug broke down in a task of its own.
    panics,
    /// Match rules that this process added to the bus itself.
    match_rules,
}
