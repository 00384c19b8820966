//! The pieces of a picture that are no more than SVG. The bench of outages draws with them, too.

use std::fmt::Write as _;

pub(crate) fn rect(svg: &mut String, class: &str, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
    let (width, height) = (right - left, bottom - top);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    );
}

pub(crate) fn text(svg: &mut String, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}
