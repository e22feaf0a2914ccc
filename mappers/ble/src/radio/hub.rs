//! The radio's own task: keeps a connection to D-Bus, hears BlueZ and tells everybody. Runs while the radio is used.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use super::{
    RadioError, RadioErrorKind, adapter,
    bus::{Bus, CallError, Calls, SIGNALS},
    core::Core,
    facts::{Signal, read_objects, read_signal},
    supervise::supervise,
};

/// Runs until nobody uses the radio.
pub async fn run(core: Arc<Core>) {
    let (first, longest) = core.settings.retry;
    let mut wait = first;
    let mut said = None;
    loop {
        let mut worked = false;
        let result = serve(&core, &mut worked).await;
        if worked {
            (wait, said) = (first, None);
        }
        let Err(error) = result else { return };
        core.disconnected(&error.message);
        if said.as_ref() != Some(&error) {
            tracing::warn!("{error}");
            core.fail(error.clone());
            said = Some(error);
        }
        let again = Instant::now() + wait;
        while !core.is_unused() && Instant::now() < again {
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                () = core.changed.notified() => {}
            }
        }
        wait = longer(wait, longest);
    }
}

/// Serves one connection to D-Bus. Ends well when the radio is switched off.
async fn serve(core: &Arc<Core>, worked: &mut bool) -> Result<(), RadioError> {
    if core.switch_off() {
        return Ok(());
    }
    let limit = core.settings.call;
    let mut bus = Bus::open(limit, &core.counters, &core.opening).await?;
    let calls = bus.calls.clone();
    core.agent.serve(&calls);
    core.set_calls(calls.clone());
    load(core, &calls, worked).await?;
    let mut ping: Option<JoinHandle<Result<(), CallError>>> = None;
    let mut look = Some(Instant::now() + core.settings.settle);
    let mut reload = None;
    loop {
        tokio::select! {
            Some(message) = bus.signals.recv() => {
                if heed(core, &calls, worked, read_signal(&message)).await? {
                    look = Some(Instant::now() + core.settings.settle);
                }
            }
            // Not at once: what made this process late may go on.
            () = bus.overrun.notified(), if reload.is_none() => reload = Some(Instant::now() + core.settings.settle),
            () = until(reload) => {
                reload = None;
                // What waits is older than what will be loaded.
                for _ in 0..SIGNALS {
                    let Ok(message) = bus.signals.try_recv() else { break };
                    heed(core, &calls, worked, read_signal(&message)).await?;
                }
                tracing::info!("signals of BlueZ were lost; reading again what it knows");
                load(core, &calls, worked).await?;
                look = Some(Instant::now() + core.settings.settle);
            }
            reason = &mut bus.lost => {
                let reason = reason.unwrap_or_else(|error| error.to_string());
                return Err(RadioError::new(RadioErrorKind::NoRadio, format!("the connection to D-Bus is lost: {reason}")));
            }
            () = core.changed.notified() => {}
            () = until(core.off_at()) => if core.switch_off() { return Ok(()) },
            () = core.suspect.notified(), if ping.is_none() => {
                let calls = calls.clone();
                ping = Some(tokio::spawn(async move { calls.ping().await }));
            }
            answer = join(&mut ping), if ping.is_some() => {
                ping = None;
                if answer.is_err_and(|error| error.is_timeout()) {
                    let message = "D-Bus or bluetoothd does not answer any more";
                    return Err(RadioError::new(RadioErrorKind::NoRadio, message));
                }
            }
            () = until(look) => {
                look = None;
                if let Some(error) = core.fail_missing() {
                    tracing::warn!("{error}");
                }
            }
        }
    }
}

/// Takes a signal. Returns whether the adapters are to be looked at, once they had time to appear.
async fn heed(core: &Arc<Core>, calls: &Calls, worked: &mut bool, signal: Option<Signal>) -> Result<bool, RadioError> {
    match signal {
        Some(Signal::Owner(None)) => {
            let gone = "bluetoothd is gone";
            core.agent.set_bluez(None);
            core.clear(gone);
            tracing::warn!("{gone}; waiting for it");
            core.fail(RadioError::new(RadioErrorKind::NoRadio, gone));
        }
        Some(Signal::Owner(Some(_))) => {
            core.counters.bluetoothd_starts.add(1);
            load(core, calls, worked).await?;
            return Ok(true);
        }
        Some(Signal::AdapterGone(hci)) => {
            core.adapter_gone(hci);
            return Ok(true);
        }
        Some(signal) => take(core, calls, signal),
        None => {}
    }
    Ok(false)
}

/// Takes what BlueZ knows: it, and nothing else, is there.
async fn load(core: &Arc<Core>, calls: &Calls, worked: &mut bool) -> Result<(), RadioError> {
    let no = |message: String| RadioError::new(RadioErrorKind::NoRadio, message);
    // Asked first: a call to a bluetoothd that systemd would start, and does not without a controller, is not answered.
    let owner = calls.owner().await.map_err(|error| no(format!("D-Bus does not answer: {}", error.message)))?;
    let none = owner.is_none();
    core.agent.set_bluez(owner);
    let objects = if none { None } else { Some(calls.objects().await) };
    match objects {
        Some(Ok(objects)) => {
            *worked = true;
            let signals = read_objects(&objects);
            core.keep_only(&signals);
            for signal in signals {
                take(core, calls, signal);
            }
            core.loaded.notify_waiters();
            Ok(())
        }
        Some(Err(error)) if error.is_timeout() => Err(no("bluetoothd does not answer".to_owned())),
        Some(Err(error)) if error.name == "org.freedesktop.DBus.Error.AccessDenied" => {
            Err(no(format!("D-Bus does not let this user talk to bluetoothd ({})", error.message)))
        }
        None | Some(Err(_)) => {
            // It is waited for: the bus says when it comes.
            let message = "bluetoothd does not run: Bluetooth needs it (package bluez)";
            tracing::warn!("{message}");
            core.fail(no(message.to_owned()));
            *worked = true;
            Ok(())
        }
    }
}

fn take(core: &Arc<Core>, calls: &Calls, signal: Signal) {
    match signal {
        Signal::Device { place, facts, added } => core.device(place, facts, added),
        Signal::DeviceGone(place) => core.device_gone(place),
        Signal::Adapter { hci, facts, .. } => {
            if let Some(poke) = core.adapter(hci, &facts) {
                let (own, calls) = (Arc::clone(core), calls.clone());
                let run = move || adapter::run(Arc::clone(&own), calls.clone(), hci, Arc::clone(&poke));
                let pause = core.settings.retry.0;
                let task = tokio::spawn(async move { supervise("an adapter's task", pause, run, || ()).await });
                core.set_task(hci, task.abort_handle());
            }
        }
        Signal::AdapterGone(hci) => core.adapter_gone(hci),
        Signal::Value { place, path, value } => core.value(place, &path, value),
        Signal::Owner(_) => {}
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn join(task: &mut Option<JoinHandle<Result<(), CallError>>>) -> Result<(), CallError> {
    match task {
        // A task that broke down proves nothing.
        Some(task) => task.await.unwrap_or(Ok(())),
        None => std::future::pending().await,
    }
}

/// Twice as long, up to the longest.
pub fn longer(wait: Duration, longest: Duration) -> Duration {
    (wait * 2).min(longest)
}
