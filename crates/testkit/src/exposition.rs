//! Pages of metrics in Prometheus' text format, version 0.0.4 (Prometheus documentation, "Exposition formats").

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a page, by name with labels as they stand there.
///
/// # Errors
///
/// What `promtool check metrics` would complain of, as far as our pages can go wrong: a line that is none, a sample without its
/// `HELP` and `TYPE` before it or twice, a counter whose name does not end in `_total`, a histogram whose buckets do not grow
/// to `+Inf` or differ from its count.
pub fn read(page: &str) -> Result<BTreeMap<String, f64>, String> {
    if !page.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut reading = Reading::default();
    for line in page.lines() {
        reading.line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    reading.histograms()?;
    Ok(reading.samples)
}

#[derive(Default)]
struct Reading {
    samples: BTreeMap<String, f64>,
    /// In the page's order.
    order: Vec<(String, f64)>,
    helped: BTreeSet<String>,
    family: String,
    kind: String,
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').ok_or("a help without a text")?;
            let is_new = self.helped.insert(name.to_owned());
            return if is_new && is_name(name) && !text.is_empty() { Ok(()) } else { Err("a help too many") };
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("a type without a name")?;
            if !self.helped.contains(name) || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err("a type without a help, or an unknown one");
            }
            if (kind == "counter") != name.ends_with("_total") {
                return Err("counters, and nothing else, end in _total");
            }
            (self.family, self.kind) = (name.to_owned(), kind.to_owned());
            return Ok(());
        }
        let (name, value) = line.rsplit_once(' ').ok_or("a sample without a value")?;
        let value: f64 = value.parse().map_err(|_| "a value that is no number")?;
        let (base, labels) = name.split_once('{').unwrap_or((name, "}"));
        let rest = base.strip_prefix(&self.family).ok_or("a sample of another family")?;
        let allowed: &[&str] = if self.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if self.family.is_empty() || !allowed.contains(&rest) || !are_labels(labels) {
            return Err("not a sample of its family");
        }
        self.order.push((name.to_owned(), value));
        match self.samples.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err("a sample that was there before"),
        }
    }

    fn histograms(&self) -> Result<(), String> {
        let (mut last, mut bound_before) = (0.0, f64::NEG_INFINITY);
        for (name, value) in &self.order {
            let Some((labels, bound)) = name.split_once(",le=\"") else { continue };
            let bound = bound.trim_end_matches("\"}");
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or(f64::NAN) };
            if bound.is_nan() || bound <= bound_before || *value < last {
                return Err(format!("a bucket out of order: {name}"));
            }
            (last, bound_before) = (*value, bound);
            if bound == f64::INFINITY {
                let count = format!("{}}}", labels.replace("_bucket{", "_count{"));
                if self.samples.get(&count) != Some(value) {
                    return Err(format!("{count} is not what the buckets hold"));
                }
                (last, bound_before) = (0.0, f64::NEG_INFINITY);
            }
        }
        if bound_before == f64::NEG_INFINITY {
            Ok(())
        } else {
            Err("a histogram does not end with +Inf".into())
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `a="b",c="d"}` or `}`.
fn are_labels(text: &str) -> bool {
    let Some(inner) = text.strip_suffix('}') else { return false };
    inner.is_empty()
        || inner.split(',').all(|label| {
            label.split_once("=\"").is_some_and(|(name, value)| {
                is_name(name) && value.strip_suffix('"').is_some_and(|value| !value.contains(['"', '\\']))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total Things.\n# TYPE a_total counter\na_total{k=\"v\"} 3\n# HELP h Times.\n# TYPE h histogram\n\
        h_bucket{s=\"x\",le=\"0.5\"} 1\nh_bucket{s=\"x\",le=\"+Inf\"} 2\nh_sum{s=\"x\"} 1.5\nh_count{s=\"x\"} 2\n";

    #[test]
    fn a_page_is_read() {
        let samples = read(GOOD).unwrap();
        assert_eq!((samples["a_total{k=\"v\"}"], samples["h_sum{s=\"x\"}"]), (3.0, 1.5));
    }

    #[test]
    fn what_is_wrong_is_found() {
        let wrong = [
            GOOD.trim_end().to_owned(),
            GOOD.replace("# TYPE a_total counter\n", ""),
            GOOD.replace("# HELP h Times.\n", ""),
            GOOD.replace("a_total", "a"),
            GOOD.replace("a_total{k=\"v\"} 3", "a_total{k=\"v\"} three"),
            GOOD.replace("{k=\"v\"}", "{k=v}"),
            GOOD.replace("\"0.5\"} 1", "\"0.5\"} 3"),
            GOOD.replace("h_count{s=\"x\"} 2", "h_count{s=\"x\"} 3"),
            GOOD.replace("h_bucket{s=\"x\",le=\"+Inf\"} 2\n", ""),
            format!("{GOOD}h_sum{{s=\"x\"}} 1\n"),
        ];
        for page in wrong {
            assert!(read(&page).is_err(), "{page}");
        }
    }
}
