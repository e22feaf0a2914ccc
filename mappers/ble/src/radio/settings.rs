//! Times and numbers of the radio, in one place so that tests can shorten them.

use std::time::Duration;

/// How the radio behaves. The default is right for a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many links one adapter may hold. No interface tells what a controller can do; the number shrinks when the
    /// controller refuses, and grows again by one each 10 minutes.
    pub slots: usize,
    /// The longest that a call over D-Bus may take, but for connecting and pairing.
    pub call: Duration,
    /// The longest that a device may take to be linked once it is called; what it has is read afterwards. While a device
    /// is called the kernel hears no advertisements.
    pub link: Duration,
    /// The longest that pairing may take: a person may have to press a button.
    pub pairing: Duration,
    /// How long an adapter may hear nothing before it is helped.
    pub silence: Duration,
    /// The longest time between two helps, when none helps.
    pub longest_silence: Duration,
    /// How long `BlueZ` may say that it does not discover before it is told again. It pauses by itself, for tenths of a
    /// second. Told while the kernel still discovers for a bluetoothd that died, it does not begin by itself.
    pub pause: Duration,
    /// How long adapters may take to appear when `BlueZ` started, before it is told that there is none.
    pub settle: Duration,
    /// The first and the longest wait before D-Bus or an adapter is tried again.
    pub retry: (Duration, Duration),
    /// How long the radio stays on when nobody uses it: longer than who was told that it is lost waits before they try
    /// again, or nobody would see it come back.
    pub linger: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 32,
            call: Duration::from_secs(10),
            link: Duration::from_secs(10),
            pairing: Duration::from_secs(60),
            silence: Duration::from_secs(90),
            longest_silence: Duration::from_secs(3600),
            pause: Duration::from_secs(3),
            settle: Duration::from_secs(3),
            retry: (Duration::from_secs(1), Duration::from_secs(30)),
            linger: Duration::from_secs(60),
        }
    }
}
