//! Links on a real BlueZ: how long until all are back after bluetoothd was killed and started again.

use std::time::Instant;

use anyhow::Result;
use hardware_tests::{bluez::Vm, figure::Figure, gateway::linked_yaml};

use crate::{
    Options,
    stage::{PATIENCE, Stage, load_average},
};

/// Links at once.
pub const LINKS: usize = 20;

/// The devices on the peripherals of the virtual machine, which notify a temperature each 500 ms.
pub fn devices() -> impl Iterator<Item = (String, String)> {
    (0..LINKS).map(|number| {
        let name = format!("linked-{number:02}");
        let yaml = linked_yaml(&name, &Vm::peripheral(number), "181a", "2a6e");
        (name, yaml)
    })
}

/// From the moment when bluetoothd is started again until each device was heard.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    let vm = Vm::start(LINKS, 1)?;
    let subscriber = stage.subscriber(false)?;
    let start = Instant::now();
    let gateway = stage.gateway_on(&vm.address(), devices())?;
    subscriber.wait("a reading of each device", PATIENCE, |tally| tally.devices.len() == LINKS)?;
    let first = start.elapsed().as_secs_f64();
    let (mut back, before, rules) = (Vec::new(), load_average(), vm.match_rules()?);
    for _ in 0..options.rounds {
        vm.kill_bluetoothd()?;
        let start = Instant::now();
        vm.start_bluetoothd()?;
        subscriber.wait("each device again", PATIENCE, |tally| tally.devices.values().all(|seen| seen.last > start))?;
        back.push(start.elapsed().as_secs_f64());
    }
    let rules_after = vm.match_rules()?;
    gateway.stop()?;
    Figure::new("ble.reconnect", "s from bluetoothd's start until 20 devices notify again", "< 30")
        .with("worst", back.iter().copied().fold(0.0, f64::max))
        .with("windows", back)
        .with("firstTime", first)
        .with("matchRulesBefore", rules)
        .with("matchRulesAfter", rules_after)
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}
