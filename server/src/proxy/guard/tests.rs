use super::*;
use rstest::rstest;

fn guard(networks: &[&str]) -> Guard {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Guard::new(networks, vec!["plain.example".into(), "127.0.0.1".into()], Arc::new(SystemLookup))
}

#[rstest]
#[case::loopback("127.0.0.1")]
#[case::all_of_loopback("127.255.255.254")]
#[case::unspecified("0.0.0.0")]
#[case::this_network("0.1.2.3")]
#[case::private_a("10.0.0.1")]
#[case::private_b_first("172.16.0.0")]
#[case::private_b_last("172.31.255.255")]
#[case::private_c("192.168.1.1")]
#[case::link_local("169.254.0.1")]
#[case::metadata("169.254.169.254")]
#[case::carrier_nat("100.64.0.1")]
#[case::carrier_nat_metadata("100.100.100.200")]
#[case::protocol_assignments("192.0.0.192")]
#[case::documentation_one("192.0.2.1")]
#[case::documentation_two("198.51.100.1")]
#[case::documentation_three("203.0.113.1")]
#[case::benchmarks("198.19.0.1")]
#[case::relay("192.88.99.1")]
#[case::multicast("224.0.0.1")]
#[case::reserved("240.0.0.1")]
#[case::broadcast("255.255.255.255")]
#[case::v6_loopback("::1")]
#[case::v6_unspecified("::")]
#[case::mapped_loopback("::ffff:127.0.0.1")]
#[case::mapped_public("::ffff:8.8.8.8")]
#[case::compatible("::127.0.0.1")]
#[case::nat64("64:ff9b::7f00:1")]
#[case::nat64_local("64:ff9b:1::1")]
#[case::discard("100::1")]
#[case::teredo("2001::1")]
#[case::orchid("2001:20::1")]
#[case::v6_documentation("2001:db8::1")]
#[case::v6_documentation_two("3fff::1")]
#[case::six_to_four("2002:7f00:1::1")]
#[case::unique_local("fd00::1")]
#[case::v6_metadata("fd00:ec2::254")]
#[case::v6_link_local("fe80::1")]
#[case::site_local("fec0::1")]
#[case::v6_multicast("ff02::1")]
fn special_addresses_are_not_called(#[case] address: &str) {
    let address: IpAddr = address.parse().unwrap();
    assert!(!guard(&[]).allows(address));
    assert!(!guard(&["11.0.0.0/8", "2600::/16"]).allows(address));
}

#[rstest]
#[case("1.1.1.1")]
#[case("100.63.255.255")]
#[case("100.128.0.0")]
#[case("172.15.255.255")]
#[case("172.32.0.0")]
#[case("169.253.255.255")]
#[case("198.17.255.255")]
#[case("198.20.0.0")]
#[case("223.255.255.255")]
#[case("2001:200::1")]
#[case("2606:4700:4700::1111")]
#[case("2a00:1450:4001::1")]
fn public_addresses_are_called(#[case] address: &str) {
    assert!(guard(&[]).allows(address.parse().unwrap()));
}

#[rstest]
#[case("127.0.0.0/8", "127.0.0.1", true)]
#[case("127.0.0.0/8", "::ffff:127.0.0.1", true)]
#[case("127.0.0.0/8", "10.0.0.1", false)]
#[case("127.0.0.0/8", "::127.0.0.1", false)]
#[case("10.1.0.0/16", "10.2.0.1", false)]
#[case("fd00::/8", "fd12::1", true)]
#[case("0.0.0.0/0", "::1", false)]
#[case("::/0", "127.0.0.1", false)]
fn a_network_is_let_in_by_its_name(#[case] network: &str, #[case] address: &str, #[case] allowed: bool) {
    assert_eq!(guard(&[network]).allows(address.parse().unwrap()), allowed);
}

#[rstest]
#[case("https://127.0.0.1/", UpstreamFault::AddressRefused)]
#[case("https://0x7f.1/", UpstreamFault::AddressRefused)]
#[case("https://0177.0.0.1/", UpstreamFault::AddressRefused)]
#[case("https://2130706433/", UpstreamFault::AddressRefused)]
#[case("https://127.1/", UpstreamFault::AddressRefused)]
#[case("https://127.0.0.1./", UpstreamFault::AddressRefused)]
#[case("https://%31%32%37.0.0.1/", UpstreamFault::AddressRefused)]
#[case("https://１２７.0.0.1/", UpstreamFault::AddressRefused)]
#[case("https://[::ffff:127.0.0.1]/", UpstreamFault::AddressRefused)]
#[case("https://[::ffff:7f00:1]/", UpstreamFault::AddressRefused)]
#[case("https://[0:0:0:0:0:0:0:1]/", UpstreamFault::AddressRefused)]
#[case("https://0/", UpstreamFault::AddressRefused)]
#[case("https://0xa9fea9fe/latest", UpstreamFault::AddressRefused)]
#[case("http://0x7f.1", UpstreamFault::AddressRefused)]
#[case("http://public.example/", UpstreamFault::UrlRefused)]
#[case("ws://plain.example/", UpstreamFault::UrlRefused)]
#[case("ftp://plain.example/", UpstreamFault::UrlRefused)]
#[case("file:///etc/passwd", UpstreamFault::UrlRefused)]
#[case("data:,x", UpstreamFault::UrlRefused)]
#[case("https://user@public.example/", UpstreamFault::UrlRefused)]
#[case("https://:pass@public.example/", UpstreamFault::UrlRefused)]
#[case("https://public.example/#x", UpstreamFault::UrlRefused)]
fn what_is_no_public_https_url_is_refused(#[case] url: &str, #[case] fault: UpstreamFault) {
    assert_eq!(guard(&[]).check(&Url::parse(url).unwrap()), Err(fault));
}

#[test]
fn a_configured_host_may_be_called_in_the_clear_and_its_address_is_checked_all_the_same() {
    let check = |url: &str, networks: &[&str]| guard(networks).check(&Url::parse(url).unwrap());
    assert_eq!(check("http://PLAIN.example:8080/", &[]), Ok(()));
    assert_eq!(check("http://127.0.0.1/", &[]), Err(UpstreamFault::AddressRefused));
    assert_eq!(check("http://127.0.0.1/", &["127.0.0.0/8"]), Ok(()));
    assert_eq!(check("http://127.0.0.2/", &["127.0.0.0/8"]), Err(UpstreamFault::UrlRefused));
    assert_eq!(check("https://any.example/", &[]), Ok(()));
}

#[test]
fn of_many_addresses_only_those_that_pass_are_tried() {
    let found = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect::<Vec<IpAddr>>();
    let passing = guard(&[]).passing(found(&["10.0.0.1", "1.1.1.1", "::1"])).unwrap();
    assert_eq!(passing, ["1.1.1.1:0".parse().unwrap()]);
    assert!(matches!(guard(&[]).passing(found(&["10.0.0.1", "::1"])), Err(NameFault::Refused)));
    assert!(matches!(guard(&[]).passing(Vec::new()), Err(NameFault::Unknown)));
    let many = vec!["1.1.1.1".parse().unwrap(); MAX_ADDRESSES + 10];
    assert_eq!(guard(&[]).passing(many).unwrap().len(), MAX_ADDRESSES);
}
