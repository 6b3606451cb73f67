//! Simulations as a picture: how long players wait, how well they fit, and how many wait, a line for
//! each rules file.
//!
//! The ground is white whatever is around it, and the lines differ in lightness as well as in hue.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::simulation::Outcome;

/// Draws what became of a stream, an SVG document.
///
/// # Errors
/// Where the picture cannot be drawn.
pub(super) fn draw(rules: &[(&str, &Outcome)]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (legend, panels) = area.split_vertically(LEGEND_HEIGHT);
        for (index, (name, _)) in rules.iter().enumerate() {
            let x = 60 + index as i32 * (SIZE.0 as i32 / 2);
            let line = [(x, 18), (x + 28, 18)];
            legend.draw(&PathElement::new(line, COLOURS[index % 2].stroke_width(3)))?;
            legend.draw(&Text::new((*name).to_owned(), (x + 36, 10), (FONT, 15)))?;
        }
        let panels = panels.split_evenly((2, 2));
        shares(&panels[0], "wait, s", "players, %", rules, |outcome| {
            outcome.waits.clone()
        })?;
        shares(
            &panels[1],
            "skill spread of a match",
            "matches, %",
            rules,
            |outcome| outcome.matches.iter().map(|made| made.spread).collect(),
        )?;
        shares(
            &panels[2],
            "favourite's chance to win, %",
            "matches, %",
            rules,
            |outcome| {
                let chances = outcome.matches.iter().filter_map(|made| made.favourite);
                chances.map(|chance| 100.0 * chance).collect()
            },
        )?;
        waiting(&panels[3], rules)?;
        area.present()?;
    }
    Ok(svg)
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Which share of the values is at most x.
fn shares(
    panel: &Panel<'_>,
    x: &str,
    y: &str,
    rules: &[(&str, &Outcome)],
    values: impl Fn(&Outcome) -> Vec<f64>,
) -> anyhow::Result<()> {
    let lines = rules.iter().map(|(_, outcome)| {
        let mut values = values(outcome);
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let points = (0..=POINTS).filter_map(|point| {
            let place = (point * count).div_ceil(POINTS);
            let value = values.get(place.saturating_sub(1))?;
            Some((*value, 100.0 * point as f64 / POINTS as f64))
        });
        points.collect()
    });
    let lines: Vec<Vec<(f64, f64)>> = lines.collect();
    // The last hundredth would take most of the room.
    let ends = lines
        .iter()
        .filter_map(|line| Some(line.get(POINTS * 99 / 100)?.0));
    let begins = lines.iter().filter_map(|line| Some(line.first()?.0));
    let begin = begins.fold(f64::INFINITY, f64::min);
    // Figures that begin far from zero are looked at from where they begin.
    let end = ends.fold(0.0, f64::max);
    let begin = if begin.is_finite() && begin > end / 3.0 {
        begin
    } else {
        0.0
    };
    chart(panel, (x, y), (begin, end), 100.0, lines)
}

/// How many players wait from minute to minute.
fn waiting(panel: &Panel<'_>, rules: &[(&str, &Outcome)]) -> anyhow::Result<()> {
    let lines = rules.iter().map(|(_, outcome)| {
        // As many points as can be told apart, each the mean of the minutes around it.
        let each = outcome.queue.len().div_ceil(POINTS).max(1);
        let points = outcome
            .queue
            .chunks(each)
            .enumerate()
            .map(|(index, minutes)| {
                let mean = minutes.iter().sum::<usize>() as f64 / minutes.len() as f64;
                ((index * each) as f64 / 60.0, mean)
            });
        points.collect()
    });
    let lines: Vec<Vec<(f64, f64)>> = lines.collect();
    let all = || lines.iter().flatten();
    let end = all().map(|point| point.0).fold(0.0, f64::max);
    let top = all().map(|point| point.1).fold(0.0, f64::max);
    chart(
        panel,
        ("time, h", "players waiting"),
        (0.0, end),
        top * 1.1,
        lines,
    )
}

fn chart(
    panel: &Panel<'_>,
    (x, y): (&str, &str),
    (begin, end): (f64, f64),
    top: f64,
    lines: Vec<Vec<(f64, f64)>>,
) -> anyhow::Result<()> {
    let span = if end > begin { end - begin } else { 1.0 };
    let top = if top > 0.0 { top } else { 1.0 };
    let mut chart = ChartBuilder::on(panel)
        .margin(10)
        .margin_right(20)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(begin..begin + span, 0.0..top)?;
    let digits = |span: f64| if span < 5.0 { 1 } else { 0 };
    let (x_digits, y_digits) = (digits(span), digits(top));
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| format!("{value:.x_digits$}"))
        .y_label_formatter(&|value| format!("{value:.y_digits$}"))
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .bold_line_style(RGBColor(221, 221, 221))
        .light_line_style(TRANSPARENT)
        .axis_style(RGBColor(102, 102, 102))
        .draw()?;
    for (index, line) in lines.into_iter().enumerate() {
        let within = line.into_iter().filter(|point| point.0 <= begin + span);
        chart.draw_series(LineSeries::new(within, COLOURS[index % 2].stroke_width(2)))?;
    }
    Ok(())
}

const SIZE: (u32, u32) = (960, 680);
const LEGEND_HEIGHT: u32 = 36;
const FONT: &str = "sans-serif";
/// Blue and orange, of Okabe and Ito's colours: told apart by those who see fewer.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 90, 160), RGBColor(222, 125, 0)];
/// A point in five pixels or so.
const POINTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::simulation::Made;
    use super::*;

    #[test]
    fn a_picture_names_its_axes_and_its_rules_even_where_nothing_happened() {
        let nothing = Outcome::default();
        let made = |spread| Made {
            spread,
            favourite: Some(0.5 + spread / 1_000.0),
            latency: None,
        };
        let some = Outcome {
            waits: vec![0.0, 4.0, 9.0],
            matches: vec![made(10.0), made(90.0)],
            queue: vec![1, 5, 2],
            ..Outcome::default()
        };
        let svg = draw(&[("old & slow.yaml", &nothing), ("new.yaml", &some)]).unwrap();
        for text in [
            "wait, s",
            "players, %",
            "time, h",
            "players waiting",
            "new.yaml",
            "old &amp; slow.yaml",
        ] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(svg.contains("<polyline") && !svg.contains("NaN"), "{svg}");
        draw(&[("a", &nothing)]).unwrap();
    }
}
