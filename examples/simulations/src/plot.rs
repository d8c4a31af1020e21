//! Charts as SVG: two axes, lines, dots and a legend. Written out: that is less than what a
//! plotting crate needs to be told, and the workspace gets no dependency for it.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;
/// A palette that everybody can tell apart (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#555555"];

/// One axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) logarithmic: bool,
}

impl Axis {
    /// 0 at `from`, 1 at `to`; outside nothing is drawn.
    fn place(&self, value: f64) -> Option<f64> {
        let place = if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        (-1e-9..=1.0 + 1e-9).contains(&place).then_some(place)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = self.from.log10().ceil() as i32..=self.to.log10().floor() as i32;
            decades.map(|decade| 10_f64.powi(decade)).collect()
        } else {
            let rough = (self.to - self.from) / 5.0;
            let decade = 10_f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade).into_iter().find(|step| *step >= rough * 0.999);
            let step = step.unwrap_or(rough);
            (0..=20).map(|n| (self.from / step).ceil() * step + f64::from(n) * step).collect()
        }
    }
}

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Line,
    Dashes,
    Dots,
}

/// Points under one name.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(&mut svg, WIDTH / 2.0, 24.0, "middle", "font-size=\"15\"", self.title);
        self.grid(&mut svg);
        self.series.iter().for_each(|series| self.draw(&mut svg, series));
        // Dots that go with a line have no name of their own.
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        named.enumerate().for_each(|(row, series)| legend(&mut svg, row, series));
        svg.push_str("</svg>\n");
        svg
    }

    fn grid(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (x, tick) in self.x.ticks().into_iter().filter_map(|tick| Some((across(&self.x, tick)?, tick))) {
            line(svg, &[(x, TOP), (x, bottom)], "#dddddd", 1.0, "");
            text(svg, x, bottom + 18.0, "middle", "", &number(tick));
        }
        for (y, tick) in self.y.ticks().into_iter().filter_map(|tick| Some((up(&self.y, tick)?, tick))) {
            line(svg, &[(LEFT, y), (right, y)], "#dddddd", 1.0, "");
            text(svg, LEFT - 8.0, y + 4.0, "end", "", &number(tick));
        }
        line(svg, &[(LEFT, TOP), (LEFT, bottom), (right, bottom)], "#333333", 1.5, "");
        text(svg, (LEFT + right) / 2.0, HEIGHT - 14.0, "middle", "", self.x.label);
        let middle = (TOP + bottom) / 2.0;
        text(svg, 18.0, middle, "middle", &format!("transform=\"rotate(-90 18 {middle})\""), self.y.label);
    }

    fn draw(&self, svg: &mut String, series: &Series) {
        let place = |&(x, y): &(f64, f64)| Some((across(&self.x, x)?, up(&self.y, y)?));
        let places: Vec<_> = series.points.iter().filter_map(place).collect();
        let colour = COLOURS[series.colour];
        match series.mark {
            Mark::Line => line(svg, &places, colour, 2.0, ""),
            Mark::Dashes => line(svg, &places, colour, 1.5, "stroke-dasharray=\"6 4\""),
            Mark::Dots => places.iter().for_each(|&place| dot(svg, place, colour)),
        }
    }
}

fn across(axis: &Axis, value: f64) -> Option<f64> {
    Some(LEFT + axis.place(value)? * (WIDTH - LEFT - RIGHT))
}

fn up(axis: &Axis, value: f64) -> Option<f64> {
    Some(HEIGHT - BOTTOM - axis.place(value)? * (HEIGHT - TOP - BOTTOM))
}

fn legend(svg: &mut String, row: usize, series: &Series) {
    let (x, y, colour) = (WIDTH - RIGHT - 14.0, TOP + 16.0 + 18.0 * row as f64, COLOURS[series.colour]);
    match series.mark {
        Mark::Dots => dot(svg, (x, y - 4.0), colour),
        Mark::Line => line(svg, &[(x - 8.0, y - 4.0), (x + 8.0, y - 4.0)], colour, 2.0, ""),
        Mark::Dashes => line(svg, &[(x - 8.0, y - 4.0), (x + 8.0, y - 4.0)], colour, 1.5, "stroke-dasharray=\"6 4\""),
    }
    text(svg, x - 16.0, y, "end", "", &series.name);
}

fn line(svg: &mut String, places: &[(f64, f64)], colour: &str, width: f64, more: &str) {
    let mut points = String::new();
    for (x, y) in places {
        write!(points, "{x:.1},{y:.1} ").expect("a string takes all");
    }
    let points = points.trim_end();
    writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" {more}/>")
        .expect("a string takes all");
}

fn dot(svg: &mut String, (x, y): (f64, f64), colour: &str) {
    writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>").expect("a string takes all");
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{text}</text>")
        .expect("a string takes all");
}

/// As short as it can be told.
fn number(value: f64) -> String {
    let text = format!("{value:.5}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.0, "0"), (0.001, "0.001"), (1.0, "1"), (250.0, "250"), (100_000.0, "100000")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn points_outside_are_not_drawn() {
        let axis = Axis { label: "", from: 1.0, to: 100.0, logarithmic: true };
        assert_eq!(axis.place(10.0), Some(0.5));
        assert_eq!(axis.place(0.5), None);
        assert_eq!(axis.ticks(), [1.0, 10.0, 100.0]);
    }
}
