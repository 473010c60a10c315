//! An invite as a QR code of half blocks, for a machine with a camera.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The lines of the code, light on dark as most terminals are; nothing when `text` is too long.
///
/// An invite is read without regard to case, and capitals make the code a third smaller.
pub(super) fn lines(text: &str) -> Vec<String> {
    exact_lines(&text.to_ascii_uppercase())
}

/// As [`lines`] of a text that is read with regard to case.
pub(super) fn exact_lines(text: &str) -> Vec<String> {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        return Vec::new();
    };
    let image = code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    image.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_fits_a_terminal() {
        let lines = lines(&format!("hopmesh1{}", "abcdefghijklmnopqrstuvwxyz234567".repeat(8)));
        let width = lines[0].chars().count();
        assert!(width <= 80, "{width} columns");
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert!(lines[0].chars().all(|c| c == '█'), "the quiet zone is light: {}", lines[0]);
        assert!(lines.iter().any(|line| line.contains('▀') && line.contains(' ')));
    }

    #[test]
    fn what_fits_no_code_gives_none() {
        assert!(lines(&"x".repeat(8000)).is_empty());
    }
}
