//! [`frame`]: a look as lines of a terminal.

use weirs_resilience::Circuit;

use crate::look::{Look, Row, Trend, told};

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Faint,
    Bold,
    Good,
    Fair,
    Bad,
}

use Style::{Bad, Bold, Faint, Fair, Good, Plain};

/// Parts of a line, one after another.
#[derive(Default)]
pub(crate) struct Line(pub(crate) Vec<(Style, String)>);

impl Line {
    fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    fn plain(self, text: impl Into<String>) -> Self {
        self.with(Plain, text)
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The other one, at the right margin.
    fn and_right(self, other: Self, width: usize) -> Self {
        let gap = width.saturating_sub(self.width() + other.width() + 1).max(2);
        let mut line = self.plain(" ".repeat(gap));
        line.0.extend(other.0);
        line
    }

    /// No more than fits.
    fn clipped(mut self, width: usize) -> Self {
        let mut room = width;
        for (_, text) in &mut self.0 {
            *text = text.chars().take(room).collect();
            room -= text.chars().count();
        }
        self
    }
}

/// Besides the bar: what is in a row of a stage.
const CELLS: usize = 66;

/// A look as lines of a terminal of this size.
pub(crate) fn frame(runtime: &str, look: &Look, trend: &Trend, width: usize, height: usize) -> Vec<Line> {
    let bar_width = width.saturating_sub(CELLS).clamp(4, 60);
    let mut lines = vec![header(runtime, look, width), rule(width)];
    let titles =
        format!(" stage   {:<bar_width$}       in flight     done  per s     p50     p95     p99", "queue");
    lines.push(Line::default().with(Faint, titles));
    for (row, rate) in look.stages.iter().zip(trend.rates()) {
        lines.push(stage(row, rate, bar_width));
    }
    let whole = look.whole;
    let whole = [whole.p50, whole.p95, whole.p99].map(|time| format!("{:>8}", told(time))).concat();
    let label = " from the order to its charge";
    let gap = (CELLS + bar_width).saturating_sub(label.len() + whole.len() + 1);
    lines.push(Line::default().with(Faint, label).plain(" ".repeat(gap)).plain(whole));
    lines.push(rule(width));

    lines.push(circuit(look));
    let counts = Line::default()
        .with(Faint, " turned away ")
        .with(if look.turned_away > 0 { Fair } else { Plain }, look.turned_away.to_string())
        .with(Faint, "   calls ")
        .plain(look.calls.to_string())
        .with(Faint, "   dead letters ")
        .with(if look.dead > 0 { Bad } else { Plain }, look.dead.to_string());
    lines.push(counts);
    lines.push(chart(trend, width));
    lines.push(rule(width));
    let keys = 1;
    let room = height.saturating_sub(lines.len() + keys);
    let letters = look.letters.iter().map(|letter| Line::default().with(Faint, " † ").plain(letter));
    lines.extend(letters.take(room));
    lines.resize_with(height.saturating_sub(keys).max(lines.len()), Line::default);
    lines.push(help(look));
    lines.truncate(height);
    lines.into_iter().map(|line| line.clipped(width)).collect()
}

fn header(runtime: &str, look: &Look, width: usize) -> Line {
    let seconds = look.running.as_secs();
    let left = Line::default().with(Bold, " orders").with(Faint, format!(" on {runtime}  ")).plain(format!(
        "{}:{:02}",
        seconds / 60,
        seconds % 60
    ));
    let switch = |on| if on { (Bad, "on") } else { (Plain, "off") };
    let ((slow_style, slow), (outage_style, outage)) = (switch(look.slow), switch(look.outage));
    let right = Line::default()
        .with(Faint, "load ")
        .plain(format!("{}/s", look.load))
        .with(Faint, "   slow stage ")
        .with(slow_style, slow)
        .with(Faint, "   outage ")
        .with(outage_style, outage);
    left.and_right(right, width)
}

fn rule(width: usize) -> Line {
    Line::default().with(Faint, "─".repeat(width))
}

fn stage(row: &Row, rate: f64, bar_width: usize) -> Line {
    let share = (row.queued as f64 / row.room as f64).min(1.0);
    let style = match share {
        share if share < 0.5 => Good,
        share if share < 0.9 => Fair,
        _ => Bad,
    };
    let (full, rest) = bar(share, bar_width);
    let times = [row.times.p50, row.times.p95, row.times.p99].map(|time| format!("{:>8}", told(time)));
    Line::default()
        .plain(format!(" {:<8}", row.name))
        .with(style, full)
        .with(Faint, rest)
        .plain(format!(" {:>3}/{:<3} {:>7}", row.queued, row.room, row.in_flight))
        .plain(format!(" {:>8}  {:>5.0}", row.done, rate))
        .plain(times.concat())
}

/// So much of it in eighths of a character, and the rest.
fn bar(share: f64, width: usize) -> (String, String) {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * (width * 8) as f64).ceil() as usize;
    let full = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    let rest = "·".repeat(width - eighths.div_ceil(8));
    (full, rest)
}

fn circuit(look: &Look) -> Line {
    let style = match look.circuit {
        Circuit::Closed => Good,
        Circuit::HalfOpen => Fair,
        _ => Bad,
    };
    let line = Line::default()
        .with(Faint, " circuit     ")
        .with(style, format!("● {}", look.circuit))
        .with(Faint, "   opened ")
        .plain(look.openings.to_string())
        .with(Faint, if look.openings == 1 { " time" } else { " times" });
    match look.paused {
        0 => line,
        paused => line.with(Fair, format!("   {paused} workers stand still")),
    }
}

/// The charged orders of each second, as high as the highest of them.
fn chart(trend: &Trend, width: usize) -> Line {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let room = width.saturating_sub(24);
    let seconds = trend.seconds.iter().skip(trend.seconds.len().saturating_sub(room));
    let most = seconds.clone().copied().max().unwrap_or(0).max(1);
    let chart = seconds.map(|n| HEIGHTS[(n * 7).div_ceil(most) as usize]).collect::<String>();
    Line::default().with(Faint, " charged/s   ").with(Good, chart).with(Faint, format!(" most {most}"))
}

fn help(look: &Look) -> Line {
    let quit = match look.drains {
        None => "drain and quit".to_owned(),
        Some(left) => format!("hand back and quit ({} s left to finish)", left.as_secs()),
    };
    let keys = [("s", "slow stage"), ("o", "outage"), ("+ -", "load"), ("q", &quit)];
    keys.iter().fold(Line::default(), |line, (key, what)| {
        line.with(Bold, format!(" {key} ")).with(Faint, format!("{what}  "))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weirs_runtime::Instant;

    use super::*;
    use crate::meter::Percentiles;

    #[test]
    fn a_bar_is_as_wide_as_it_is_told() {
        for eighth in 0..=80 {
            let (full, rest) = bar(f64::from(eighth) / 80.0, 10);
            assert_eq!(full.chars().count() + rest.chars().count(), 10, "{eighth}");
        }
        assert_eq!(bar(0.0, 4), (String::new(), "····".to_owned()));
        assert_eq!(bar(0.5, 4), ("██".to_owned(), "··".to_owned()));
        assert_eq!(bar(1.0, 4), ("████".to_owned(), String::new()));
    }

    #[test]
    fn a_frame_fits_every_terminal() {
        let times = Percentiles::default();
        let row = Row { name: "parse", queued: 60, room: 64, in_flight: 8, done: 123_456, times };
        let look = Look {
            at: Instant::FAR_FUTURE,
            running: Duration::from_secs(100_000),
            load: 1000,
            slow: true,
            outage: true,
            drains: Some(Duration::from_secs(9)),
            stages: [row; 3],
            whole: times,
            circuit: Circuit::HalfOpen,
            openings: 100,
            paused: 8,
            calls: 100_000,
            turned_away: 100_000,
            dead: 1000,
            letters: vec!["order 59: another attempt would not help".to_owned(); 20],
        };
        for (width, height) in [(0, 0), (1, 1), (10, 5), (80, 24), (120, 40), (300, 100)] {
            let lines = frame("smol", &look, &Trend::default(), width, height);
            assert_eq!(lines.len(), height);
            assert!(lines.iter().all(|line| line.width() <= width), "{width} {height}");
        }
    }
}
