//! Pictures as SVG, written by hand: axes, lines with bands, areas and cells. Colours are those of Okabe and Ito, which
//! colour-blind people tell apart; each series has a dash and a marker or a pattern of its own as well, for print in grey.

use std::fmt::Write as _;

/// Text that may stand in HTML and SVG.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// How a series looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colour.
    pub color: &'static str,
    /// `stroke-dasharray`; empty = solid.
    pub dash: &'static str,
    /// Marker.
    pub marker: Marker,
}

/// A mark at the points of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as their names")]
pub enum Marker {
    None,
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// The mesh, the islands, the central service.
pub const SYSTEMS: [Style; 3] = [
    Style { color: "#0072B2", dash: "", marker: Marker::Circle },
    Style { color: "#E69F00", dash: "7 4", marker: Marker::Square },
    Style { color: "#D55E00", dash: "2 4", marker: Marker::Triangle },
];

/// Further series.
pub const OTHERS: [Style; 6] = [
    Style { color: "#000000", dash: "", marker: Marker::None },
    Style { color: "#009E73", dash: "6 3", marker: Marker::None },
    Style { color: "#CC79A7", dash: "2 3", marker: Marker::None },
    Style { color: "#56B4E9", dash: "9 3 2 3", marker: Marker::None },
    Style { color: "#D55E00", dash: "1 3", marker: Marker::None },
    Style { color: "#E69F00", dash: "12 4", marker: Marker::None },
];

/// From values to places.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// Even steps.
    #[must_use]
    pub fn linear(values: (f64, f64)) -> Self {
        let (low, high) = if values.0 < values.1 { values } else { (values.0 - 0.5, values.0 + 0.5) };
        Self { from: 0.0, to: 1.0, low, high, log: false }
    }

    /// Even factors; both ends are more than zero.
    #[must_use]
    pub fn log(values: (f64, f64)) -> Self {
        Self { from: 0.0, to: 1.0, low: libm::log10(values.0), high: libm::log10(values.1), log: true }
    }

    fn over(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// Where a value is; values outside are at the edge.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        let value = if self.log { libm::log10(value.max(1e-12)) } else { value };
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + part * (self.to - self.from)
    }
}

/// A picture with axes.
#[derive(Clone, Debug)]
pub struct Plot {
    size: (f64, f64),
    /// Left, top, right, bottom of the area between the axes.
    area: (f64, f64, f64, f64),
    x: Scale,
    y: Scale,
    body: String,
    /// Distinguishes the patterns of pictures on one page.
    id: &'static str,
}

impl Plot {
    /// An empty one.
    #[must_use]
    pub fn new(id: &'static str, size: (f64, f64), margins: (f64, f64, f64, f64), x: Scale, y: Scale) -> Self {
        let (left, top, right, bottom) = margins;
        let area = (left, top, size.0 - right, size.1 - bottom);
        Self { size, area, x: x.over(area.0, area.2), y: y.over(area.3, area.1), body: String::new(), id }
    }

    /// Adds raw SVG.
    pub fn raw(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// Left, top, right, bottom of the area between the axes.
    #[must_use]
    pub fn area(&self) -> (f64, f64, f64, f64) {
        self.area
    }

    /// Place of a value on the horizontal axis.
    #[must_use]
    pub fn px(&self, value: f64) -> f64 {
        self.x.place(value)
    }

    /// Place of a value on the vertical axis.
    #[must_use]
    pub fn py(&self, value: f64) -> f64 {
        self.y.place(value)
    }

    /// Horizontal lines with labels at the left.
    pub fn y_axis(&mut self, ticks: &[(f64, String)], title: &str) {
        let (left, top, right, bottom) = self.area;
        for (value, label) in ticks {
            let y = self.py(*value);
            self.raw(&format!(r##"<line x1="{left:.1}" y1="{y:.1}" x2="{right:.1}" y2="{y:.1}" stroke="#d9d9d9"/>"##));
            self.text(left - 8.0, y + 4.0, "end", label);
        }
        let middle = (top + bottom) / 2.0;
        let x = 16.0;
        self.raw(&format!(
            r#"<text x="{x}" y="{middle:.1}" text-anchor="middle" transform="rotate(-90 {x} {middle:.1})" class="axis">{}</text>"#,
            escape(title)
        ));
    }

    /// Ticks with labels below.
    pub fn x_axis(&mut self, ticks: &[(f64, String)], title: &str) {
        let (left, _, right, bottom) = self.area;
        self.raw(&format!(
            r##"<line x1="{left:.1}" y1="{bottom:.1}" x2="{right:.1}" y2="{bottom:.1}" stroke="#333"/>"##
        ));
        for (value, label) in ticks {
            let x = self.px(*value);
            self.raw(&format!(
                r##"<line x1="{x:.1}" y1="{bottom:.1}" x2="{x:.1}" y2="{:.1}" stroke="#333"/>"##,
                bottom + 5.0
            ));
            self.text(x, bottom + 19.0, "middle", label);
        }
        let middle = (left + right) / 2.0;
        self.raw(&format!(
            r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle" class="axis">{}</text>"#,
            bottom + 40.0,
            escape(title)
        ));
    }

    /// A text.
    pub fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        self.raw(&format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escape(text)));
    }

    /// A band between low and high.
    pub fn band(&mut self, points: &[(f64, f64, f64)], color: &str) {
        let Some(first) = points.first() else { return };
        let mut path = format!("M{:.1} {:.1}", self.px(first.0), self.py(first.2));
        for (x, _, high) in points.iter().skip(1) {
            write!(path, "L{:.1} {:.1}", self.px(*x), self.py(*high)).expect("a string takes all");
        }
        for (x, low, _) in points.iter().rev() {
            write!(path, "L{:.1} {:.1}", self.px(*x), self.py(*low)).expect("a string takes all");
        }
        self.raw(&format!(r#"<path d="{path}Z" fill="{color}" fill-opacity="0.18"/>"#));
    }

    /// A line with markers at every `every`th point (0 = none); `stepped` goes across first, then up.
    pub fn line(&mut self, points: &[(f64, f64)], style: Style, every: usize, stepped: bool) {
        let mut path = String::new();
        let mut marks = String::new();
        for (n, (x, y)) in points.iter().enumerate() {
            let (px, py) = (self.px(*x), self.py(*y));
            if n == 0 {
                write!(path, "M{px:.1} {py:.1}").expect("a string takes all");
            } else if stepped {
                write!(path, "H{px:.1}V{py:.1}").expect("a string takes all");
            } else {
                write!(path, "L{px:.1} {py:.1}").expect("a string takes all");
            }
            if every > 0 && n % every == 0 {
                marks.push_str(&mark(style, px, py));
            }
        }
        let dash = if style.dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{}""#, style.dash) };
        let color = style.color;
        self.raw(&format!(r#"<path d="{path}" fill="none" stroke="{color}" stroke-width="2.2"{dash}/>{marks}"#));
    }

    /// A rectangle between values.
    pub fn cell(&mut self, (x1, x2): (f64, f64), (y1, y2): (f64, f64), fill: &str, title: &str) {
        let (left, right) = (self.px(x1), self.px(x2));
        let (top, bottom) = (self.py(y1).min(self.py(y2)), self.py(y1).max(self.py(y2)));
        let (width, height) = ((right - left + 0.3).max(0.5), bottom - top);
        self.raw(&format!(
            r#"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" shape-rendering="crispEdges"><title>{}</title></rect>"#,
            escape(title)
        ));
    }

    /// A row of names with samples of their lines above the area.
    pub fn legend(&mut self, entries: &[(String, Style)]) {
        let (mut x, mut y) = (self.area.0, 16.0);
        for (name, style) in entries {
            let width = 44.0 + text_width(name);
            if x + width > self.size.0 && x > self.area.0 {
                (x, y) = (self.area.0, y + 18.0);
            }
            let dash =
                if style.dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{}""#, style.dash) };
            self.raw(&format!(
                r#"<line x1="{x:.1}" y1="{y}" x2="{:.1}" y2="{y}" stroke="{}" stroke-width="2.2"{dash}/>{}"#,
                x + 28.0,
                style.color,
                mark(*style, x + 14.0, y)
            ));
            self.text(x + 34.0, y + 4.0, "start", name);
            x += width + 14.0;
        }
    }

    /// The whole picture.
    #[must_use]
    pub fn finish(self, title: &str, description: &str) -> String {
        picture(self.id, self.size, title, description, &self.body)
    }
}

/// A picture of any content.
#[must_use]
pub fn picture(id: &str, size: (f64, f64), title: &str, description: &str, body: &str) -> String {
    let (width, height) = size;
    let (title, description) = (escape(title), escape(description));
    format!(
        r#"<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-t {id}-d" xmlns="http://www.w3.org/2000/svg" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>{body}</svg>"#
    )
}

/// Rough width of a text in the pictures' font.
#[must_use]
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

/// One marker.
#[must_use]
pub fn mark(style: Style, x: f64, y: f64) -> String {
    let color = style.color;
    match style.marker {
        Marker::None => String::new(),
        Marker::Circle => format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{color}" stroke="#fff"/>"##),
        Marker::Square => {
            format!(
                r##"<rect x="{:.1}" y="{:.1}" width="8" height="8" fill="{color}" stroke="#fff"/>"##,
                x - 4.0,
                y - 4.0
            )
        }
        Marker::Triangle => format!(
            r##"<path d="M{x:.1} {:.1}L{:.1} {:.1}H{:.1}Z" fill="{color}" stroke="#fff"/>"##,
            y - 5.0,
            x + 5.0,
            y + 4.0,
            x - 5.0
        ),
        Marker::Diamond => format!(
            r##"<path d="M{x:.1} {:.1}L{:.1} {y:.1}L{x:.1} {:.1}L{:.1} {y:.1}Z" fill="{color}" stroke="#fff"/>"##,
            y - 5.0,
            x + 5.0,
            y + 5.0,
            x - 5.0
        ),
    }
}

/// Colour of a share: from pale (none) to dark (all), its lightness falling all the way, so that grey print keeps it.
#[must_use]
pub fn ramp(share: f64) -> String {
    const STOPS: [(f64, f64, f64); 6] = [
        (254.0, 232.0, 56.0),
        (200.0, 184.0, 102.0),
        (148.0, 142.0, 119.0),
        (102.0, 105.0, 112.0),
        (53.0, 69.0, 108.0),
        (0.0, 34.0, 78.0),
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STOPS.len() - 2);
    let (a, b, part) = (STOPS[below], STOPS[below + 1], at - below as f64);
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Round steps between two values, about so many.
#[must_use]
pub fn ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let raw = (high - low).max(1e-12) / about.max(1) as f64;
    let magnitude = libm::pow(10.0, libm::floor(libm::log10(raw)));
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * magnitude).find(|step| *step >= raw - 1e-12);
    let step = step.unwrap_or(raw);
    let first = libm::ceil(low / step - 1e-9);
    (0..100).map(|n| (first + f64::from(n)) * step).take_while(|value| *value <= high + step * 1e-6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_ticks() {
        let scale = Scale::linear((0.0, 2.0)).over(100.0, 0.0);
        assert!((scale.place(0.5) - 75.0).abs() < 1e-9 && scale.place(9.0).abs() < 1e-9);
        let log = Scale::log((1.0, 100.0)).over(0.0, 10.0);
        assert!((log.place(10.0) - 5.0).abs() < 1e-9 && log.place(0.0).abs() < 1e-9);
        assert_eq!(ticks((0.0, 1.0), 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks((0.0, 93.0), 5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!((ramp(0.0).as_str(), ramp(1.0).as_str()), ("#fee838", "#00224e"));
    }

    #[test]
    fn texts_cannot_break_out() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
