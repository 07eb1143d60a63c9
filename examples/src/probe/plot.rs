//! The picture: how long the checks took, and what happened when.

use std::fmt::Write;
use std::time::Duration;

use super::report::{Class, Report, State};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 870.0;
/// Where the first plot ends, and the second.
const BASES: [f64; 2] = [290.0, 560.0];
const HEIGHT: f64 = 200.0;
const BARS: usize = 60;

const COLOURS: [(Class, &str); 5] = [
    (Class::Healthy, "#2e8b57"),
    (Class::Unhealthy, "#d2691e"),
    (Class::Unreachable, "#8b5fbf"),
    (Class::TimedOut, "#b22222"),
    (Class::NotAsked, "#708090"),
];

/// Both plots as one SVG.
pub(super) fn svg(report: &Report) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 600\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"600\" fill=\"white\"/>\n"
    );
    let done: Vec<_> = report
        .states
        .iter()
        .filter_map(|state| match state {
            State::Done(outcome) => Some((state.class(), outcome)),
            _ => None,
        })
        .collect();
    legend(&mut svg, report);

    // How long they took, on a scale of logarithms. What was not asked took no time.
    let asked = || done.iter().filter(|(class, _)| *class != Class::NotAsked);
    let log = |time: Duration| time.as_secs_f64().max(1e-5).log10();
    let times = || asked().map(|(_, outcome)| outcome.took());
    let least = times().min().map_or(-3.0, |fastest| log(fastest).floor());
    let most = times().max().map_or(0.0, |slowest| log(slowest).ceil()).max(least + 1.0);
    let took = asked().map(|(class, outcome)| (*class, (log(outcome.took()) - least) / (most - least)));
    let highest = bars(&mut svg, BASES[0], took);
    frame(&mut svg, BASES[0], "how long the checks took", highest);
    let mut power = least;
    while power <= most {
        let x = LEFT + (RIGHT - LEFT) * (power - least) / (most - least);
        let time = Duration::from_secs_f64(10f64.powf(power));
        tick(&mut svg, BASES[0], x, &unit(time));
        power += 1.0;
    }

    // What happened when.
    let end = report.elapsed.as_secs_f64().max(0.001);
    let ended =
        done.iter().map(|(class, outcome)| (*class, (outcome.begun() + outcome.took()).as_secs_f64() / end));
    let highest = bars(&mut svg, BASES[1], ended);
    frame(&mut svg, BASES[1], "when they ended, and when circuits opened (dashed)", highest);
    let step = round_step(end / 8.0);
    for number in 0..=(end / step) as u32 {
        let at = step * f64::from(number);
        tick(&mut svg, BASES[1], LEFT + (RIGHT - LEFT) * at / end, &unit(Duration::from_secs_f64(at)));
    }
    for (at, _) in &report.openings {
        let x = LEFT + (RIGHT - LEFT) * (at.as_secs_f64() / end).min(1.0);
        let (top, base) = (BASES[1] - HEIGHT, BASES[1]);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{base}\" \
             stroke=\"black\" stroke-dasharray=\"4 3\"/>"
        );
    }
    svg += "</svg>\n";
    svg
}

/// 1, 2 or 5, or ten times that, and so on: not smaller than this.
fn round_step(least: f64) -> f64 {
    let ten = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * ten).find(|step| *step >= least).unwrap_or(10.0 * ten)
}

/// A time in the unit in which it is short.
fn unit(time: Duration) -> String {
    // Rounded first: what was reckoned with logarithms is a little off.
    let micros = (time.as_secs_f64() * 1e6).round();
    match micros {
        0.0 => "0".to_owned(),
        micros if micros < 1e3 => format!("{micros} µs"),
        micros if micros < 1e6 => format!("{} ms", (micros / 1e3 * 100.0).round() / 100.0),
        micros => format!("{} s", (micros / 1e6 * 100.0).round() / 100.0),
    }
}

fn legend(svg: &mut String, report: &Report) {
    let mut x = LEFT;
    for (class, colour) in COLOURS {
        let number = report.states.iter().filter(|state| state.class() == class).count();
        if number == 0 {
            continue;
        }
        let text = format!("{} {number}", class.name());
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"22\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"33\">{text}</text>",
            x + 18.0
        );
        x += 40.0 + 7.5 * text.len() as f64;
    }
}

/// Stacked bars of what falls into each part of the width, and the number of the highest.
fn bars(svg: &mut String, base: f64, items: impl Iterator<Item = (Class, f64)>) -> usize {
    let mut counts = [[0usize; COLOURS.len()]; BARS];
    for (class, part) in items {
        let bar = ((part * BARS as f64) as usize).min(BARS - 1);
        if let Some(colour) = COLOURS.iter().position(|(known, _)| *known == class) {
            counts[bar][colour] += 1;
        }
    }
    let highest = counts.iter().map(|bar| bar.iter().sum::<usize>()).max().unwrap_or(0);
    let width = (RIGHT - LEFT) / BARS as f64;
    for (at, bar) in counts.iter().enumerate() {
        let mut y = base;
        for (number, (_, colour)) in bar.iter().zip(COLOURS) {
            if *number == 0 {
                continue;
            }
            // Few beside many would not be seen at all: the height is the root of the number.
            let all: usize = bar.iter().sum();
            let whole = HEIGHT * (all as f64).sqrt() / (highest as f64).sqrt();
            let height = whole * *number as f64 / all as f64;
            y -= height;
            let x = LEFT + width * at as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                 fill=\"{colour}\"/>",
                width - 1.0
            );
        }
    }
    highest
}

fn frame(svg: &mut String, base: f64, title: &str, highest: usize) {
    let top = base - HEIGHT;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>\n\
         <path d=\"M{LEFT} {top} V{base} H{RIGHT}\" fill=\"none\" stroke=\"black\"/>",
        top - 14.0
    );
    // The root again.
    for part in [0.25f64, 0.5, 1.0] {
        let number = (highest as f64 * part).round();
        if number < 1.0 || (part < 1.0 && number as usize == highest) {
            continue;
        }
        let y = base - HEIGHT * (number / highest as f64).sqrt();
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{number}</text>\
             <line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"18\" y=\"{:.0}\" transform=\"rotate(-90 18 {:.0})\" \
         text-anchor=\"middle\">endpoints, root scale</text>",
        base - HEIGHT / 2.0,
        base - HEIGHT / 2.0
    );
}

fn tick(svg: &mut String, base: f64, x: f64, text: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base}\" y2=\"{}\" stroke=\"black\"/>\
         <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
        base + 5.0,
        base + 20.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let near = |one: f64, other: f64| (one / other - 1.0).abs() < 1e-9;
        for (least, step) in [(0.9, 1.0), (1.0, 1.0), (1.1, 2.0), (0.021, 0.05), (60.0, 100.0)] {
            assert!(near(round_step(least), step), "{least}: {}", round_step(least));
        }
    }

    #[test]
    fn a_time_is_told_in_its_unit() {
        let told = |seconds: f64| unit(Duration::from_secs_f64(seconds));
        assert_eq!(
            [told(0.0), told(1e-4), told(0.0999999999), told(1.5), told(20.0)],
            ["0", "100 µs", "100 ms", "1.5 s", "20 s"]
        );
    }
}
