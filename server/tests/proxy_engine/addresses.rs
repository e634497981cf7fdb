//! Which addresses are connected to: those that were checked, and no others.

use crate::raw::{OK, Raw, SHORT, collect, config, within};
use parking_lot::Mutex;
use rstest::rstest;
use std::net::IpAddr;
use std::sync::Arc;
use stipend::proxy::{Forward, Looking, Lookup, UpstreamConfig, UpstreamFault, Upstreams};
use stipend_token::constraint::Method;
use url::Url;

/// A resolver that answers what the test wants, one answer after the other.
#[derive(Debug, Default)]
struct Told {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Told {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let read = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().rev().map(read).collect()), ..Self::default() })
    }
}

impl Lookup for Told {
    fn lookup(&self, host: &str) -> Looking {
        self.asked.lock().push(host.to_owned());
        let answer = self.answers.lock().pop();
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

fn get(url: &str) -> Forward {
    Forward::new(Method::parse("GET").unwrap(), Url::parse(url).unwrap())
}

#[rstest]
#[case::loopback(&["127.0.0.1"])]
#[case::private(&["10.0.0.1", "192.168.0.1"])]
#[case::metadata(&["169.254.169.254"])]
#[case::mapped(&["::ffff:127.0.0.1"])]
#[case::nat64(&["64:ff9b::a9fe:a9fe"])]
#[case::local(&["::1", "fe80::1", "fd00::1"])]
#[tokio::test]
async fn a_name_that_leads_inside_is_refused(#[case] addresses: &[&str]) {
    let told = Told::new(&[addresses]);
    let engine = Upstreams::with_lookup(UpstreamConfig::default(), Arc::<Told>::clone(&told)).unwrap();
    let fault = within(engine.forward(get("https://innocent.example/"))).await.unwrap_err();
    assert_eq!((fault, fault.nothing_was_sent()), (UpstreamFault::AddressRefused, true));
    assert_eq!(*told.asked.lock(), ["innocent.example"]);
}

#[rstest]
#[case::unknown(&[])]
#[case::no_address(&[&[] as &[&str]])]
#[tokio::test]
async fn a_name_without_an_address_is_unresolved(#[case] answers: &[&[&str]]) {
    let engine = Upstreams::with_lookup(UpstreamConfig::default(), Told::new(answers)).unwrap();
    let fault = within(engine.forward(get("https://nowhere.example/"))).await.unwrap_err();
    assert_eq!(fault, UpstreamFault::Unresolved);
}

#[rstest]
#[case("https://127.0.0.1/")]
#[case("https://0x7f.1/")]
#[case("https://2130706433/")]
#[case("https://[::ffff:127.0.0.1]/")]
#[case("https://[::1]/")]
#[case("https://169.254.169.254/latest/meta-data/")]
#[tokio::test]
async fn an_address_in_the_place_of_a_name_is_checked_though_nobody_looks_it_up(#[case] url: &str) {
    let told = Told::new(&[&["1.1.1.1"]]);
    let engine = Upstreams::with_lookup(UpstreamConfig::default(), Arc::<Told>::clone(&told)).unwrap();
    assert_eq!(engine.forward(get(url)).await.unwrap_err(), UpstreamFault::AddressRefused);
    assert!(told.asked.lock().is_empty());
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_connected_to() {
    let raw = Raw::bind().await;
    // A name that changes its mind: one lookup for one connection, and its answer is used.
    let told = Told::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let allowed = UpstreamConfig {
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        allow_http_hosts: vec!["rebinding.example".into()],
        ..UpstreamConfig::default()
    };
    let engine = Upstreams::with_lookup(allowed, Arc::<Told>::clone(&told)).unwrap();
    let url = format!("http://rebinding.example:{}/", raw.address.port());
    let said = format!("{OK}Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    let (answer, head, _peer) = raw.answer(&engine, get(&url), said.as_bytes()).await;
    assert!(head.contains(&format!("host: rebinding.example:{}", raw.address.port())), "{head}");
    assert_eq!(collect(&mut answer.unwrap()).await, (b"hi".to_vec(), None));
    assert_eq!(within(engine.forward(get(&url))).await.unwrap_err(), UpstreamFault::AddressRefused);
    assert_eq!(told.asked.lock().len(), 2, "each connection is one lookup");
}

#[tokio::test]
async fn plain_http_is_for_the_hosts_that_are_named() {
    let raw = Raw::bind().await;
    let named = Upstreams::new(UpstreamConfig { allow_http_hosts: Vec::new(), ..config() }).unwrap();
    assert_eq!(named.forward(raw.call("GET")).await.unwrap_err(), UpstreamFault::UrlRefused);
    let networked = Upstreams::new(UpstreamConfig { allow_networks: Vec::new(), ..config() }).unwrap();
    assert_eq!(networked.forward(raw.call("GET")).await.unwrap_err(), UpstreamFault::AddressRefused);
    assert!(!raw.is_called().await);
}

/// A resolver that never answers.
#[derive(Debug)]
struct Silent;

impl Lookup for Silent {
    fn lookup(&self, _: &str) -> Looking {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_that_is_never_found_is_given_up_with_the_connection() {
    let hasty = UpstreamConfig { connect_timeout: SHORT, ..UpstreamConfig::default() };
    let engine = Upstreams::with_lookup(hasty, Arc::new(Silent)).unwrap();
    let fault = within(engine.forward(get("https://slow.example/"))).await.unwrap_err();
    assert_eq!((fault, fault.nothing_was_sent()), (UpstreamFault::ConnectTimeout, true));
}
