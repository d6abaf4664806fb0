//! QR codes of half blocks, two modules high per line.

use qrcode::{Color, EcLevel, QrCode};

/// Light border that scanners need, in modules.
const QUIET: usize = 2;

/// The code as text, or nothing where the text is too long for one. Light modules are drawn, so that a dark terminal shows
/// dark on light; scanners read the inverse too.
pub fn qr(text: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return String::new() };
    let (width, modules) = (code.width(), code.to_colors());
    let light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < width);
        let (Some(x), Some(y)) = (inside(x), inside(y)) else { return true };
        modules.get(y * width + x) != Some(&Color::Dark)
    };
    let side = width + 2 * QUIET;
    let mut out = String::new();
    for y in (0..side).step_by(2) {
        for x in 0..side {
            out.push(match (light(x, y), y + 1 < side && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_border() {
        let text = qr("http://127.0.0.1:8080/g/token/v3/publish");
        let lines: Vec<&str> = text.lines().collect();
        let width = lines.first().unwrap().chars().count();
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines.iter().all(|line| line.chars().count() == width));
        // The side is odd, so the last line is half a border.
        let (last, above) = lines.split_last().unwrap();
        assert!(last.chars().all(|c| c == '▀') && above.iter().all(|line| line.starts_with("██")));
        assert!(lines.first().unwrap().chars().all(|c| c == '█'));
        // The finder pattern in the corner: a dark line of seven, a light module, a dark line.
        assert!(lines[1].starts_with("██ ▄▄▄▄▄ █"), "{}", lines[1]);
    }

    #[test]
    fn what_is_too_long_has_none() {
        assert_eq!(qr(&"a".repeat(5000)), "");
    }
}
