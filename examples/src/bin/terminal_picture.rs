//! What did it look like in the terminal?
//!
//! Reads what a program wrote to a terminal, and writes it as a moving SVG:
//! `script -qec probe /dev/null | terminal_picture probe > probe.svg`. A bar that is drawn again and again
//! moves, ten frames a second; what stays at the end is also what a viewer shows that knows no movement.

use std::io::{self, Read, Write};

/// The size of a letter.
const LETTER: (f64, f64) = (8.4, 19.0);
const MARGIN: f64 = 16.0;

fn main() -> io::Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    io::stdout().write_all(picture(&command, &text).as_bytes())
}

fn picture(command: &str, text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    // Lines that stay, and the frames of the one that does not.
    let (mut lines, mut frames) = (vec![format!("\x1b[1m$ {command}\x1b[0m")], Vec::new());
    for line in text.lines() {
        let mut drawn: Vec<_> = line.split("\r\x1b[K").collect();
        lines.extend(drawn.pop().map(str::to_owned));
        frames.extend(drawn.into_iter().filter(|frame| !frame.is_empty()));
    }
    let widest = lines.iter().map(String::as_str).chain(frames.iter().copied());
    let widest = widest.map(|line| spans(line).iter().map(|(_, text)| text.chars().count()).sum::<usize>());
    let width = widest.max().unwrap_or(0) as f64 * LETTER.0 + 2.0 * MARGIN;
    let height = lines.len() as f64 * LETTER.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-size=\"14\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1d2129\"/>\n"
    );
    let over = frames.len() as f64 / 10.0;
    for (at, line) in lines.iter().enumerate() {
        // Hidden while the bar moves, all but the command.
        let moves = match at {
            0 => String::new(),
            _ => format!("<set attributeName=\"visibility\" to=\"hidden\" begin=\"0s\" dur=\"{over:.1}s\"/>"),
        };
        svg += &row(at, line, "visible", &moves);
    }
    for (at, frame) in frames.iter().enumerate() {
        let begin = at as f64 / 10.0;
        let moves =
            format!("<set attributeName=\"visibility\" to=\"visible\" begin=\"{begin:.1}s\" dur=\"0.1s\"/>");
        svg += &row(1, frame, "hidden", &moves);
    }
    svg + "</svg>\n"
}

fn row(at: usize, line: &str, visibility: &str, moves: &str) -> String {
    let y = MARGIN + LETTER.1 * (at as f64 + 0.75);
    let mut row = format!("<text xml:space=\"preserve\" y=\"{y:.1}\" visibility=\"{visibility}\">{moves}");
    let mut column = 0;
    for (style, text) in spans(line) {
        let x = MARGIN + LETTER.0 * column as f64;
        column += text.chars().count();
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        row += &format!("<tspan x=\"{x:.1}\" {style}>{text}</tspan>");
    }
    row + "</text>\n"
}

/// The parts of a line, each with its colour.
fn spans(line: &str) -> Vec<(&'static str, String)> {
    const PLAIN: &str = "fill=\"#d5d9e0\"";
    let mut spans = vec![(PLAIN, String::new())];
    for (number, part) in line.split("\x1b[").enumerate() {
        let text = if number == 0 {
            part
        } else {
            let end =
                part.find(|letter: char| letter.is_ascii_alphabetic()).map_or(part.len(), |end| end + 1);
            let (code, text) = part.split_at(end);
            match code {
                "31m" => spans.push(("fill=\"#ff7b72\"", String::new())),
                "32m" => spans.push(("fill=\"#56d364\"", String::new())),
                "1m" => spans.push(("fill=\"#ffffff\" font-weight=\"bold\"", String::new())),
                "0m" => spans.push((PLAIN, String::new())),
                _ => {}
            }
            text
        };
        spans
            .last_mut()
            .expect("there is the first")
            .1
            .extend(text.chars().filter(|letter| !letter.is_control()));
    }
    spans.retain(|(_, text)| !text.is_empty());
    spans
}
