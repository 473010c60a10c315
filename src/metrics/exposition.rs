//! The text format of Prometheus, version 0.0.4: families, each with a line of help, its type, and its samples.

use std::fmt::{Display, Write};

/// Content type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow, and begin at zero with the daemon.
    Counter,
    /// They are what they are now.
    Gauge,
}

/// A text that grows by families.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family. `name` is of letters and underscores, a counter's ends in `_total`.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _infallible = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &'static str, kind: Kind, help: &'static str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A family that takes samples.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample. Values are integers or finite floats.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        for (number, (label, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _infallible = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _infallible = writeln!(self.text, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_as_prometheus_reads_them() {
        let mut exposition = Exposition::default();
        exposition.single("a_total", Kind::Counter, "All of a.", 7);
        let mut family = exposition.family("b_seconds", Kind::Gauge, "How long.");
        family.sample(&[("peer", "x\"y\\z\n"), ("kind", "hop")], 0.25);
        assert_eq!(
            exposition.finish(),
            "# HELP a_total All of a.\n# TYPE a_total counter\na_total 7\n\
             # HELP b_seconds How long.\n# TYPE b_seconds gauge\nb_seconds{peer=\"x\\\"y\\\\z\\n\",kind=\"hop\"} 0.25\n"
        );
    }
}
