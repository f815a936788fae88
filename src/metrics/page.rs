//! The answer to a scrape: OpenMetrics text (OpenMetrics 1.0, §5.1).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::family::{ALL, Family, Kind, PREFIX};
use super::histogram::{Histogram, Observed, Sizes};

/// A component that tells its state when it is scraped.
pub trait Source: Send + Sync {
    /// Writes its metrics to the page.
    fn report(&self, page: &mut Page);
}

/// Collects samples of any number of components, and orders them by metric.
#[derive(Default)]
pub struct Page(BTreeMap<&'static str, Vec<Sample>>);

struct Sample {
    /// `name="value"`, separated by commas.
    labels: String,
    value: Value,
}

enum Value {
    Count(u64),
    Gauge(f64),
    Observed(Observed),
}

impl Page {
    /// The value of a counter.
    pub fn counter(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        debug_assert_eq!(family.kind, Kind::Counter, "{family:?}");
        self.add(family, labels, Value::Count(value));
    }

    /// The value of a gauge.
    pub fn gauge(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_eq!(family.kind, Kind::Gauge, "{family:?}");
        self.add(family, labels, Value::Gauge(value));
    }

    /// A gauge for each of `states`: 1 for the current one, 0 for the others.
    pub fn state(&mut self, family: &'static Family, states: &[&str], current: &str) {
        for state in states {
            let value = if *state == current { 1.0 } else { 0.0 };
            self.gauge(family, &[state], value);
        }
    }

    /// A histogram.
    pub fn histogram(&mut self, family: &'static Family, labels: &[&str], value: &Histogram) {
        debug_assert_eq!(family.kind, Kind::Histogram, "{family:?}");
        self.add(family, labels, Value::Observed(value.read()));
    }

    /// A histogram that is left out until something has been observed.
    pub fn histogram_if_used(
        &mut self,
        family: &'static Family,
        labels: &[&str],
        value: &Histogram,
    ) {
        self.observed_if_used(family, labels, value.read());
    }

    /// A histogram of sizes that is left out until something has been observed.
    pub fn sizes_if_used(&mut self, family: &'static Family, labels: &[&str], value: &Sizes) {
        self.observed_if_used(family, labels, value.read());
    }

    fn observed_if_used(&mut self, family: &'static Family, labels: &[&str], value: Observed) {
        debug_assert_eq!(family.kind, Kind::Histogram, "{family:?}");
        if value.count() > 0 {
            self.add(family, labels, Value::Observed(value));
        }
    }

    /// What does not change: versions and settings.
    pub fn info(&mut self, family: &'static Family, labels: &[&str]) {
        debug_assert_eq!(family.kind, Kind::Info, "{family:?}");
        self.add(family, labels, Value::Count(1));
    }

    fn add(&mut self, family: &'static Family, labels: &[&str], value: Value) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{family:?}");
        let pairs = family.labels.iter().zip(labels);
        let labels: Vec<String> = pairs
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let samples = self.0.entry(family.name).or_default();
        samples.push(Sample {
            labels: labels.join(","),
            value,
        });
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        for family in ALL {
            let Some(samples) = self.0.get(family.name) else {
                continue;
            };
            let name = format!("{PREFIX}{}", family.name);
            let _ = writeln!(text, "# HELP {name} {}", escape(family.help));
            let _ = writeln!(text, "# TYPE {name} {}", family.kind.as_str());
            for sample in samples {
                sample.write(&mut text, &name, family.kind);
            }
        }
        text.push_str("# EOF\n");
        text
    }
}

impl Sample {
    fn write(&self, text: &mut String, name: &str, kind: Kind) {
        let (labels, suffix) = (&self.labels, kind.suffix());
        let braces = match labels.as_str() {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        // Writing to a string cannot fail.
        let _ = match &self.value {
            Value::Count(value) => writeln!(text, "{name}{suffix}{braces} {value}"),
            Value::Gauge(value) => writeln!(text, "{name}{suffix}{braces} {value:?}"),
            Value::Observed(observed) => {
                let comma = if labels.is_empty() { "" } else { "," };
                for (bound, count) in &observed.cumulative {
                    let _ = writeln!(
                        text,
                        "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"
                    );
                }
                let _ = writeln!(text, "{name}_count{braces} {}", observed.count());
                writeln!(text, "{name}_sum{braces} {:?}", observed.sum)
            }
        };
    }
}

/// Escapes a label's value or a help text (OpenMetrics 1.0, §5.1.2).
fn escape(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::family::{BUILD, CACHE_HITS, ISSUER_KEYS, POOL_WAIT, POOL_WAITING};
    use super::*;

    #[test]
    fn samples_of_several_components_are_ordered_by_metric() {
        let mut page = Page::default();
        page.info(&BUILD, &["1.0"]);
        page.counter(&CACHE_HITS, &["users"], 3);
        page.gauge(&POOL_WAITING, &[], 2.0);
        page.counter(&CACHE_HITS, &["sessions"], 4);
        let text = page.finish();
        let samples: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("# HELP"))
            .collect();
        assert_eq!(
            samples,
            [
                "# TYPE label_studio_gate_pool_waiting gauge",
                "label_studio_gate_pool_waiting 2.0",
                "# TYPE label_studio_gate_cache_hits counter",
                "label_studio_gate_cache_hits_total{cache=\"users\"} 3",
                "label_studio_gate_cache_hits_total{cache=\"sessions\"} 4",
                "# TYPE label_studio_gate_build info",
                "label_studio_gate_build_info{version=\"1.0\"} 1",
                "# EOF",
            ]
        );
    }

    #[test]
    fn histograms_are_cumulative_and_say_their_count_and_sum() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(3));
        let mut page = Page::default();
        page.histogram(&POOL_WAIT, &[], &histogram);
        let text = page.finish();
        for line in [
            "label_studio_gate_pool_wait_seconds_bucket{le=\"0.0025\"} 0\n",
            "label_studio_gate_pool_wait_seconds_bucket{le=\"0.005\"} 1\n",
            "label_studio_gate_pool_wait_seconds_bucket{le=\"+Inf\"} 1\n",
            "label_studio_gate_pool_wait_seconds_count 1\n",
            "label_studio_gate_pool_wait_seconds_sum 0.003\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let mut page = Page::default();
        page.gauge(&ISSUER_KEYS, &["a\"b\\c\nd"], 1.0);
        let text = page.finish();
        assert!(text.contains(r#"{issuer="a\"b\\c\nd"} 1.0"#), "{text}");
    }
}
