//! A strict reader of Prometheus's text format, and the laws that what is read must keep.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct Exposition {
    /// Type by family.
    pub types: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// # Panics
    /// Where the text is not in the format, or what it says can't be.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut read = Self::default();
        let mut family: Option<String> = None;
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let name = rest.split(' ').next().unwrap();
                assert!(is_name(name) && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert!(read.types.insert(name.to_owned(), kind.to_owned()).is_none(), "two types: {line}");
                assert!(helped.contains(name), "no help: {line}");
                family = Some(name.to_owned());
            } else {
                let sample = sample(line);
                let family = family.as_deref().expect("a type comes first");
                assert_eq!(read.family(&sample.name), family, "{line} is in the midst of another family");
                read.samples.push(sample);
            }
        }
        read.check();
        read
    }

    /// The family that a sample is of.
    pub fn family<'a>(&'a self, sample: &'a str) -> &'a str {
        let histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
            sample.strip_suffix(suffix).filter(|base| self.types.get(*base).is_some_and(|kind| kind == "histogram"))
        });
        histogram.unwrap_or(sample)
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        let mut buckets: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
        for Sample { name, labels, value } in &self.samples {
            assert!(seen.insert((name, labels)), "twice: {name} {labels:?}");
            let family = self.family(name);
            match self.types[family].as_str() {
                "counter" => assert!(name.ends_with("_total") && *value >= 0.0 && value.fract() == 0.0, "{name}"),
                "histogram" if name.ends_with("_bucket") => {
                    let mut others = labels.clone();
                    let le = others.remove("le").expect("le");
                    let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
                    buckets.entry((family.to_owned(), format!("{others:?}"))).or_default().push((le, *value));
                }
                _ => {}
            }
        }
        for ((family, labels), buckets) in buckets {
            assert!(
                buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
                "{family} {labels}"
            );
            let count = self
                .samples
                .iter()
                .find(|sample| sample.name == format!("{family}_count") && format!("{:?}", sample.labels) == labels);
            let last = buckets.last().unwrap();
            assert_eq!((last.0, last.1), (f64::INFINITY, count.expect("a count").value), "{family} {labels}");
        }
    }

    /// The one sample of this name and, at least, these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<f64> = self.matching(name, labels).map(|sample| sample.value).collect();
        match found.as_slice() {
            [] => 0.0,
            [one] => *one,
            many => panic!("{name} {labels:?}: {} of them", many.len()),
        }
    }

    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        let is = move |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(is)
    }

    /// Sets of labels by family; those of buckets count once.
    pub fn sets(&self) -> BTreeMap<String, usize> {
        let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            sets.entry(self.family(&sample.name).to_owned()).or_default().insert(format!("{labels:?}"));
        }
        sets.into_iter().map(|(family, sets)| (family, sets.len())).collect()
    }
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn sample(line: &str) -> Sample {
    let (name, rest) = match line.find(['{', ' ']) {
        Some(end) => line.split_at(end),
        None => panic!("{line:?}"),
    };
    assert!(is_name(name), "{line:?}");
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
            assert!(is_name(key), "{line:?}");
            let mut text = String::new();
            let mut chars = value.char_indices();
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("{line:?}")) {
                    (at, '"') => break at,
                    (_, '\\') => text.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        other @ ('\\' | '"') => other,
                        other => panic!("\\{other} in {line:?}"),
                    }),
                    (_, other) => text.push(other),
                }
            };
            assert!(labels.insert(key.to_owned(), text).is_none(), "a label twice: {line:?}");
            rest = &value[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line:?}"));
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap_or_else(|_| panic!("{line:?}")) };
    Sample { name: name.to_owned(), labels, value }
}
