//! The picture of a [`Model`] on a terminal of any size. Weight and brightness alone carry meaning besides the words, so that
//! nobody's colours matter.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};

use super::model::{Column, Model, Rates, Row};
use crate::cli::text;

/// Columns in the order in which they get room, with the characters that they take at least.
const ROOM: [(Column, u16); 8] = [
    (Column::Name, 10),
    (Column::Path, 12),
    (Column::BytesIn, 8),
    (Column::BytesOut, 8),
    (Column::RoundTrip, 7),
    (Column::Loss, 6),
    (Column::PacketsIn, 7),
    (Column::PacketsOut, 8),
];
/// Lines from which on there is room for more than the list.
const ROOMY_HEIGHT: u16 = 8;
const KEYS: &str = "q quits   ← → column   r turns the order   ↑ ↓ scroll";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.height < ROOMY_HEIGHT {
        return draw_list(frame, model, area);
    }
    let above = above(model);
    let heights = [
        Constraint::Length(u16::try_from(above.len()).unwrap_or(u16::MAX)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [top, middle, bottom] = Layout::vertical(heights).areas(area);
    frame.render_widget(Paragraph::new(above), top);
    draw_list(frame, model, middle);
    frame.render_widget(Line::from(KEYS).style(Modifier::DIM), bottom);
}

/// Who we are, what is wrong, and how much passes.
fn above(model: &Model) -> Vec<Line<'_>> {
    let mut lines = vec![];
    if let Some(away) = &model.away {
        lines.push(Line::from(format!("! {away}")).style(Modifier::BOLD));
    }
    if let (None, Some(problem)) = (&model.away, model.problems.first()) {
        let more = match model.problems.len() {
            1 => String::new(),
            all => format!("(1 of {all}) "),
        };
        lines.push(Line::from(format!("! {more}{problem}")).style(Modifier::BOLD));
    }
    lines.push(Line::from(model.headline.as_deref().unwrap_or("asking the daemon …")));
    lines.push(Line::from(model.total().map_or_else(String::new, totals)));
    lines.push(Line::default());
    lines
}

fn totals(rates: Rates) -> String {
    format!(
        "in {}/s, {} packets/s   out {}/s, {} packets/s",
        bytes(rates.bytes_in),
        count(rates.packets_in),
        bytes(rates.bytes_out),
        count(rates.packets_out)
    )
}

fn draw_list(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let columns = columns(area.width);
    let heading = |column: &Column| {
        let is_sorted = *column == model.sort;
        let arrow = match (is_sorted, model.is_descending) {
            (false, _) => "",
            (true, false) => "▲",
            (true, true) => "▼",
        };
        let style = if is_sorted { Modifier::BOLD | Modifier::UNDERLINED } else { Modifier::BOLD };
        cell(*column, format!("{}{arrow}", heading_of(*column))).style(style)
    };
    let header = TableRow::new(columns.iter().map(heading));
    let rows = model.rows.iter().skip(model.offset).take(area.height.into()).map(|row| {
        let style = if row.is_reached { Style::new() } else { Style::new().add_modifier(Modifier::DIM) };
        TableRow::new(columns.iter().map(|column| cell(*column, shown(*column, row)))).style(style)
    });
    let fills = |column: &Column| *column == Column::Path || columns.len() == 1;
    let widths = columns
        .iter()
        .map(|column| if fills(column) { Constraint::Fill(1) } else { Constraint::Length(width(*column)) });
    frame.render_widget(Table::new(rows, widths).header(header).column_spacing(1), area);
}

/// Those that there is room for, from left to right.
fn columns(room: u16) -> Vec<Column> {
    let mut left = room;
    let mut columns = vec![];
    for (column, width) in ROOM {
        let needed = width + u16::from(!columns.is_empty());
        // A name that is cut off is better than none.
        if needed > left && !columns.is_empty() {
            break;
        }
        left = left.saturating_sub(needed);
        columns.push(column);
    }
    columns.sort();
    columns
}

fn width(column: Column) -> u16 {
    ROOM.iter().find(|(other, _)| *other == column).map_or(0, |(_, width)| *width)
}

fn heading_of(column: Column) -> &'static str {
    match column {
        Column::Name => "NAME",
        Column::Path => "PATH",
        Column::RoundTrip => "RTT",
        Column::Loss => "LOSS",
        Column::BytesIn => "IN/s",
        Column::BytesOut => "OUT/s",
        Column::PacketsIn => "PKT IN",
        Column::PacketsOut => "PKT OUT",
    }
}

/// Words stand left, figures right.
fn cell(column: Column, text: String) -> Cell<'static> {
    if column.is_figure() { Cell::from(Line::from(text).right_aligned()) } else { Cell::from(text) }
}

fn shown(column: Column, row: &Row) -> String {
    let rate = |of: fn(&Rates) -> f64, say: fn(f64) -> String| row.rates.as_ref().map(|rates| say(of(rates)));
    let figure = match column {
        Column::Name => Some(row.name.clone()),
        Column::Path => Some(row.path.clone()),
        Column::RoundTrip => row.round_trip_ms.map(text::milliseconds),
        Column::Loss => row.loss_per_mille.map(text::per_mille),
        Column::BytesIn => rate(|rates| rates.bytes_in, bytes),
        Column::BytesOut => rate(|rates| rates.bytes_out, bytes),
        Column::PacketsIn => rate(|rates| rates.packets_in, count),
        Column::PacketsOut => rate(|rates| rates.packets_out, count),
    };
    figure.unwrap_or_else(|| "-".to_owned())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is no less than 0, and cut at the end of u64"
)]
fn bytes(rate: f64) -> String {
    text::bytes(rate.round() as u64)
}

/// Packets in at most six characters: 812, 12.4k, 1.2M.
fn count(rate: f64) -> String {
    match rate {
        rate if rate < 999.5 => format!("{rate:.0}"),
        rate if rate < 999_950.0 => format!("{:.1}k", rate / 1e3),
        rate => format!("{:.1}M", rate / 1e6),
    }
}
