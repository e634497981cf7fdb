use super::*;
use proptest::prelude::*;

/// Room for the draft's own vectors: 2^20 places of 8 bits.
const MIB: usize = 1024 * 1024;

fn read(list: &Value, max_bytes: usize) -> Result<StatusList, StatusListError> {
    StatusList::from_json(list.as_object().unwrap(), max_bytes)
}

/// Sections 4.1 and 4.2 of the draft, and its figures.
#[test]
fn the_examples_of_the_draft_are_read_and_written_alike() {
    let one: [u8; 16] = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
    let two: [u8; 12] = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
    for (bits, values, bytes, lst) in
        [(1, &one[..], &[0xb9, 0xa3][..], "eNrbuRgAAhcBXQ"), (2, &two[..], &[0xc9, 0x44, 0xf9][..], "eNo76fITAAPfAgc")]
    {
        let mut list = StatusList::new(bits, values.len()).unwrap();
        for (idx, value) in (0..).zip(values) {
            list.set(idx, Status::from_value(*value)).unwrap();
        }
        assert_eq!(list.bytes(), bytes);
        assert_eq!(read(&json!({ "bits": bits, "lst": lst }), 16), Ok(list.clone()));
        let written = list.to_json().unwrap();
        assert_eq!(read(&written, 16), Ok(list));
    }
}

/// "Test vectors for Status List encoding" in the draft: 2^20 places each, and all but these
/// valid.
#[test]
fn the_test_vectors_of_the_draft_are_read() {
    let one = [0, 1993, 25460, 159495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345];
    let one: Vec<(i64, u8)> = one.into_iter().map(|idx| (idx, 1)).collect();
    let two = one.iter().zip([1, 2, 1, 3, 1, 1, 2, 1, 1, 2, 3]).map(|((idx, _), value)| (*idx, value)).collect();
    let four = [
        0, 1993, 35460, 459_495, 595_669, 754_353, 845_645, 923_232, 924_445, 934_534, 1_004_534, 1_000_345, 1_030_203,
        1_030_204, 1_030_205,
    ];
    let four: Vec<(i64, u8)> = four.into_iter().zip(1..).collect();
    let eight: Vec<(i64, u8)> = EIGHT.into_iter().zip(0..=255).collect();
    for (bits, set, lst) in [
        (1, one, include_str!("vectors/1.txt")),
        (2, two, include_str!("vectors/2.txt")),
        (4, four, include_str!("vectors/4.txt")),
        (8, eight, include_str!("vectors/8.txt")),
    ] {
        let list = read(&json!({ "bits": bits, "lst": lst.trim() }), MIB).unwrap();
        assert_eq!(list.places(), MIB);
        let mut expected = StatusList::new(bits, MIB).unwrap();
        for (idx, value) in set {
            assert_eq!(list.find(idx), Some(Status::from_value(value)), "{bits} bits, {idx}");
            expected.set(idx, Status::from_value(value)).unwrap();
        }
        assert!(list == expected, "{bits} bits: all others are valid");
        assert_eq!(list.find(i64::try_from(MIB).unwrap()), None);
        assert_eq!(list.find(-1), None);
    }
}

#[test]
fn what_is_no_list_is_refused() {
    let good = json!({ "bits": 1, "lst": "eNrbuRgAAhcBXQ" });
    assert!(read(&good, 2).is_ok());
    for (bad, why) in [
        (json!({ "bits": 3, "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "bits": 0, "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "bits": 257, "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "bits": -1, "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "bits": "1", "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "lst": "eNrbuRgAAhcBXQ" }), StatusListError::Malformed),
        (json!({ "bits": 1 }), StatusListError::Malformed),
        (json!({ "bits": 1, "lst": "eNrbuRgAAhcBXQ==" }), StatusListError::Malformed),
        (json!({ "bits": 1, "lst": "eNrbuRgAAhcBXR" }), StatusListError::Malformed),
        (json!({ "bits": 1, "lst": "eNrbuRgA" }), StatusListError::Malformed),
        (json!({ "bits": 1, "lst": "AAAA" }), StatusListError::Malformed),
        (json!({ "bits": 1, "lst": ["eNrbuRgAAhcBXQ"] }), StatusListError::Malformed),
    ] {
        assert_eq!(read(&bad, 16), Err(why), "{bad}");
    }
    assert_eq!(read(&good, 1), Err(StatusListError::TooLarge));
}

#[test]
fn a_bomb_is_not_inflated() {
    // 64 MiB of zeroes in 64 KiB.
    let bomb = StatusList::new(8, 64 * MIB).unwrap().to_json().unwrap();
    assert!(bomb["lst"].as_str().unwrap().len() < 100_000);
    assert_eq!(read(&bomb, MIB), Err(StatusListError::TooLarge));
}

#[test]
fn a_status_must_fit() {
    let mut list = StatusList::new(1, 8).unwrap();
    assert_eq!(list.set(0, Status::Suspended), Err(StatusListError::NoRoom));
    assert_eq!(list.set(8, Status::Invalid), Err(StatusListError::NoRoom));
    assert_eq!(list.set(-1, Status::Invalid), Err(StatusListError::NoRoom));
    assert_eq!(list, StatusList::new(1, 8).unwrap(), "and nothing has changed");
    assert!(StatusList::new(3, 8).is_err());
}

proptest! {
    #[test]
    fn what_was_noted_is_read_and_the_last_note_counts(
        bits in prop::sample::select(vec![1u8, 2, 4, 8]),
        notes in prop::collection::vec((0i64..100, any::<u8>()), 0..50),
    ) {
        let mut list = StatusList::new(bits, 100).unwrap();
        let mut expected = vec![0; 100];
        for (idx, value) in notes {
            let value = value & (u8::MAX >> (8 - bits));
            list.set(idx, Status::from_value(value)).unwrap();
            expected[usize::try_from(idx).unwrap()] = value;
        }
        let list = read(&list.to_json().unwrap(), 100).unwrap();
        for (idx, value) in (0..).zip(expected) {
            prop_assert_eq!(list.find(idx).map(Status::value), Some(value));
        }
    }
}

/// The places of 0 to 255 in the vector of 8 bits.
const EIGHT: [i64; 256] = [
    233_478, 52_451, 576_778, 513_575, 468_106, 292_632, 214_947, 182_323, 884_834, 66_653, 62_489, 196_493, 458_517,
    487_925, 55_649, 416_992, 879_796, 462_297, 942_059, 583_408, 13_628, 334_829, 886_286, 713_557, 582_738, 326_064,
    451_545, 705_889, 214_350, 194_502, 796_765, 202_828, 752_834, 721_327, 554_740, 91_122, 963_483, 261_779, 793_844,
    165_255, 614_839, 758_403, 403_258, 145_867, 96_100, 477_937, 606_890, 167_335, 488_197, 211_815, 797_182, 582_952,
    950_870, 765_108, 341_110, 776_325, 745_056, 439_368, 559_893, 149_741, 358_903, 513_405, 342_679, 969_429,
    795_775, 566_121, 460_566, 680_070, 117_310, 480_348, 67_319, 661_552, 841_303, 561_493, 138_807, 442_463, 659_927,
    445_910, 1_046_963, 829_700, 962_282, 299_623, 555_493, 292_826, 517_215, 551_009, 898_490, 837_603, 759_161,
    459_948, 290_102, 1_034_977, 190_650, 98_810, 229_950, 320_531, 335_506, 885_333, 133_227, 806_915, 800_313,
    981_571, 527_253, 24_077, 240_232, 559_572, 713_399, 233_941, 615_514, 911_768, 331_680, 951_527, 6_805, 552_366,
    374_660, 223_159, 625_884, 417_146, 320_527, 784_154, 338_792, 1_199, 679_804, 1_024_680, 40_845, 234_603, 761_225,
    644_903, 502_167, 121_477, 505_144, 165_165, 179_628, 1_019_195, 145_149, 263_738, 269_256, 996_739, 346_296,
    555_864, 887_384, 444_173, 421_844, 653_716, 836_747, 783_119, 918_762, 946_835, 253_764, 519_895, 471_224,
    134_272, 709_016, 44_112, 482_585, 461_829, 15_080, 148_883, 123_467, 480_125, 141_348, 65_877, 692_958, 148_598,
    499_131, 584_009, 1_017_987, 449_287, 277_478, 991_262, 509_602, 991_896, 853_666, 399_318, 197_815, 203_278,
    903_979, 743_015, 888_308, 862_143, 979_421, 113_605, 206_397, 127_113, 844_358, 711_569, 229_153, 521_470,
    401_793, 398_896, 940_810, 293_983, 884_749, 384_802, 584_151, 970_201, 523_882, 158_093, 929_312, 205_329,
    106_091, 30_949, 195_586, 495_723, 348_779, 852_312, 1_018_463, 1_009_481, 448_260, 841_042, 122_967, 345_269,
    794_764, 4_520, 818_773, 556_171, 954_221, 598_210, 887_110, 1_020_623, 324_632, 398_244, 622_241, 456_551,
    122_648, 127_837, 657_676, 119_884, 105_156, 999_897, 330_160, 119_285, 168_005, 389_703, 143_699, 142_524,
    493_258, 846_778, 251_420, 516_351, 83_344, 171_931, 879_178, 663_475, 546_865, 428_362, 658_891, 500_560, 557_034,
    830_023, 274_471, 629_139, 958_869, 663_071, 152_133, 19_535,
];
