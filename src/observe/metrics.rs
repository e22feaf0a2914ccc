//! Metrics in Prometheus' text format. Counters live where the work is done; here they are only written down.

use std::fmt::Write;

/// The type of a metric.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Only ever grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a metric; its samples follow with [`Metric::sample`].
    pub fn metric(&mut self, name: &'static str, kind: Kind, help: &str) -> Metric<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Metric { name, text: &mut self.text }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A metric whose samples are being written.
pub struct Metric<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Metric<'_> {
    /// One sample, with its labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) -> &mut Self {
        self.text.push_str(self.name);
        for (n, (key, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{key}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Page};

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        let _ = page
            .metric("a_total", Kind::Counter, "What it counts.")
            .sample(&[], 1)
            .sample(&[("b", "c\"\\\nd"), ("e", "f")], 2.5);
        assert_eq!(
            page.finish(),
            "# HELP a_total What it counts.\n# TYPE a_total counter\na_total 1\na_total{b=\"c\\\"\\\\\\nd\",e=\"f\"} 2.5\n"
        );
    }
}
