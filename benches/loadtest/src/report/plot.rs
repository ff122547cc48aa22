//! One plot as SVG for the page. Colours are names that the page's style resolves, so that a plot is legible in light and
//! dark. What is plotted, the page decides.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;

/// In units of the picture, which the page scales.
const SIZE: (u32, u32) = (560, 260);
/// How many points a line may have; what is between them could not be seen.
pub(super) const POINTS: usize = 560;
/// How many colours the page has.
pub(super) const COLOURS: usize = 6;

// No colours: marks in what plotters writes, put in their place by `themed`.
const TEXT: RGBColor = RGBColor(0xe1, 0x5a, 0x01);
const GRID: RGBColor = RGBColor(0xe1, 0x5a, 0x02);
const SHADE: RGBColor = RGBColor(0xe1, 0x5a, 0x03);

/// The line of one run.
#[derive(Debug)]
pub(super) struct Line {
    /// Which of the page's colours.
    pub(super) colour: usize,
    /// Drawn lighter: not the first run of its server.
    pub(super) again: bool,
    /// Pieces without gaps.
    pub(super) pieces: Vec<Vec<(f64, f64)>>,
}

/// A plot.
#[derive(Debug)]
pub(super) struct Plot {
    /// For who cannot see it.
    pub(super) label: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// From where to where on the x axis was measured.
    pub(super) shaded: Option<(f64, f64)>,
    pub(super) lines: Vec<Line>,
}

impl Plot {
    /// Nothing where plotters will not draw it.
    pub(super) fn svg(&self) -> Option<String> {
        let mut svg = String::new();
        self.draw(&mut svg).ok()?;
        Some(themed(&svg, &self.label))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        builder.margin(6).margin_right(20).x_label_area_size(24).y_label_area_size(72);
        let mut chart = builder.build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let y = plotters::coord::ranged1d::Ranged::range(&self.y);
        if let Some((from, to)) = self.shaded {
            chart.draw_series([Rectangle::new([(from, y.start), (to, y.end)], SHADE.filled())])?;
        }
        let text = ("sans-serif", 13).into_font().color(&TEXT);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_label_style(text.clone().pos(Pos::new(HPos::Center, VPos::Top)))
            .y_label_style(text.pos(Pos::new(HPos::Right, VPos::Center)))
            .draw()?;
        // The first is drawn last, above the others.
        for line in self.lines.iter().rev() {
            let style = ShapeStyle { color: mark(line.colour, line.again).into(), filled: false, stroke_width: 2 };
            for piece in &line.pieces {
                let place = |&(x, y): &(f64, f64)| Some((x, self.y.position(y)?));
                let points: Vec<_> = piece.iter().filter_map(place).collect();
                if let [point] = points[..] {
                    chart.draw_series([Circle::new(point, 2, style.filled())])?;
                } else {
                    chart.draw_series(LineSeries::new(points, style))?;
                }
            }
        }
        root.present()?;
        Ok(())
    }
}

fn mark(colour: usize, again: bool) -> RGBColor {
    RGBColor(0xe1, if again { 0x5c } else { 0x5b }, (colour % COLOURS) as u8)
}

/// The picture with the page's colours, as wide as there is room, and with a label.
fn themed(svg: &str, label: &str) -> String {
    let picture = svg.find("viewBox").map_or(svg, |at| &svg[at..]);
    let mut svg = format!(r#"<svg role="img" aria-label="{}" {picture}"#, super::html::escape(label));
    let mut replace = |mark: RGBColor, name: &str| {
        svg = svg.replace(&format!("\"#{:02X}{:02X}{:02X}\"", mark.0, mark.1, mark.2), &format!("\"{name}\""));
    };
    replace(TEXT, "currentColor");
    replace(GRID, "var(--grid)");
    replace(SHADE, "var(--shade)");
    for colour in 0..COLOURS {
        replace(mark(colour, false), &format!("var(--run{colour})"));
        replace(mark(colour, true), &format!("var(--again{colour})"));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn a_plot_has_the_colours_of_the_page() {
        let line = |colour, pieces| Line { colour, again: colour > 0, pieces };
        let plot = Plot {
            label: "rates <1>".into(),
            x: Axis::of_seconds(0.0, 2.0),
            y: Axis::of_values([1.0, 2.0].into_iter(), Unit::PerSecond),
            shaded: Some((0.0, 1.0)),
            lines: vec![line(0, vec![vec![(0.0, 1.0), (1.0, 2.0)]]), line(1, vec![vec![(2.0, 1.0)], vec![]])],
        };
        let svg = plot.svg().unwrap();
        assert!(svg.starts_with(r#"<svg role="img" aria-label="rates &lt;1&gt;" viewBox="0 0 560 260""#), "{svg}");
        for name in ["currentColor", "var(--grid)", "var(--shade)", "var(--run0)", "var(--again1)"] {
            assert!(svg.contains(&format!("\"{name}\"")), "{name} is not in {svg}");
        }
        assert!(!svg.contains("#E1"), "{svg}");
    }
}
