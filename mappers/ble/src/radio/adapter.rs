//! The task that owns one adapter: switches it on, keeps discovery on while somebody listens, and helps when nothing is
//! heard. Sleeps otherwise. It ends with the adapter.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dbus::arg::{RefArg, Variant};
use tokio::{sync::Notify, time::Instant};

use super::{
    RadioError, RadioErrorKind,
    bus::{CallError, Calls},
    core::{Core, View},
    facts::{ADAPTER, Hci},
    hub::longer,
    watchdog::{Step, Watchdog},
};

struct Owner {
    core: Arc<Core>,
    calls: Calls,
    hci: Hci,
    /// Discovery was started.
    on: bool,
    /// What watches over it. It outlives discovery: listeners that are told of trouble go, and come again to look.
    dog: Option<Watchdog>,
    /// When it was started, until BlueZ says so or enough time went by.
    started: Option<Instant>,
    /// Since when BlueZ says that it does not discover although it was started.
    paused: Option<Instant>,
    /// When and after how long to try again what failed.
    retry: Option<(Instant, Duration)>,
    /// How often it failed in a row.
    failures: u32,
}

/// The failure in a row that is told.
const TOLD: u32 = 2;

/// Owns the adapter.
pub async fn run(core: Arc<Core>, calls: Calls, hci: Hci, poke: Arc<Notify>) {
    let mut owner =
        Owner { core, calls, hci, on: false, dog: None, started: None, paused: None, retry: None, failures: 0 };
    while let Some(view) = owner.core.view(hci) {
        let next = owner.tend(view).await.into_iter().chain(view.wanted_until).min();
        tokio::select! {
            () = poke.notified() => {}
            () = async { tokio::time::sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
        }
    }
}

impl Owner {
    /// Does what is due, and says when to look again.
    async fn tend(&mut self, view: View) -> Option<Instant> {
        if !view.wanted {
            if std::mem::take(&mut self.on) {
                // Discovery that BlueZ no longer knows of is off as well.
                let _ = self.call("StopDiscovery", ()).await;
            }
            if let Some(dog) = &mut self.dog {
                dog.pause(view.heard, Instant::now());
            }
            self.paused = None;
            return None;
        }
        let now = Instant::now();
        if let Some((at, _)) = self.retry.filter(|(at, _)| now < *at) {
            return Some(at);
        }
        // BlueZ's word that it is on may be under way, or lost.
        let soon = self.started.map(|at| at + self.core.settings.pause).filter(|soon| self.on && now < *soon);
        if let Some(soon) = soon.filter(|_| !view.powered) {
            return Some(soon);
        }
        if !self.on || !view.powered {
            let result = self.start(view.powered).await;
            return Some(self.started(view, result));
        }
        if !view.discovering {
            // While a device is called the kernel pauses by itself.
            if view.calling {
                self.paused = None;
            }
            let until = *self.paused.get_or_insert(now) + self.core.settings.pause;
            if now < until {
                return Some(until);
            }
            tracing::debug!(adapter = %view.mac, "discovery went off; starting it again");
            let result = self.restart().await;
            return Some(self.started(view, result));
        }
        self.paused = None;
        self.watch(view, now).await
    }

    async fn watch(&mut self, view: View, now: Instant) -> Option<Instant> {
        let dog = self.dog.as_mut()?;
        let silence = self.core.settings.silence;
        match dog.step(view.heard, view.linked, now) {
            Step::Wait(until) => return Some(until),
            Step::Restart => {
                tracing::info!(adapter = %view.mac, ?silence, "nothing heard; starting discovery again");
                self.core.counters.discovery_restarts.add(1);
                let core = Arc::clone(&self.core);
                let _one = core.recovery.lock().await;
                if let Err(error) = self.restart().await {
                    tracing::warn!(adapter = %view.mac, error = error.message, "discovery cannot be started again");
                }
            }
            Step::PowerCycle => {
                let core = Arc::clone(&self.core);
                let _one = core.recovery.lock().await;
                if core.view(self.hci).is_none_or(|view| view.linked) {
                    return Some(now);
                }
                tracing::warn!(adapter = %view.mac, "still nothing heard; switching the adapter off and on");
                core.counters.power_cycles.add(1);
                if let Err(error) = self.power_cycle().await {
                    tracing::warn!(adapter = %view.mac, error = error.message, "the adapter cannot be switched");
                }
            }
            Step::Report => {
                let tried = if view.linked { "starting discovery again" } else { "switching it off and on" };
                let message = format!("the Bluetooth adapter {} hears nothing, and {tried} did not help", view.mac);
                tracing::warn!("{message}");
                self.core.fail_adapter(self.hci, &RadioError::new(RadioErrorKind::NoRadio, message));
            }
        }
        // What was done is followed by its silence; look again for when that ends.
        Some(now)
    }

    /// Takes the result of a start. A failure is tried again after a while, and told if it comes twice: BlueZ is busy
    /// while it switches an adapter on by itself.
    fn started(&mut self, view: View, result: Result<(), CallError>) -> Instant {
        self.paused = None;
        let now = Instant::now();
        let Err(error) = result else {
            let settings = &self.core.settings;
            if self.failures > 0 {
                self.core.adapter_works(self.hci);
            }
            (self.on, self.started, self.retry, self.failures) = (true, Some(now), None, 0);
            self.dog.get_or_insert_with(|| Watchdog::new(settings.silence, settings.longest_silence, now)).resume(now);
            return now;
        };
        self.on = false;
        if let Some(dog) = &mut self.dog {
            dog.pause(view.heard, now);
        }
        let (first, longest) = self.core.settings.retry;
        self.failures += 1;
        if self.failures == TOLD {
            let message = format!("the Bluetooth adapter {} cannot be used: {}", view.mac, say(&error));
            tracing::warn!("{message}");
            self.core.fail_adapter(self.hci, &RadioError::new(RadioErrorKind::NoRadio, message));
        }
        let wait = self.retry.map_or(first, |(_, wait)| longer(wait, longest));
        self.retry = Some((now + wait, wait));
        now + wait
    }

    async fn start(&self, powered: bool) -> Result<(), CallError> {
        if !powered {
            self.set_powered(true).await?;
        }
        let string = |text: &str| Variant(Box::new(text.to_owned()) as Box<dyn RefArg>);
        // Bluetooth LE alone; every advertisement, not only what changed.
        let filter =
            HashMap::from([("Transport", string("le")), ("DuplicateData", Variant(Box::new(true) as Box<dyn RefArg>))]);
        self.call("SetDiscoveryFilter", (filter,)).await?;
        match self.call("StartDiscovery", ()).await {
            // This process started it already.
            Err(error) if error.name == "org.bluez.Error.InProgress" => Ok(()),
            result => result,
        }
    }

    async fn restart(&self) -> Result<(), CallError> {
        // It may be off already.
        let _ = self.call("StopDiscovery", ()).await;
        self.start(true).await
    }

    async fn power_cycle(&self) -> Result<(), CallError> {
        self.set_powered(false).await?;
        self.start(false).await
    }

    async fn set_powered(&self, on: bool) -> Result<(), CallError> {
        let result = self.calls.set(&self.hci.path(), ADAPTER, "Powered", on).await;
        self.suspect(&result);
        result
    }

    async fn call(&self, method: &str, args: impl dbus::arg::AppendAll) -> Result<(), CallError> {
        let result = self.calls.call::<()>(&self.hci.path(), ADAPTER, method, args).await;
        self.suspect(&result);
        result
    }

    fn suspect(&self, result: &Result<(), CallError>) {
        if result.as_ref().is_err_and(CallError::is_timeout) {
            self.core.suspect.notify_one();
        }
    }
}

fn say(error: &CallError) -> String {
    match error.name.as_str() {
        "org.bluez.Error.Blocked" => "it is blocked (rfkill)".to_owned(),
        _ if error.message.is_empty() => error.name.clone(),
        _ => error.message.clone(),
    }
}
