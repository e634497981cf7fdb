//! How often clients and owners may ask, where nothing else is said of them. Off by default.

use super::Source;
use crate::rates::DefaultRates;
use stipend_token::rate::Rate;

const EXPECTED: &str = "off, or count/seconds or count/seconds/burst such as 600/60/100";

pub(super) fn read(source: &mut Source) -> DefaultRates {
    let mut rate = |env| source.parse(env, EXPECTED, parse).flatten();
    DefaultRates { client: rate("STIPEND_CLIENT_RATE"), owner: rate("STIPEND_OWNER_RATE") }
}

fn parse(text: &str) -> Option<Option<Rate>> {
    if text == "off" { Some(None) } else { Rate::parse(text).ok().map(Some) }
}
