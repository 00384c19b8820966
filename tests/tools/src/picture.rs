//! A picture in SVG, made of rectangles, paths and texts.
//!
//! Why no plotting library: plotters 0.3.7 was tried on the picture of the chaos run. It places everything at whole pixels, so
//! that equal columns differ in width by a third, and lanes, names and legend are drawn by hand all the same.

use std::fmt::Display;

/// The classes that every picture has. Texts begin at their point, unless they are `middle` or `end`.
const STYLE: &str = "text{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:11px;fill:#333}\
    .middle{text-anchor:middle}.end{text-anchor:end}.title{font-size:16px;font-weight:bold;fill:#111}\
    .name{font-size:10px;fill:#111}.grid{stroke:#ddd}.axis{stroke:#888;fill:none}.lane{fill:#f4f4f4}";

/// A picture that is being drawn. Later pieces cover earlier ones; classes, divided by spaces, say what they look like.
#[derive(Debug)]
pub struct Picture(String);

impl Picture {
    /// An empty picture with a white ground. `style` adds to the classes `title`, `name`, `grid`, `axis`, `lane`, `middle`
    /// and `end`.
    pub fn new(width: f64, height: f64, style: &str) -> Self {
        Picture(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\">\n<style>{STYLE}{style}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ))
    }

    /// A rectangle.
    pub fn rect(&mut self, class: &str, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let (width, height) = (right - left, bottom - top);
        let size = format!("width=\"{width:.1}\" height=\"{height:.1}\"");
        self.0 += &format!("<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" {size}/>\n");
    }

    /// A line or an area, in SVG's language of paths.
    pub fn path(&mut self, class: &str, d: impl Display) {
        self.0 += &format!("<path class=\"{class}\" d=\"{d}\"/>\n");
    }

    /// A text on a line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), text: impl Display) {
        let text = escaped(text);
        self.0 += &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n");
    }

    /// A text that runs from below to above.
    pub fn upright(&mut self, class: &str, (x, y): (f64, f64), text: impl Display) {
        let (turn, text) = (format!("translate({x:.1} {y:.1}) rotate(-90)"), escaped(text));
        self.0 += &format!("<text class=\"{class}\" transform=\"{turn}\">{text}</text>\n");
    }

    /// The whole picture.
    pub fn svg(self) -> String {
        self.0 + "</svg>\n"
    }
}

fn escaped(text: impl Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;")
}
