//! Every measurement as a line of JSON, for whoever wants more than medians.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::figure::Figures;

/// The file, if one is asked for.
pub(crate) struct Lines(Option<File>);

impl Lines {
    /// # Errors
    /// A sentence, when the file cannot be opened.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        path.map(open).transpose().map(Self)
    }

    /// # Errors
    /// A sentence, when the file cannot be written.
    pub(crate) fn add(
        &mut self,
        round: usize,
        peer: &str,
        measure: &str,
        figures: &Figures,
    ) -> Result<(), String> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        writeln!(file, "{}", line(round, peer, measure, figures)).map_err(|error| error.to_string())
    }
}

fn line(round: usize, peer: &str, measure: &str, figures: &Figures) -> Value {
    let figures: Map<String, Value> =
        figures.iter().map(|(figure, value)| (figure.name().to_owned(), json!(value))).collect();
    json!({ "round": round, "peer": peer, "measure": measure, "figures": figures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    #[test]
    fn a_line_says_what_and_how_much() {
        let told = line(1, "hopmesh", "ping", &vec![(Figure::PingP50, 80.5)]);
        assert_eq!(told["figures"]["ping p50, µs"], 80.5);
        assert_eq!(
            (&told["round"], &told["peer"], &told["measure"]),
            (&json!(1), &json!("hopmesh"), &json!("ping"))
        );
    }
}
