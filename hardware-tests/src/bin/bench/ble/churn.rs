//! Accelerated churn: what months of passers-by and of lost links leave behind. Memory after the first half against memory
//! after the second; match rules as the bus counts them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hardware_tests::{
    bluez::{Advert, Characteristic, Peripheral, Scripted, Vm},
    child::Running,
    figure::Figure,
    gateway::{linked_yaml, sensor_yaml},
    proc,
    subscriber::Subscriber,
};

use super::reconnect::{self, LINKS};
use crate::{
    Options,
    stage::{PATIENCE, Stage, load_average, mib, wait},
};

/// The device that is configured among those that pass by.
const OURS: &str = "A4:C1:38:FF:FF:FF";
/// So many pass by before the gateway is waited for.
const BATCH: usize = 100;

/// Prints the three figures.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    seen(stage, if options.full { 100_000 } else { 20_000 }).context("devices that pass by")?;
    links(stage, if options.full { 10_000 } else { 1_000 }).context("links on the scripted org.bluez")?;
    machine(stage, if options.full { 300 } else { 60 }).context("links on the virtual machine")
}

/// What a gateway holds at one time.
struct Held {
    own_kib: u64,
    rules: usize,
}

impl Held {
    fn of(gateway: &Running, rules: usize) -> Result<Self> {
        Ok(Self { own_kib: proc::memory(gateway.pid())?.anon_kib, rules })
    }
}

fn print(name: &str, what: &str, count: usize, halves: &[Held; 2]) {
    let [first, second] = halves;
    Figure::new(name, &format!("MiB of RssAnon after {what}"), "second half <= first + 1; match rules bounded")
        .with("count", count)
        .with("first", mib(first.own_kib))
        .with("second", mib(second.own_kib))
        .with("rulesFirst", first.rules)
        .with("rulesSecond", second.rules)
        .with("loadAfter", load_average())
        .print();
}

/// Passers-by with an address of their own each, forgotten by BlueZ a little later; discovery is on for one sensor.
fn seen(stage: &Stage, count: usize) -> Result<()> {
    let blue = Scripted::start()?;
    let subscriber = stage.subscriber(false)?;
    let gateway = stage.gateway_on(blue.address(), [("ours".to_owned(), sensor_yaml("ours", OURS))])?;
    let address = |number: usize| {
        let [.., a, b, c] = number.to_be_bytes();
        format!("C0:DE:00:{a:02X}:{b:02X}:{c:02X}")
    };
    let mut round = 0_u64;
    // The gateway has kept up when a new advertisement of our own sensor has come out.
    let mut keeps_up = || {
        round += 1;
        let before = subscriber.tally()?.messages;
        wait("our sensor", || {
            blue.advert(&Advert::of(OURS).manufacturer(0xFFFF, &round.to_be_bytes()));
            Ok(subscriber.tally()?.messages > before)
        })
    };
    wait("discovery", || Ok(blue.discovering(0)))?;
    keeps_up()?;
    let mut half = |from: usize, to: usize| -> Result<Held> {
        for first in (from..to).step_by(BATCH) {
            for number in first..first + BATCH {
                let service = [0x40, 0x02, 0xCA, 0x09];
                blue.advert(&Advert::of(&address(number)).random().named("passer-by").service("fcd2", &service));
            }
            keeps_up()?;
            for number in first..first + BATCH {
                blue.forget(&address(number));
            }
        }
        Held::of(&gateway, blue.match_rules()?.len())
    };
    let halves = [half(0, count / 2)?, half(count / 2, count)?];
    gateway.stop()?;
    print("ble.churn.seen", "so many devices that passed by", count, &halves);
    Ok(())
}

/// Links on the scripted org.bluez, twenty at a time, lost as soon as all notify.
fn links(stage: &Stage, count: usize) -> Result<()> {
    let blue = Scripted::start()?;
    let address = |number: usize| format!("A4:C1:38:01:00:{number:02X}");
    for number in 0..LINKS {
        let value = Characteristic::new("2a6e", &[0, 0]).read().notify();
        blue.put(Peripheral::new(&address(number)).service("181a", [value]));
    }
    let adverts = move |_| (0..LINKS).map(|number| Advert::of(&address(number))).collect();
    let _stream = blue.every(Duration::from_millis(100), adverts);
    let devices = (0..LINKS).map(|number| {
        let name = format!("linked-{number:02}");
        let yaml = linked_yaml(&name, &address(number), "181a", "2a6e");
        (name, yaml)
    });
    let subscriber = stage.subscriber(false)?;
    let gateway = stage.gateway_on(blue.address(), devices)?;
    let mut value = 0_u16;
    let mut half = |rounds: usize| -> Result<Held> {
        for _ in 0..rounds {
            // What is still on its way from the last round is not taken for this one's: no round passes without its links.
            wait("the links", || Ok(blue.links() == LINKS))?;
            let moment = Instant::now();
            wait("a value over each link", || {
                value = value.wrapping_add(1);
                (0..LINKS).for_each(|number| blue.set(&address(number), "2a6e", &value.to_le_bytes()));
                let tally = subscriber.tally()?;
                Ok(tally.devices.len() == LINKS && tally.devices.values().all(|seen| seen.last > moment))
            })?;
            (0..LINKS).for_each(|number| blue.drop_link(&address(number)));
        }
        Held::of(&gateway, blue.match_rules()?.len())
    };
    let rounds = count / LINKS / 2;
    let halves = [half(rounds)?, half(rounds)?];
    gateway.stop()?;
    print("ble.churn.links", "so many links on the scripted org.bluez", blue.calls("Device1.Connect"), &halves);
    Ok(())
}

/// The same on the virtual machine.
fn machine(stage: &Stage, count: usize) -> Result<()> {
    let vm = Vm::start(LINKS, 1)?;
    let subscriber = stage.subscriber(false)?;
    let gateway = stage.gateway_on(&vm.address(), reconnect::devices())?;
    let all_after = |subscriber: &Subscriber, moment: Instant| {
        let all = subscriber.wait("each device", PATIENCE, |tally| {
            tally.devices.len() == LINKS && tally.devices.values().all(|seen| seen.last > moment)
        });
        // Who is missing, and whether that is bluetoothd's doing: 5.66 was seen to die of peripherals that hang up.
        all.with_context(|| {
            let heard = subscriber.tally().map(|t| t.devices.values().filter(|seen| seen.last > moment).count());
            let (links, daemon) = (vm.air("links"), vm.guest("pidof bluetoothd || echo dead"));
            format!("heard of {heard:?} since; links in the air: {links:?}; bluetoothd: {daemon:?}")
        })
    };
    all_after(&subscriber, Instant::now())?;
    let half = |rounds: usize| -> Result<Held> {
        for _ in 0..rounds {
            for number in 0..LINKS {
                vm.air(&format!("drop {number}"))?;
            }
            all_after(&subscriber, Instant::now())?;
        }
        Held::of(&gateway, vm.match_rules()?)
    };
    let rounds = (count / LINKS / 2).max(1);
    let halves = [half(rounds)?, half(rounds)?];
    gateway.stop()?;
    print("ble.churn.machine", "so many links on the virtual machine", 2 * rounds * LINKS, &halves);
    Ok(())
}
