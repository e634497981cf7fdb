//! Characters beyond ASCII that have no place in a path: those that some readers turn into a
//! delimiter, and those that some readers drop.

use std::ops::RangeInclusive;

/// What Unicode's normalisation forms (UAX #15) turn into a text with `/`, `\`, `.`, `%`, `;`,
/// `?` or `#` in it: `U+FF0F` into a slash, `U+2025` into two dots, `U+2100` into `a/c`.
const NORMALISED: [RangeInclusive<char>; 26] = [
    '\u{37E}'..='\u{37E}',
    '\u{2024}'..='\u{2026}',
    '\u{2047}'..='\u{2049}',
    '\u{2100}'..='\u{2101}',
    '\u{2105}'..='\u{2106}',
    '\u{2488}'..='\u{249B}',
    '\u{33C2}'..='\u{33C2}',
    '\u{33C7}'..='\u{33C7}',
    '\u{33D8}'..='\u{33D8}',
    '\u{FE14}'..='\u{FE14}',
    '\u{FE16}'..='\u{FE16}',
    '\u{FE19}'..='\u{FE19}',
    '\u{FE30}'..='\u{FE30}',
    '\u{FE52}'..='\u{FE52}',
    '\u{FE54}'..='\u{FE54}',
    '\u{FE56}'..='\u{FE56}',
    '\u{FE5F}'..='\u{FE5F}',
    '\u{FE68}'..='\u{FE68}',
    '\u{FE6A}'..='\u{FE6A}',
    '\u{FF03}'..='\u{FF03}',
    '\u{FF05}'..='\u{FF05}',
    '\u{FF0E}'..='\u{FF0F}',
    '\u{FF1B}'..='\u{FF1B}',
    '\u{FF1F}'..='\u{FF1F}',
    '\u{FF3C}'..='\u{FF3C}',
    '\u{1F100}'..='\u{1F100}',
];

/// What conversions into an older character set put a slash or a backslash for: the fraction and
/// division slashes, set minus, the solidus operators; the yen and won signs, which stand where
/// ASCII has its backslash.
const BEST_FIT: [RangeInclusive<char>; 6] = [
    '\u{A5}'..='\u{A5}',
    '\u{20A9}'..='\u{20A9}',
    '\u{2044}'..='\u{2044}',
    '\u{2215}'..='\u{2216}',
    '\u{29F5}'..='\u{29F5}',
    '\u{29F8}'..='\u{29F9}',
];

/// What is not seen, and is dropped by readers that compare names: soft hyphen, joiners,
/// directions, variation selectors, tags, fillers (`Default_Ignorable_Code_Point`).
const IGNORABLE: [RangeInclusive<char>; 17] = [
    '\u{AD}'..='\u{AD}',
    '\u{34F}'..='\u{34F}',
    '\u{61C}'..='\u{61C}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{200B}'..='\u{200F}',
    '\u{202A}'..='\u{202E}',
    '\u{2060}'..='\u{206F}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FEFF}'..='\u{FEFF}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF0}'..='\u{FFF8}',
    '\u{1BCA0}'..='\u{1BCA3}',
    '\u{1D173}'..='\u{1D17A}',
    '\u{E0000}'..='\u{E0FFF}',
];

/// Whether some readers take it for a delimiter, or don't see it.
pub(super) fn is_lookalike(character: char) -> bool {
    let listed = |ranges: &[RangeInclusive<char>]| ranges.iter().any(|range| range.contains(&character));
    !character.is_ascii() && (listed(&NORMALISED) || listed(&BEST_FIT) || listed(&IGNORABLE))
}
