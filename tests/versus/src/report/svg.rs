//! [`Drawing`]: shapes and words of an SVG, which looks well on light and on dark.

use std::fmt::Write;

/// Every drawing of a report has it near its beginning.
pub(super) const MARK: &str = "<!-- weirs-versus -->";

/// Colours by what they mean: the name, on light, on dark.
const COLOURS: [(&str, &str, &str); 10] = [
    ("ink", "#1f2328", "#e6edf3"),
    ("quiet", "#59636e", "#9198a1"),
    ("grid", "#dfe3e8", "#2b323b"),
    ("good", "#0a7ea4", "#39b3d7"),
    ("bad", "#c4501b", "#f0883e"),
    ("plain", "#8c959f", "#7d8590"),
    ("first", "#0a63c9", "#58a6ff"),
    ("second", "#c4501b", "#f0883e"),
    ("third", "#1a7f37", "#3fb950"),
    ("fourth", "#8250df", "#bc8cff"),
];

/// What all is drawn on, on light and on dark.
const GROUND: (&str, &str) = ("#ffffff", "#0d1117");

/// What a shape or a word is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Quiet,
    Grid,
    Good,
    Bad,
    Plain,
    /// One of the lines of a plot.
    Line(usize),
}

impl Ink {
    /// The light colour, and a class for the dark one: a viewer without style sheets shows the light ones.
    fn paint(self, property: &str) -> String {
        let at = match self {
            Self::Text => 0,
            Self::Quiet => 1,
            Self::Grid => 2,
            Self::Good => 3,
            Self::Bad => 4,
            Self::Plain => 5,
            Self::Line(number) => 6 + number % 4,
        };
        let (name, light, _) = COLOURS[at];
        format!("{property}=\"{light}\" class=\"{}{name}\"", &property[..1])
    }
}

/// Where a word stands from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Grows by a shape at a time.
#[derive(Debug)]
pub(super) struct Drawing {
    width: f64,
    about: String,
    body: String,
}

/// The size of most words.
pub(super) const SIZE: f64 = 12.0;

impl Drawing {
    pub(super) fn new(width: f64, about: &str) -> Self {
        Self { width, about: about.to_owned(), body: String::new() }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, ink: Ink, anchor: Anchor, text: &str) {
        self.words(x, y, ink, anchor, "", text);
    }

    /// A heading.
    pub(super) fn bold(&mut self, x: f64, y: f64, size: f64, text: &str) {
        self.words(
            x,
            y,
            Ink::Text,
            Anchor::Start,
            &format!(" font-weight=\"bold\" font-size=\"{size}\""),
            text,
        );
    }

    /// A name, whose letters are all as wide: see [`name_width`].
    pub(super) fn name(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.words(x, y, Ink::Text, anchor, " font-family=\"monospace\" font-size=\"11\"", text);
    }

    /// Words along an axis that stands.
    pub(super) fn upright(&mut self, x: f64, y: f64, text: &str) {
        let turn = format!(" transform=\"rotate(-90 {} {})\"", place(x), place(y));
        self.words(x, y, Ink::Quiet, Anchor::Middle, &turn, text);
    }

    fn words(&mut self, x: f64, y: f64, ink: Ink, anchor: Anchor, more: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, ink, text) = (place(x), place(y), ink.paint("fill"), escaped(text));
        let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{y}\" {ink}{anchor}{more}>{text}</text>");
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, ink: Ink) {
        let (x, y, width, height) = (place(x), place(y), place(width.max(0.5)), place(height));
        let ink = ink.paint("fill");
        let _ =
            writeln!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {ink}/>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, ink: Ink) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(place);
        let ink = ink.paint("stroke");
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke-width=\"{width}\" {ink}/>"
        );
    }

    /// A line through points, which stands for the peer if it is dashed.
    pub(super) fn curve(&mut self, points: &[(f64, f64)], dashed: bool, ink: Ink) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", place(*x), place(*y))).collect();
        let dashes = if dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke-width=\"2\"{dashes} {}/>",
            points.join(" "),
            ink.paint("stroke")
        );
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64, hollow: bool, ink: Ink) {
        let (x, y) = (place(x), place(y));
        let how = if hollow {
            format!("fill=\"none\" stroke-width=\"1.2\" {}", ink.paint("stroke"))
        } else {
            ink.paint("fill")
        };
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {how}/>");
    }

    /// The whole, so high.
    pub(super) fn finish(self, height: f64) -> String {
        let Self { width, about, body } = self;
        let (width, height, about) = (place(width), place(height), escaped(&about));
        let (light, dark) = GROUND;
        let mut style = format!(".ground{{fill:{dark}}}");
        for (name, _, dark) in COLOURS {
            let _ = write!(style, ".f{name}{{fill:{dark}}}.s{name}{{stroke:{dark}}}");
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" \
             font-size=\"{SIZE}\">\n{MARK}\n<title>{about}</title>\n<style>@media \
             (prefers-color-scheme:dark){{{style}}}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{light}\" class=\"ground\"/>\n\
             {body}</svg>\n"
        )
    }
}

/// How wide a [`Drawing::name`] is.
pub(super) fn name_width(name: &str) -> f64 {
    name.chars().count() as f64 * 6.7
}

/// How wide other words are at the most, about: letters differ, and so do machines.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 0.6 * SIZE
}

/// A coordinate with one digit behind the point: a tenth of a pixel is not seen.
fn place(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
