//! What the pages say: the live devices as JSON, the counters as metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mapper_api::Mapper;
use serde_json::{Map, Value, json};

use super::{
    api,
    http::Site,
    metrics::{Kind, Page},
};
use crate::{
    control::{
        apply::{Fleet, Shown},
        report,
    },
    data::{self, DataPath, Readiness},
};

/// The pages of a running daemon.
pub struct Pages {
    fleet: Arc<Fleet>,
    data: DataPath,
    mappers: Vec<Arc<dyn Mapper>>,
    reports: Option<Arc<report::Counts>>,
    api: Option<Arc<api::Counts>>,
    loaded: AtomicBool,
}

impl Pages {
    /// Pages on this fleet, this data path, and the statuses on their way if the source takes them.
    pub fn new(
        fleet: Arc<Fleet>,
        data: DataPath,
        mappers: Vec<Arc<dyn Mapper>>,
        reports: Option<Arc<report::Counts>>,
        api: Option<Arc<api::Counts>>,
    ) -> Self {
        Self { fleet, data, mappers, reports, api, loaded: AtomicBool::new(false) }
    }

    /// The first whole set of devices is at work.
    pub fn loaded(&self) {
        self.loaded.store(true, Ordering::Relaxed);
    }
}

impl Site for Pages {
    /// Ready without a broker too: what is read waits for it. Not while another bridge stands in our place there.
    fn ready(&self) -> Result<(), String> {
        if !self.loaded.load(Ordering::Relaxed) {
            return Err("the devices have not been loaded yet".into());
        }
        self.data.rival().map_or(Ok(()), Err)
    }

    fn devices(&self) -> Value {
        let devices: Map<_, _> =
            self.fleet.devices(|shown| (shown.id.to_string(), device(&shown))).into_iter().collect();
        json!({ "boot": self.data.boot(), "devices": devices })
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        let c = self.data.counters();
        let mut one = |name, kind, help, value: u64| {
            page.metric(name, kind, help).sample(&[], value);
        };
        one("fieldgate_readings_total", Kind::Counter, "Values given to the outbox.", c.values);
        one(
            "fieldgate_messages_published_total",
            Kind::Counter,
            "Messages of readings that the broker took.",
            c.published,
        );
        one(
            "fieldgate_messages_refused_total",
            Kind::Counter,
            "Messages that the broker refused for good or that are too large.",
            c.refused,
        );
        one(
            "fieldgate_messages_dropped_total",
            Kind::Counter,
            "Messages that had to make room in the outbox.",
            c.outbox.dropped,
        );
        one("fieldgate_outbox_messages", Kind::Gauge, "Messages that wait for the broker.", c.outbox.messages as u64);
        one("fieldgate_outbox_bytes", Kind::Gauge, "Bytes that wait for the broker.", c.outbox.bytes as u64);
        one("fieldgate_broker_connected", Kind::Gauge, "1 while the broker is connected.", u64::from(c.connected));
        one("fieldgate_broker_connections_total", Kind::Counter, "Connections made to the broker.", c.connections);
        one("fieldgate_resident_memory_bytes", Kind::Gauge, "Resident memory.", data::rss_bytes());
        self.bus_metrics(&mut page);
        self.device_metrics(&mut page);
        self.mapper_metrics(&mut page);
        if let Some(counts) = &self.reports {
            status_metrics(&mut page, counts);
        }
        if let Some(counts) = &self.api {
            api_metrics(&mut page, counts);
        }
        page.finish()
    }
}

impl Pages {
    fn bus_metrics(&self, page: &mut Page) {
        let buses = self.fleet.buses();
        let mut metric = page.metric("fieldgate_bus_up", Kind::Gauge, "1 while the bus is open.");
        for bus in &buses {
            metric.sample(&[("bus", &bus.bus)], u8::from(bus.up));
        }
        let mut metric = page.metric("fieldgate_exchanges_total", Kind::Counter, "Requests, by how they ended.");
        for bus in &buses {
            metric.sample(&[("bus", &bus.bus), ("outcome", "ok")], bus.exchanges_ok);
            metric.sample(&[("bus", &bus.bus), ("outcome", "failed")], bus.exchanges_failed);
        }
        let mut metric = page.metric("fieldgate_bus_opens_total", Kind::Counter, "Times the bus was opened.");
        for bus in &buses {
            metric.sample(&[("bus", &bus.bus)], bus.opens);
        }
        let mut metric =
            page.metric("fieldgate_periods_missed_total", Kind::Counter, "Polls skipped because the bus was late.");
        for bus in &buses {
            metric.sample(&[("bus", &bus.bus)], bus.periods_missed);
        }
        let mut metric =
            page.metric("fieldgate_bus_busy_seconds_total", Kind::Counter, "Time that exchanges kept the bus.");
        for bus in &buses {
            metric.sample(&[("bus", &bus.bus)], bus.busy.as_secs_f64());
        }
    }

    fn mapper_metrics(&self, page: &mut Page) {
        let help = "What the mappers count; their README.md says what the words mean.";
        let mut metric = page.metric("fieldgate_mapper_total", Kind::Counter, help);
        for mapper in &self.mappers {
            for (what, count) in mapper.counts() {
                metric.sample(&[("protocol", mapper.name()), ("what", what)], count);
            }
        }
    }

    fn device_metrics(&self, page: &mut Page) {
        let mut metric = page.metric(
            "fieldgate_device_ready",
            Kind::Gauge,
            "1 while the device is accepted, answers, and holds what is desired.",
        );
        for (ready, id) in self.fleet.devices(|shown| (shown.readiness() == Readiness::Ready, shown.id)) {
            metric.sample(&[("namespace", &id.namespace), ("device", &id.name)], u8::from(ready));
        }
    }
}

fn api_metrics(page: &mut Page, counts: &api::Counts) {
    let help = "Requests to the Kubernetes API server, by how they ended.";
    let mut metric = page.metric("fieldgate_kubernetes_requests_total", Kind::Counter, help);
    for (verb, outcome, count) in counts.requests() {
        metric.sample(&[("verb", verb), ("outcome", outcome)], count);
    }
    let help = "1 while Devices come in from the Kubernetes API server.";
    page.metric("fieldgate_kubernetes_up", Kind::Gauge, help).sample(&[], u8::from(counts.up()));
}

fn status_metrics(page: &mut Page, counts: &report::Counts) {
    let mut metric =
        page.metric("fieldgate_status_writes_total", Kind::Counter, "Statuses sent to the API server, by outcome.");
    for (outcome, count) in counts.writes() {
        metric.sample(&[("outcome", outcome)], count);
    }
    let waiting = u64::try_from(counts.waiting()).unwrap_or(u64::MAX);
    page.metric("fieldgate_status_waiting", Kind::Gauge, "Devices whose newest status is not stored yet.")
        .sample(&[], waiting);
}

fn device(shown: &Shown) -> Value {
    let live = shown.live.as_ref().map(|(device, view)| {
        let properties = device.properties.iter().zip(&view.properties).map(|(property, seen)| {
            let mut entry = json!({
                "value": seen.value.as_ref().map(|(value, _)| property.json(value)),
                "quality": seen.quality.name(),
            });
            if let Some((_, at)) = &seen.value {
                entry["time"] = time(at.wall).into();
            }
            if !seen.reason.is_empty() {
                entry["reason"] = seen.reason.into();
            }
            if !seen.detail.is_empty() {
                entry["detail"] = seen.detail.as_str().into();
            }
            if let Some(unit) = &property.unit {
                entry["unit"] = unit.as_str().into();
            }
            if let Some(desired) = &property.desired {
                entry["desired"] = property.json(&desired.value);
            }
            (property.name.to_string(), entry)
        });
        let availability = view.availability;
        json!({
            "bus": format!("{}:{}", device.bound.protocol(), device.bound.bus_key()),
            "state": if availability.offline.is_none() { "online" } else { "offline" },
            "reason": availability.offline,
            "since": time(availability.since.wall),
            "properties": properties.collect::<Map<_, _>>(),
        })
    });
    json!({ "status": shown.status, "live": live })
}

/// RFC 3339 in UTC with milliseconds, as in every payload.
fn time(wall: Duration) -> String {
    let millis = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
